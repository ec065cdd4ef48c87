"""Missed and crashed runs: found and made up by themselves, on a real server and its worker."""

import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from sqlalchemy import Connection, Engine, text

from lifecycle.persistence import database
from lifecycle.rules.calendar import add_months, first_of_month, scheduled_moment
from tests.operations import eventually, held_up, run, start, state_reached, summaries

ROME = ZoneInfo("Europe/Rome")
REPORT = "monthly-reseller-report"


@pytest.fixture
def tables(server_database: str) -> Iterator[Engine]:
    engine = database.connect(server_database)
    yield engine
    engine.dispose()


def made_up_by_event(client: SyncPrefectClient, since: datetime, seconds: int = 90) -> FlowRun:
    """The first run of make-up that an event has started since then, when it has ended."""
    deadline = time.monotonic() + seconds
    while True:
        found = client.read_flow_runs(
            deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=["make-up"])),
            sort=FlowRunSort.EXPECTED_START_TIME_ASC,
        )
        for each in found:
            by_event = each.created_by and each.created_by.type == "AUTOMATION"
            if by_event and each.created and each.created >= since:
                state_reached(client, each.id)
                return client.read_flow_run(each.id)
        assert time.monotonic() < deadline, "no event has started make-up"
        time.sleep(0.5)


def test_a_worker_that_starts_looks_for_what_was_missed_and_a_new_installation_has_nothing(
    client: SyncPrefectClient,
) -> None:
    first = made_up_by_event(client, datetime.fromtimestamp(0, UTC))
    assert (first.name.split()[0], first.state_name) == ("make-up", "Completed")
    [summary] = summaries(client, first.id)
    assert "| periods to make up | 0 |" in summary


def record(db: Connection, month: date, started_at: datetime) -> None:
    """A report of that month that was made then."""
    db.execute(
        text("""
            INSERT INTO runs (id, flow, business_date, dry_run, outcome, started_at, finished_at)
            VALUES (gen_random_uuid(), :flow, :month, false, 'completed', :at, :at)"""),
        {"flow": REPORT, "month": month, "at": started_at},
    )


def outcomes(tables: Engine, month: date) -> list[str]:
    query = "SELECT outcome FROM runs WHERE flow = :flow AND business_date = :month ORDER BY started_at"
    with tables.connect() as db:
        return list(db.execute(text(query), {"flow": REPORT, "month": month}).scalars())


def kill(run_id: UUID) -> None:
    """Kill the process of that run as the kernel does when memory is short."""
    mark = f"PREFECT__FLOW_RUN_ID={run_id}".encode()
    [process] = [path for path in Path("/proc").glob("[0-9]*/environ") if holds(path, mark)]
    os.kill(int(process.parent.name), signal.SIGKILL)


def holds(environment: Path, mark: bytes) -> bool:
    try:
        return mark in environment.read_bytes().split(b"\0")
    except OSError:
        return False


def test_a_killed_report_is_recognised_and_made_again_within_minutes(
    client: SyncPrefectClient, tables: Engine, business: Path
) -> None:
    assert run("import-records", path=str(business)).state_name == "Completed"
    this_month = first_of_month(datetime.now(ROME).date())
    month = add_months(this_month, -1)
    with tables.begin() as db:
        record(db, add_months(month, -1), scheduled_moment(month, ROME) - timedelta(days=1))
        record(db, this_month, datetime.now(UTC))
    began = datetime.now(UTC)
    with held_up(tables, "reseller_reports") as waiting:
        killed = start(client, REPORT, month=f"{month:%Y-%m}")
        eventually(waiting)
        kill(killed)
        assert state_reached(client, killed) == "Crashed"

    made_up = made_up_by_event(client, began)
    assert made_up.state_name == "Completed"
    [summary] = summaries(client, made_up.id)
    assert f"| {REPORT} | {month:%Y-%m} |" in summary
    assert "are made, not sent" in summary
    assert outcomes(tables, month) == ["crashed", "completed"]  # said by make-up, or by the upkeep if that came first
    with tables.connect() as db:
        without = (
            "SELECT count(*) FROM resellers LEFT JOIN reseller_reports ON reseller_id = resellers.id AND month = :m"
        )
        assert db.execute(text(without + " WHERE month IS NULL"), {"m": month}).scalar() == 0
        sent = text("SELECT count(*) FROM messages WHERE kind = 'reseller-report' AND business_date = :m")
        assert db.execute(sent, {"m": month}).scalar() == 0
