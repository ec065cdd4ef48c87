"""The flows that look after an installation, run in this process against the session's server."""

import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId, TaskRunFilter, TaskRunFilterFlowRunId
from prefect.client.schemas.objects import State
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelled, Paused, Scheduled
from sqlalchemy import insert, text

from flows.business_day import today
from flows.health import health
from flows.housekeeping import housekeeping
from lifecycle.persistence import tables
from lifecycle.persistence.database import transaction
from lifecycle.rules.findings import BadInput
from lifecycle.rules.health import CARE, Matter
from lifecycle.rules.outbox import State as MessageState
from lifecycle.rules.runs import RunFailed
from tasks.housekeeping import ATTEMPTS, PREFECT_RUNS, RUNS, clear_prefect
from tests import cast
from tests.operations import log_of, summaries


@pytest.fixture(autouse=True)
def on_the_server(home: Path, prefect_api: str) -> Iterator[None]:
    """With an installation of its own."""
    with temporary_settings({PREFECT_API_URL: prefect_api}):
        yield


@task
def looks() -> None:
    create_markdown_artifact("looked")


@flow(name="of-a-test")
def of_a_test() -> str:
    looks()
    create_markdown_artifact("done")
    logging.getLogger("prefect.flow_runs").info("ended")
    return str(flow_run.id)


def waiting(client: SyncPrefectClient, state: State) -> UUID:
    return client.create_flow_run(of_a_test, state=state).id


def end(server_home: Path, runs: list[UUID], moment: datetime) -> None:
    """Let runs have ended then, as far as the server knows."""
    with closing(sqlite3.connect(server_home / "prefect" / "prefect.db", timeout=60)) as db, db:
        for run in runs:
            told = (moment.strftime("%Y-%m-%d %H:%M:%S.%f"), str(run))
            assert db.execute("UPDATE flow_run SET end_time = ? WHERE id = ?", told).rowcount == 1


def traces(client: SyncPrefectClient, run: UUID) -> tuple[int, int, int]:
    """How many artifacts, task runs and lines of the log there are."""
    of_run = TaskRunFilter(flow_run_id=TaskRunFilterFlowRunId(any_=[run]))
    logs = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run]))
    return len(summaries(client, run)), len(client.read_task_runs(task_run_filter=of_run)), len(client.read_logs(logs))


def test_old_runs_go_with_all_they_left_and_those_that_wait_stay(client: SyncPrefectClient, server_home: Path) -> None:
    ended, young = UUID(of_a_test()), UUID(of_a_test())
    log_of(client, ended, "ended")
    log_of(client, young, "ended")
    assert min(traces(client, ended)) > 0
    cancelled = waiting(client, Cancelled())
    stay = [waiting(client, Paused()), waiting(client, Scheduled()), young]
    cutoff = datetime(2020, 1, 1, tzinfo=UTC)
    end(server_home, [ended, cancelled, *stay[:2]], cutoff - timedelta(hours=1))

    assert clear_prefect.fn(cutoff, dry_run=True) == {PREFECT_RUNS: 2}
    assert clear_prefect.fn(cutoff, dry_run=False) == {PREFECT_RUNS: 2}
    assert clear_prefect.fn(cutoff, dry_run=False) == {PREFECT_RUNS: 0}

    for gone in (ended, cancelled):
        with pytest.raises(ObjectNotFound):
            client.read_flow_run(gone)
    assert {client.read_flow_run(run).id for run in stay} == set(stay)
    deadline = time.monotonic() + 30
    while traces(client, ended) != (0, 0, 0) and time.monotonic() < deadline:
        time.sleep(0.3)
    assert traces(client, ended) == (0, 0, 0)
    assert min(traces(client, young)) > 0


def test_a_dry_run_counts_what_the_real_one_removes_and_days_to_come_can_only_be_tried() -> None:
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    with transaction() as db:
        run_id, unnamed = uuid4(), uuid4()
        told = {"flow": "f", "business_date": long_ago.date(), "dry_run": False, "started_at": long_ago}
        db.execute(insert(tables.runs).values([{"id": id_, "outcome": "failed", **told} for id_ in (run_id, unnamed)]))
        cast.reports(db, ["a"], run_id, long_ago.date(), None)
        db.execute(text("UPDATE messages SET state = 'sent'"))
        db.execute(
            text("""
            INSERT INTO message_attempts (message_id, worker, carrier, started_at)
            SELECT id, '1', 'smtp:mail:25', '2020-01-01' FROM messages"""),
        )
    expected = {
        f"{ATTEMPTS}, older than 365 days": 1,
        f"{RUNS}, older than 1095 days": 1,
        f"{PREFECT_RUNS}, older than 90 days": 0,
    }
    assert housekeeping(dry_run=True).counts == expected
    assert housekeeping().counts == expected
    assert set(housekeeping().counts.values()) == {0}
    with pytest.raises(BadInput):
        housekeeping(business_date=today() + timedelta(days=400))


def test_health_completes_until_a_person_is_needed_and_then_says_for_what(
    client: SyncPrefectClient,
) -> None:
    found = health()
    assert found.failures == 0
    assert found.notes[0] == "nobody is needed"
    assert found.counts["database, MB"] > 0
    with transaction() as db:
        cast.reports(db, ["a", "b"], found.run_id, today(), None)
        db.execute(tables.messages.update().values(state=MessageState.FAILED))
    with pytest.raises(RunFailed) as error:
        health()
    summary = error.value.summary
    assert summary.failures == summary.counts[Matter.FAILED] == 2
    assert str(error.value) == "2 failed: messages that could not be delivered 2"
    with transaction() as db:
        kept = text("SELECT outcome, prefect_flow_run_id FROM runs WHERE id = :id")
        outcome, run = db.execute(kept, {"id": summary.run_id}).one()
    assert outcome == "failed"
    [told] = summaries(client, run)
    assert f"| {Matter.FAILED} | 2 | {today()} " in told
    assert CARE[Matter.FAILED].to_do in told
