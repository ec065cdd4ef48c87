"""A withdrawal as operators know it: form, preview, confirmation; and in two steps on the command line."""

import email
import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from email import policy
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from playwright.sync_api import Page, expect
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.client.schemas.objects import Artifact
from prefect.states import Cancelled, Suspended
from sqlalchemy import Engine, text

from deployments import deploy, launcher, show
from deployments.run import run
from flows.erasure_upkeep import erasure_upkeep
from flows.membership_withdrawal import WAIT_DAYS, membership_withdrawal
from lifecycle.persistence import database
from lifecycle.persistence import membership_withdrawal as withdrawals
from lifecycle.rules.findings import BadInput
from lifecycle.rules.membership_withdrawal import Request
from lifecycle.rules.runs import WaitsForPerson
from tests import cast
from tests.forms import choose, submitted
from tests.operations import state_reached, summaries, summary_artifacts
from tests.sweeping import started

FLOW = "membership-withdrawal"
NOTE = "Zephyrine moves to Vladivostok"
LAST_DAY = "2030-06-01"


@pytest.fixture
def tables(server_database: str) -> Iterator[Engine]:
    engine = database.connect(server_database)
    yield engine
    engine.dispose()


def a_customer(db: Any, code: str) -> None:
    """With a plan of twelve instalments in 2030, the 1 December submitted, and one from month to month."""
    id_ = cast.customer(db, code)
    db.execute(text("UPDATE customers SET email = 'xenia@example.com', locale = 'en' WHERE id = :id"), {"id": id_})
    mandate = cast.mandate(db, id_, f"{code}-M")
    plan = cast.plan(db, id_, f"{code}-P", starts_on=date(2030, 1, 1), mandate=mandate)
    cast.membership(db, id_, f"{code}-R", starts_on=date(2030, 5, 1), mandate=mandate)
    cast.action_type(db, f"{code}-W", in_agenda=True)
    cast.operator(db, f"{code}-O")
    submitted = "UPDATE instalments SET status = 'submitted' WHERE subscription_id = :id AND due_on = '2030-12-01'"
    db.execute(text(submitted), {"id": plan})


def preview(client: SyncPrefectClient, run_id: UUID, number: int) -> Artifact:
    """Wait until the run has shown and asked so many-th time. Returns what it shows."""
    assert state_reached(client, run_id, suspended=True) == "Suspended"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        asked = sum("-schema" in one.key for one in client.filter_flow_run_input(run_id, "suspended-", 20, set()))
        # The summary comes last: the run is suspended before its process ends.
        if asked == number == len(shown := summary_artifacts(client, run_id)):
            return shown[-1]
    pytest.fail("nothing is asked")


@pytest.mark.browser
def test_in_the_browser_it_is_shown_asked_again_when_something_changed_and_done_and_the_note_is_nowhere_in_prefect(
    running: launcher.Running,
    client: SyncPrefectClient,
    page: Page,
    tables: Engine,
    server_home: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with tables.begin() as db:
        a_customer(db, "MW")
    deploy.offer_choices(running.api)

    deployment = client.read_deployment_by_name(f"{FLOW}/{FLOW}")
    page.goto(f"{running.ui}/deployments/deployment/{deployment.id}/run")
    expect(page.get_by_text("MW-W (Type MW-W)")).to_be_visible()
    page.get_by_label("customer").fill("MW")
    page.get_by_label("memberships").fill("MW-P, MW-R")
    choose(page, "action_type", "MW-W")
    page.get_by_text("Pick a date").first.click()
    page.get_by_placeholder("yyyy-MM-dd").fill(LAST_DAY)
    page.keyboard.press("Escape")
    page.get_by_label("notes").fill(NOTE)
    choose(page, "operator", "MW-O")
    page.screenshot(path=tmp_path / "form.png", full_page=True)
    run_id = UUID(submitted(page)["id"])
    page.goto(f"{running.ui}/artifacts/artifact/{preview(client, run_id, 1).id}")
    expect(page.get_by_role("cell", name="MW-M: ends").first).to_be_visible(timeout=30_000)
    page.screenshot(path=tmp_path / "preview.png", full_page=True)
    with tables.begin() as db:
        paid = "UPDATE instalments SET status = 'paid' FROM subscriptions AS of WHERE of.id = subscription_id"
        db.execute(text(f"{paid} AND of.code = 'MW-P' AND due_on = '2030-06-01'"))

    def resume(screenshot: str) -> None:
        page.goto(f"{running.ui}/runs/flow-run/{run_id}")
        page.get_by_role("button").filter(has=page.locator("svg.lucide-ellipsis-vertical")).first.click()
        page.get_by_role("menuitem", name="Resume").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_text("it cannot be undone, one sells anew").first).to_be_visible(timeout=30_000)
        dialog.get_by_label("Decision").click()
        page.get_by_role("option", name="withdraw", exact=True).click()
        page.screenshot(path=tmp_path / f"{screenshot}.png")
        for _ in range(3):  # a server under load may ask to try again, as a person would
            with page.expect_response(re.compile("/resume$")) as answered:
                dialog.get_by_role("button", name="Resume").click()
            if answered.value.ok:
                break

    resume("first")
    preview(client, run_id, 2)
    resume("second")
    assert state_reached(client, run_id) == "Completed"

    first, second, last = summaries(client, run_id)
    assert "| owed | EUR | 6 | 73.20 |" in first
    assert "| owed | EUR | 5 | 61.00 |" in second
    assert "| MW-P | 2030-07-01 | 12.20 | EUR | due | removed |" in last
    assert "| MW-P | 2030-12-01 | 12.20 | EUR | submitted | to be refunded |" in last
    assert f"| MW-R | {LAST_DAY} | 2030-05-31 | until {LAST_DAY}, then stopped | sepa: no longer | MW-M: ends |" in last
    assert "| memberships withdrawn | 2 |" in last
    show.customer("MW", None, as_json=True)
    told = json.loads(capsys.readouterr().out)
    [action] = told["crm_actions"]
    assert (action["type"], action["operator"], action["note"]) == ("MW-W", "MW-O", NOTE)
    files = [file.read_bytes() for file in (server_home / "mail" / "new").iterdir()]
    mails = [email.message_from_bytes(file, policy=policy.default) for file in files if b"xenia@example.com" in file]
    assert [mail["X-Lifecycle-Kind"] for mail in mails] == ["withdrawal-acknowledged"]
    assert client.read_flow_run(run_id).parameters["notes"] == ""
    kept = [*(server_home / "prefect").rglob("*"), *(server_home / "logs").glob("*.log")]
    stored = b"".join(file.read_bytes() for file in kept if file.is_file() and "ui" not in file.parts)
    assert f"{FLOW} MW {LAST_DAY}".encode() in stored
    assert [word for word in (*NOTE.split(), "xenia@") if len(word) > 5 and word.encode() in stored] == []


def test_on_the_command_line_a_first_run_shows_and_a_second_one_confirms(
    home: Path, client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with database.transaction() as db:
        a_customer(db, "MC")

    def lifecycle(*tokens: str, as_json: bool = True) -> str:
        given = {"customer": "MC", "memberships": "MC-R,MC-P", "action_type": "MC-W", "operator": "MC-O"}
        given |= {"withdrawal_date": LAST_DAY, "notes": NOTE}
        run(FLOW, [*(f"--{name}={value}" for name, value in given.items()), *tokens], as_json=as_json)
        return capsys.readouterr().out

    with pytest.raises(WaitsForPerson, match="nothing is changed yet") as waits:
        lifecycle()
    assert json.loads(capsys.readouterr().out)["outcome"] == "waiting"
    [digest] = re.findall("--confirm ([0-9a-f]{16})", str(waits.value))
    assert "\nMC-P        2030-12-01  12.20   EUR       submitted      to be refunded\n" in lifecycle(
        "--dry-run", as_json=False
    )
    with pytest.raises(BadInput, match="confirm: '0123456789abcdef' does not stand for what it would do now"):
        lifecycle("--confirm=0123456789abcdef")
    with pytest.raises(BadInput, match="dry_run: what is confirmed is done"):
        lifecycle(f"--confirm={digest}", "--dry-run")
    with pytest.raises(BadInput, match=f"confirm: '{digest}' does not stand"):
        lifecycle(f"--confirm={digest}", "--withdrawal_date=2030-06-02")
    with monkeypatch.context() as deployed:
        deployed.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", str(uuid4()))
        with pytest.raises(BadInput, match="confirm: confirms on the command line"):
            lifecycle(f"--confirm={digest}")
    capsys.readouterr()

    done = json.loads(lifecycle(f"--confirm={digest}"))
    counts = {what: done["counts"][what] for what in ("memberships withdrawn", "instalments owed", "mandates ended")}
    assert (done["outcome"], counts) == (
        "completed",
        {"memberships withdrawn": 2, "instalments owed": 6, "mandates ended": 1},
    )
    assert json.loads(lifecycle())["counts"]["withdrawn before"] == 2
    ours = client.read_flow_runs(flow_filter=FlowFilter(name=FlowFilterName(any_=[FLOW])))
    assert {run.parameters["notes"] for run in ours} == {""}


def test_what_nobody_answered_is_refused_its_note_forgotten_and_set_going_again_it_says_so(
    home: Path, client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    suspended, old = (client.create_flow_run(membership_withdrawal, state=Suspended()).id for _ in range(2))
    ended = client.create_flow_run(membership_withdrawal, state=Cancelled()).id
    request = Request("MU", ("MU-P",), "MU-W", date(2030, 6, 1), NOTE, "MU-O", "")
    day, now = date(2026, 3, 10), datetime.now(UTC)
    run_id = started(FLOW, day)
    with database.transaction() as db:
        a_customer(db, "MU")
        for waiting, days in {suspended: WAIT_DAYS, old: WAIT_DAYS + 2, ended: 0, uuid4(): 0}.items():
            withdrawals.await_answer(db, request, day, waiting, run_id, now - timedelta(days=days))

    def notes() -> list[str]:
        with database.transaction() as db:
            return list(db.execute(text("SELECT note FROM withdrawals WHERE note IS NOT NULL")).scalars())

    refused = {"withdrawals that nobody answered, refused": 3}
    assert erasure_upkeep(dry_run=True).counts == refused
    assert notes() == [NOTE] * 4
    assert erasure_upkeep().counts == refused | {"runs whose process died": 1}  # the one that asked
    assert notes() == [NOTE]
    assert erasure_upkeep().counts == {}

    monkeypatch.setenv("PREFECT__RUNTIME__FLOW_RUN__ID", str(ended))
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", str(uuid4()))
    again = membership_withdrawal("MU", "MU-P", "MU-W", date(2030, 6, 1), operator="MU-O")
    assert again.counts == {"withdrawal refused": 1}
