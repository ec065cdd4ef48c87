"""A backfill as an operator sees it: its subruns, what stops it, and that it goes on where it was."""

import os
import signal
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName, FlowRunFilterParentFlowRunId
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelling, Suspended
from sqlalchemy import Engine, text

from flows.subruns import run_in_order
from lifecycle.persistence import database
from lifecycle.rules.findings import BadInput
from lifecycle.rules.runs import Summary
from tests.operations import eventually, held_up, run, start, state_reached, summaries

REPORT = "monthly-reseller-report"
MONTHS = {"from_month": "2019-05", "to_month": "2019-06"}


@pytest.fixture
def tables(server_database: str) -> Iterator[Engine]:
    engine = database.connect(server_database)
    yield engine
    engine.dispose()


def reports(client: SyncPrefectClient, month: str) -> list[FlowRun]:
    """The runs for a month, the first one first."""
    named = FlowRunFilter(name=FlowRunFilterName(any_=[f"{REPORT} {month}"]))
    return sorted(client.read_flow_runs(flow_run_filter=named), key=lambda run: str(run.created))


def begun(client: SyncPrefectClient, month: str, number: int) -> FlowRun:
    """The latest run for a month, as soon as there are so many."""
    deadline = time.monotonic() + 120
    while len(found := reports(client, month)) < number and time.monotonic() < deadline:
        time.sleep(0.2)
    assert len(found) == number
    return found[-1]


def subruns(client: SyncPrefectClient, run_id: UUID) -> set[str]:
    of_it = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run_id]))
    return {run.name for run in client.read_flow_runs(flow_run_filter=of_it)}


def kill(client: SyncPrefectClient, run_id: UUID) -> None:
    """Its process, as for want of memory."""
    os.kill(int(str(client.read_flow_run(run_id).infrastructure_pid).rpartition(":")[2]), signal.SIGKILL)


def test_cancelled_killed_and_run_again_each_month_is_made_once_and_nothing_is_sent(
    client: SyncPrefectClient, tables: Engine, business: Path
) -> None:
    assert run("import-records", path=str(business)).state_name == "Completed"

    with held_up(tables, "reseller_reports") as waiting:
        stopped = start(client, "backfill", flow=REPORT, **MONTHS)
        report = begun(client, "2019-05", 1).id
        eventually(waiting)
        client.set_flow_run_state(report, Cancelling())
        assert state_reached(client, report) == "Cancelled"
    assert state_reached(client, stopped) == "Failed"
    [said] = summaries(client, stopped)
    assert "| cancelled | 1 |" in said
    assert "| not begun | 1 |" in said
    assert f"`{REPORT} 2019-05` cancelled: see why, then run this again" in said

    killed = start(client, "backfill", flow=REPORT, **MONTHS)
    begun(client, "2019-05", 2)
    kill(client, killed)
    last = run("backfill", flow=REPORT, **MONTHS)

    assert (last.name, last.state_name) == (f"backfill {REPORT} from 2019-05 to 2019-06", "Completed")
    assert [run.state_name for run in reports(client, "2019-05")] == ["Cancelled", "Completed"]
    assert [run.state_name for run in reports(client, "2019-06")] == ["Completed"]
    assert subruns(client, last.id) == {f"{REPORT} 2019-06"}
    with tables.connect() as db:
        made = db.execute(text("SELECT month FROM reseller_reports GROUP BY month ORDER BY min(id)")).scalars().all()
        sent = db.execute(
            text("SELECT count(*) FROM messages WHERE kind = 'reseller-report' AND business_date < '2019-07-01'")
        )
        assert [month for month in made if month < date(2019, 7, 1)] == [date(2019, 5, 1), date(2019, 6, 1)]
        assert sent.scalar() == 0


def test_a_run_that_waits_for_a_person_stops_it_and_another_is_not_started(client: SyncPrefectClient) -> None:
    sweep = client.read_deployment_by_name("daily-expiry-sweep/daily-expiry-sweep")
    waiting = client.create_flow_run_from_deployment(
        sweep.id, parameters={"business_date": "2019-06-01"}, tags=["a-test"], state=Suspended(), name="the waiting one"
    )
    summary = Summary("backfill", date(2019, 6, 2), False, uuid4())

    @flow  # artifacts belong to a run
    def two_days() -> None:
        run_in_order(summary, "daily-expiry-sweep", [date(2019, 6, 1), date(2019, 6, 2)], tag="a-test")

    two_days()
    client.delete_flow_run(waiting.id)
    assert summary.counts == {"waiting for a person": 1, "not begun": 1}
    assert summary.failures == 1
    assert summary.notes == ["`the waiting one` waits for a person: resume that run and decide, then run this again"]


def test_without_a_worker_nothing_is_started_that_would_wait_for_ever(bare_prefect: str) -> None:
    summary = Summary("backfill", date(2019, 6, 2), False, uuid4())
    with (
        temporary_settings({PREFECT_API_URL: bare_prefect}),
        pytest.raises(BadInput, match="flow: nobody would start the runs of daily-expiry-sweep"),
    ):
        run_in_order(summary, "daily-expiry-sweep", [date(2019, 6, 1)], tag="a-test")
