"""Deploying to a real server: what is applied, what is kept, what is removed."""

import itertools
import os
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName, FlowRunFilter, FlowRunFilterState
from prefect.client.schemas.filters import FlowRunFilterStateType as StateType
from prefect.client.schemas.objects import StateType as State
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.client.schemas.sorting import FlowRunSort
from prefect.events.schemas.automations import Automation

from deployments import deploy

ROME = ZoneInfo("Europe/Rome")


def deployments(client: SyncPrefectClient) -> dict[str, DeploymentResponse]:
    return {deployment.name: deployment for deployment in client.read_deployments()}


def scheduled(client: SyncPrefectClient, name: str) -> list[datetime]:
    runs = client.read_flow_runs(
        deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=[name])),
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=StateType(any_=[State.SCHEDULED]))),
        sort=FlowRunSort.EXPECTED_START_TIME_ASC,
    )
    return [run.expected_start_time for run in runs if run.expected_start_time]


def firsts_of_month(after: datetime, count: int) -> list[datetime]:
    months = [divmod(after.year * 12 + after.month - 1 + ahead, 12) for ahead in range(count + 1)]
    days = [datetime(year, month + 1, 1, 6, tzinfo=ROME) for year, month in months]
    return [day for day in days if day > after][:count]


def test_the_monthly_report_is_scheduled_at_six_on_the_1st_over_both_changes_of_the_clocks(
    client: SyncPrefectClient,
) -> None:
    deadline = time.monotonic() + 60
    while len(times := scheduled(client, "monthly-reseller-report")) < 13 and time.monotonic() < deadline:
        time.sleep(0.5)
    assert times[:13] == firsts_of_month(datetime.now(ROME), 13)
    assert {at.astimezone(ROME).utcoffset() for at in times} == {timedelta(hours=1), timedelta(hours=2)}


def test_what_is_due_every_five_minutes_is_scheduled_so(client: SyncPrefectClient) -> None:
    times = scheduled(client, "deliver-outbox")
    assert len(times) >= 12
    assert {later.timestamp() - earlier.timestamp() for earlier, later in itertools.pairwise(times)} == {300}


def test_the_server_knows_how_runs_of_a_deployment_may_overlap(client: SyncPrefectClient) -> None:
    strategies = {
        name: deployment.concurrency_options.collision_strategy.value
        for name, deployment in deployments(client).items()
        if deployment.concurrency_options
    }
    assert strategies == {
        "monthly-reseller-report": "ENQUEUE",
        "deliver-outbox": "CANCEL_NEW",
        "process-unsubscribes": "CANCEL_NEW",
        "daily-expiry-sweep": "ENQUEUE",
        "billing-card-run": "ENQUEUE",
        "payment-import": "ENQUEUE",
        "open-cards-report": "ENQUEUE",
        "record-renewal": "ENQUEUE",
        "associate-customer": "ENQUEUE",
        "contact-customer": "ENQUEUE",
        "consent-renewal": "ENQUEUE",
        "consent-report": "ENQUEUE",
        "mailing-run": "ENQUEUE",
        "record-consent": "ENQUEUE",
        "record-objection": "ENQUEUE",
        "set-contact-switch": "ENQUEUE",
        "import-records": "ENQUEUE",
        "place-hold": "ENQUEUE",
        "appointments-report": "ENQUEUE",
        "withdrawal-report": "ENQUEUE",
        "gdpr-erasure-batch": "ENQUEUE",
        "erasure-upkeep": "CANCEL_NEW",
        "membership-withdrawal": "ENQUEUE",
        "charge-run": "ENQUEUE",
        "settle-instalment": "ENQUEUE",
        "make-up": "ENQUEUE",
        "backfill": "ENQUEUE",
        "health": "CANCEL_NEW",
        "housekeeping": "CANCEL_NEW",
    }


def state(client: SyncPrefectClient) -> dict[str, Any]:
    """What an operator would miss if a deploy changed it."""
    return {
        name: (
            deployment.id,
            deployment.version,
            deployment.paused,
            deployment.parameter_openapi_schema,
            [(schedule.id, schedule.slug, schedule.schedule, schedule.active) for schedule in deployment.schedules],
        )
        for name, deployment in deployments(client).items()
    }


def automation(client: SyncPrefectClient, name: str) -> Automation:
    [found] = client.read_automations_by_name(name)
    return found


def test_deploying_again_removes_what_the_file_no_longer_names_and_keeps_all_else_also_what_operators_paused(
    client: SyncPrefectClient,
) -> None:
    report, delivery = deployments(client)["monthly-reseller-report"], deployments(client)["deliver-outbox"]
    client.update_deployment_schedule(delivery.id, delivery.schedules[0].id, active=False)
    client.pause_deployment(report.id)
    client.pause_automation(automation(client, "make-up when a worker starts").id)
    before = state(client)
    # As a file that named more has left them.
    client.create_deployment(report.flow_id, "former-report", tags=report.tags, work_pool_name=deploy.POOL)
    weekly = DeploymentScheduleCreate(slug="weekly", schedule=CronSchedule(cron="0 6 * * 1", timezone="Europe/Rome"))
    client.create_deployment_schedules(report.id, [weekly])
    assert {s.slug for s in deployments(client)["monthly-reseller-report"].schedules} == {"monthly", "weekly"}

    deploy.apply(os.environ)

    assert state(client) == before
    assert "former-report" not in before
    assert not deployments(client)["deliver-outbox"].schedules[0].active
    assert deployments(client)["monthly-reseller-report"].paused
    assert not automation(client, "make-up when a worker starts").enabled
    assert automation(client, "make-up when a run has crashed").enabled

    client.resume_automation(automation(client, "make-up when a worker starts").id)
    client.resume_deployment(report.id)
    client.update_deployment_schedule(delivery.id, delivery.schedules[0].id, active=True)


def test_a_file_that_prefect_refuses_is_an_error_with_its_reason(prefect_api: str, tmp_path: Path) -> None:
    file = tmp_path / "prefect.yaml"
    broken = {"name": "broken", "entrypoint": "flows/absent.py:absent", "work_pool": {"name": deploy.POOL}}
    file.write_text(yaml.safe_dump({"deployments": [broken]}))
    with pytest.raises(deploy.DeployError, match=r"absent\.py"):
        deploy.apply(os.environ, file)
