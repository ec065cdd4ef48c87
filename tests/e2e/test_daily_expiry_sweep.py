"""The sweep as it runs in production: deployed, held by the brake, decided by a person who comes later."""

import json
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from playwright.sync_api import Page, expect
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.responses import SetStateStatus
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Scheduled, Suspended
from sqlalchemy import Engine, text

from deployments import launcher
from lifecycle.persistence import database
from tests.operations import log_of, personal_values_in_prefect, run, start, state_reached, summaries, summary_artifacts

SWEEP = "daily-expiry-sweep"
PLANNED = "planned: access disabled"
HELD_DAY = "2019-08-10"
LATER_DAY = "2019-10-15"

CARRY_OUT = {"decision": "carry out"}


@pytest.fixture(scope="module")
def tables(server_database: str) -> Iterator[Engine]:
    engine = database.connect(server_database)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module", autouse=True)
def _warned(running: launcher.Running, business: Path) -> None:
    """The sample business, its customers warned on 1 July: some weeks later the access of many ends at once."""
    with temporary_settings({PREFECT_API_URL: running.api}):
        assert run("import-records", path=str(business)).state_name == "Completed"
        assert run(SWEEP, business_date="2019-07-01").state_name == "Completed"


def rows(tables: Engine, query: str, **values: Any) -> list[tuple[Any, ...]]:
    with tables.connect() as db:
        return [tuple(row) for row in db.execute(text(query), values)]


def changes(tables: Engine) -> list[tuple[Any, ...]]:
    """All that a sweep can change, in figures."""
    return rows(
        tables,
        """SELECT (SELECT count(*) FROM transitions), (SELECT count(*) FROM messages),
            (SELECT count(*) FROM message_attempts),
            (SELECT count(*) FROM subscription_status WHERE status = 'active'),
            (SELECT sum(due_on - date '2000-01-01') FROM subscription_status)""",
    )


def outcomes(tables: Engine, prefect_id: UUID) -> list[str]:
    query = "SELECT outcome FROM runs WHERE prefect_flow_run_id = :id ORDER BY started_at"
    return [outcome for (outcome,) in rows(tables, query, id=prefect_id)]


def sent(tables: Engine, prefect_id: UUID) -> dict[str, tuple[int, int]]:
    """What the run's messages came to: by kind, how many were sent, and at how many tries."""
    query = """
        SELECT messages.kind, count(DISTINCT messages.id), count(attempts.id)
        FROM messages JOIN runs ON runs.id = run_id JOIN message_attempts AS attempts ON message_id = messages.id
        WHERE prefect_flow_run_id = :id AND messages.state = 'sent' GROUP BY messages.kind"""
    return {kind: (messages, tries) for kind, messages, tries in rows(tables, query, id=prefect_id)}


def await_person(client: SyncPrefectClient, run_id: UUID, summaries_by_then: int = 1) -> None:
    """Wait until the run waits for a person, who finds its summary."""
    assert state_reached(client, run_id, suspended=True) == "Suspended"
    deadline = time.monotonic() + 30
    while len(summaries(client, run_id)) < summaries_by_then:
        assert time.monotonic() < deadline, "no summary"
        time.sleep(0.1)


def held(client: SyncPrefectClient, **parameters: Any) -> UUID:
    run_id = start(client, SWEEP, **parameters)
    await_person(client, run_id)
    return run_id


def lifecycle(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from deployments.cli import main; main()", *arguments],
        env=os.environ | {"LIFECYCLE_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_held_plan_waits_changes_nothing_and_is_carried_out_once_when_a_person_says_so(
    client: SyncPrefectClient,
    tables: Engine,
    power_cut: Callable[[], Callable[[], None]],
    server_home: Path,
    business: Path,
) -> None:
    worker_log = server_home / "logs" / "worker.log"
    logged = worker_log.stat().st_size
    before = changes(tables)
    waiting = held(client, business_date=HELD_DAY)
    assert changes(tables) == before
    assert outcomes(tables, waiting) == ["waiting"]
    [summary] = summaries(client, waiting)
    assert "81 of 510 active subscriptions would be cut off" in summary
    assert "| planned: access disabled | 81 |" in summary
    assert "| access disabled | LIC-OFFICE | 25 |" in summary

    # It holds no slot: another sweep runs meanwhile.
    other = run(SWEEP, business_date="2019-07-01")
    assert other.state_name == "Completed"
    assert changes(tables) == before

    start_worker = power_cut()
    refused = client.resume_flow_run(waiting, run_input={"decision": "perhaps"})
    assert refused.status is SetStateStatus.REJECT
    assert client.read_flow_run(waiting).state_name == "Suspended"
    assert client.resume_flow_run(waiting, run_input=CARRY_OUT).status is SetStateStatus.ACCEPT
    start_worker()
    assert state_reached(client, waiting) == "Completed"
    assert outcomes(tables, waiting) == ["waiting", "completed"]
    assert sent(tables, waiting) == {
        "access.disabled": (81, 81),
        "access-disabled": (81, 81),
        "expired-3-months": (51, 51),
    }
    after = changes(tables)
    assert after[0][0] - before[0][0] == before[0][3] - after[0][3] == 81

    assert client.resume_flow_run(waiting, run_input=CARRY_OUT).status is SetStateStatus.ABORT

    lines = log_of(client, waiting, until="daily-expiry-sweep completed: access disabled 81, ")
    assert [line.message for line in lines if line.level >= logging.WARNING] == []
    workers = worker_log.read_bytes()[logged:].decode()
    assert [line for line in workers.splitlines() if "WARNING" in line or "ERROR" in line or "Traceback" in line] == []
    assert personal_values_in_prefect(server_home, business, f"{SWEEP} {HELD_DAY}") == set()


def test_an_answer_is_for_one_plan_and_a_run_that_starts_anew_asks_again(
    client: SyncPrefectClient, tables: Engine
) -> None:
    before = changes(tables)
    waiting = held(client, business_date=LATER_DAY)
    # Nothing said means no.
    assert client.resume_flow_run(waiting, run_input={}).status is SetStateStatus.ACCEPT
    assert state_reached(client, waiting) == "Completed"
    assert "| plan refused | 1 |" in summaries(client, waiting)[-1]
    assert changes(tables) == before

    client.set_flow_run_state(waiting, Scheduled(), force=True)
    await_person(client, waiting, summaries_by_then=3)
    assert outcomes(tables, waiting) == ["waiting", "completed", "waiting"]

    # Nobody answers for a week.
    state = client.read_flow_run(waiting).state
    assert state
    limit: datetime | None = state.state_details.pause_timeout
    assert limit
    assert timedelta(days=6, hours=23) < limit - datetime.now(UTC) <= timedelta(days=7)
    client.set_flow_run_state(waiting, Suspended(pause_expiration_time=datetime.now(UTC)), force=True)
    assert state_reached(client, waiting) == "Failed"
    state = client.read_flow_run(waiting).state
    assert state
    assert state.message == "The flow was paused and never resumed."
    assert client.resume_flow_run(waiting, run_input=CARRY_OUT).status is SetStateStatus.ABORT
    assert changes(tables) == before


@pytest.mark.browser
def test_in_the_browser_a_person_reads_the_summary_in_either_theme_and_decides(
    running: launcher.Running, client: SyncPrefectClient, page: Page, tables: Engine, tmp_path: Path
) -> None:
    waiting = held(client, business_date=LATER_DAY)
    [summary] = summary_artifacts(client, waiting)
    for site in (running.ui, running.ui.removesuffix("/v2")):
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)
            page.goto(f"{site}/artifacts/artifact/{summary.id}")
            expect(page.get_by_role("cell", name="planned: access disabled")).to_be_visible()
            chart = page.get_by_role("img", name="Expiries per month")
            expect(chart).to_be_visible()
            assert chart.evaluate("image => image.complete && image.naturalWidth") == 754
            page.screenshot(path=tmp_path / f"summary-{'v2' if site == running.ui else 'v1'}-{theme}.png")

    page.goto(f"{running.ui}/runs/flow-run/{waiting}")
    page.get_by_role("button").filter(has=page.locator("svg.lucide-ellipsis-vertical")).first.click()
    page.get_by_role("menuitem", name="Resume").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text(re.compile(r"planned: access disabled: \d+"))).to_be_visible()
    decision = dialog.get_by_label("Decision")
    expect(decision).to_have_text("refuse")
    decision.click()
    page.get_by_role("option", name="carry out").click()
    page.screenshot(path=tmp_path / "decision.png")
    for _ in range(3):  # a server under load may ask to try again, as a person would
        with page.expect_response(re.compile("/resume$")) as answer:
            dialog.get_by_role("button", name="Resume").click()
        if answer.value.ok:
            break
    assert state_reached(client, waiting) == "Completed"
    assert outcomes(tables, waiting) == ["waiting", "completed"]


def test_on_the_command_line_the_brake_is_status_3_and_the_digest_approves_once(
    prefect_api: str, server_home: Path, tables: Engine
) -> None:
    before = changes(tables)
    stopped = lifecycle(server_home, "run", SWEEP, "--business_date", "2020-02-15", "--json")
    assert stopped.returncode == 3
    result = json.loads(stopped.stdout.splitlines()[-1])
    assert result["outcome"] == "waiting"
    # The domain whose card another test has mailed is to be suspended.
    suspended = result["counts"].get("planned: service suspended", 0)
    assert result["counts"]["held by brake"] == result["counts"][PLANNED] + suspended
    assert changes(tables) == before
    digest = re.search(r"--approve_plan ([0-9a-f]{16})", stopped.stderr)
    assert digest

    tried = lifecycle(server_home, "run", SWEEP, "--approve_plan", digest[1], "--dry_run")
    assert tried.returncode == 2
    assert changes(tables) == before

    approved = lifecycle(server_home, "run", SWEEP, "--approve_plan", digest[1], "--json")
    assert approved.returncode == 0
    done = json.loads(approved.stdout.splitlines()[-1])
    assert (done["business_date"], done["counts"]["access disabled"]) == ("2020-02-15", result["counts"][PLANNED])

    again = lifecycle(server_home, "run", SWEEP, "--approve_plan", digest[1])
    assert again.returncode == 2
    assert f"no plan '{digest[1]}' waits" in again.stderr


def test_a_day_that_is_yet_to_come_can_only_be_tried(prefect_api: str, server_home: Path, tables: Engine) -> None:
    before = changes(tables)
    day = str(datetime.now(UTC).date() + timedelta(days=3))
    tried = lifecycle(server_home, "run", SWEEP, "--business_date", day, "--dry_run")
    assert (tried.returncode, tried.stderr.count("yet to come")) == (0, 0)
    refused = lifecycle(server_home, "run", SWEEP, "--business_date", day, "--json")
    assert refused.returncode == 2
    said = json.loads(refused.stdout.splitlines()[-1])
    assert (said["outcome"], said["business_date"], said["run_id"] is None) == ("refused", day, False)
    assert f"{day} is yet to come" in refused.stderr
    assert changes(tables) == before
