"""An erasure as an administrator knows it: form, preview, code; the command line; and what is left where it dies."""

import email
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime
from email import policy
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from playwright.sync_api import Page, expect
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterType,
    FlowFilter,
    FlowFilterName,
)
from prefect.client.schemas.objects import Artifact
from prefect.runtime import flow_run
from prefect.states import Suspended
from sqlalchemy import Engine, text

from deployments import launcher
from flows.erasure_upkeep import erasure_upkeep
from flows.gdpr_erasure_batch import gdpr_erasure_batch
from lifecycle.persistence import database
from lifecycle.rules.erasure import Criteria
from lifecycle.rules.findings import BadInput
from lifecycle.rules.runs import WaitsForPerson
from lifecycle.rules.segment import Segment
from lifecycle.settings import settings
from tasks import gdpr_erasure_batch as erasures
from tasks.gdpr_erasure_batch import Answer, Order
from tests import cast
from tests.forms import submitted
from tests.operations import state_reached, summaries
from tests.sweeping import started

MARKUP = "[Xanthippe](javascript:alert(1)) <script>"
NAMES = {"GE-1": MARKUP, "GE-2": "Quillon Zwetschgenbaum", "GE-3": "Yolanthe Brixworth"}
ATLANTIS = {"reseller": [], "product": [], "policy": [], "status": [], "language": [], "country": ["Atlantis"]}


def inactive(db: Any, names: dict[str, str]) -> None:
    for code, name in names.items():
        id_ = cast.customer(db, code)
        db.execute(
            text("UPDATE customers SET name = :name, created_on = '2015-01-01', country = 'Atlantis' WHERE id = :id"),
            {"id": id_, "name": name},
        )


@pytest.fixture
def tables(server_database: str) -> Iterator[Engine]:
    engine = database.connect(server_database)
    yield engine
    engine.dispose()


def previews(client: SyncPrefectClient, run_id: UUID) -> list[Artifact]:
    those = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]), type=ArtifactFilterType(any_=["table"]))
    return client.read_artifacts(artifact_filter=those)


def question(client: SyncPrefectClient, run_id: UUID, *, attempt: int) -> None:
    """Wait until the run asks for so many-th time."""
    assert state_reached(client, run_id, suspended=True) == "Suspended"
    for _ in range(100):
        given = client.filter_flow_run_input(run_id, "suspended-", 20, set())
        if any(f"-{attempt}-schema" in one.key for one in given):
            return
    pytest.fail("nothing is asked")


@pytest.mark.browser
def test_in_the_browser_an_administrator_sees_names_takes_one_out_and_confirms_and_then_they_are_gone(
    running: launcher.Running,
    client: SyncPrefectClient,
    page: Page,
    tables: Engine,
    server_home: Path,
    tmp_path: Path,
) -> None:
    with tables.begin() as db:
        inactive(db, NAMES)
        cast.operator(db, "GEA")
        codes_secret = cast.enrolled(db, "GEA")

    deployment = client.read_deployment_by_name("gdpr-erasure-batch/gdpr-erasure-batch")
    page.goto(f"{running.ui}/deployments/deployment/{deployment.id}/run")
    page.locator("button", has_text="as inactive_days").click()
    page.get_by_role("option", name="1 year", exact=True).click()
    page.get_by_role("button", name="Add item").last.click()
    page.locator("textarea").first.fill("Atlantis")
    page.screenshot(path=tmp_path / "form.png", full_page=True)
    made = submitted(page)
    assert (made["parameters"]["preset"], made["parameters"]["segment"]) == ("1 year", ATLANTIS)
    run_id = UUID(made["id"])
    question(client, run_id, attempt=0)

    [preview] = previews(client, run_id)
    for site in (running.ui.removesuffix("/v2"), running.ui):
        page.goto(f"{site}/artifacts/artifact/{preview.id}")
        for code, name in NAMES.items():
            row = page.get_by_role("row").filter(has_text=code)
            expect(row).to_be_visible()
            assert name in row.inner_text().replace("\u2060", "")
        assert page.locator("a[href^=javascript]").count() == 0
        page.screenshot(path=tmp_path / f"preview-{'v2' if site == running.ui else 'v1'}.png")

    def resume(code: str, leave_out: str) -> None:
        page.goto(f"{running.ui}/runs/flow-run/{run_id}")
        page.get_by_role("button").filter(has=page.locator("svg.lucide-ellipsis-vertical")).first.click()
        page.get_by_role("menuitem", name="Resume").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_text("it cannot be undone")).to_be_visible()
        dialog.get_by_label("Decision").click()
        page.get_by_role("option", name="erase", exact=True).click()
        dialog.get_by_label("Leave out").fill(leave_out)
        dialog.get_by_label("Operator").fill("GEA")
        dialog.get_by_label("One-time code").fill(code)
        page.screenshot(path=tmp_path / f"approval-{code}.png")
        for _ in range(3):  # a server under load may ask to try again, as a person would
            with page.expect_response(re.compile("/resume$")) as answered:
                dialog.get_by_role("button", name="Resume").click()
            if answered.value.ok:
                break

    resume(cast.one_time_code(codes_secret, datetime.now(UTC)), leave_out="GE-2, Mario")
    question(client, run_id, attempt=1)
    resume(cast.one_time_code(codes_secret, datetime.now(UTC)), leave_out="GE-2")
    assert state_reached(client, run_id) == "Completed"

    said = summaries(client, run_id)[-1]
    assert "| erased | 2 |" in said
    assert "| taken out | 1 | GE-2 |" in said
    with tables.connect() as db:
        query = "SELECT code, name, erased_on IS NOT NULL FROM customers WHERE country = 'Atlantis' ORDER BY code"
        assert [tuple(row) for row in db.execute(text(query))] == [
            ("GE-1", "", True), ("GE-2", NAMES["GE-2"], False), ("GE-3", "", True),
        ]  # fmt: skip
    assert previews(client, run_id) == []
    assert client.filter_flow_run_input(run_id, "", 20, set()) == []
    files = [file.read_bytes() for file in (server_home / "mail" / "new").iterdir()]
    mails = [mail for mail in (email.message_from_bytes(file, policy=policy.default) for file in files)
             if mail["X-Lifecycle-Kind"] == "erasure-done" and "gea@example.com" in str(mail["To"])]  # fmt: skip
    assert len(mails) == 1
    kept = [*(server_home / "prefect").rglob("*"), *(server_home / "logs").glob("*.log")]
    stored = b"".join(file.read_bytes() for file in kept if file.is_file() and "ui" not in file.parts)
    assert b"gdpr-erasure-batch" in stored
    assert [name for name in ("Xanthippe", "Quillon", "Zwetschgenbaum", "Yolanthe") if name.encode() in stored] == []


@pytest.fixture
def anna(home: Path, client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch) -> str:
    """What an administrator's codes are made from, in an installation of the test's own, with inactive customers."""
    monkeypatch.setenv("LIFECYCLE_OPERATOR_SECRET", cast.OPERATOR_SECRET)
    settings.cache_clear()
    with database.transaction() as db:
        inactive(db, NAMES)
        cast.operator(db, "ANNA")
        return cast.enrolled(db, "ANNA")


def code_now(codes_secret: str) -> str:
    return cast.one_time_code(codes_secret, datetime.now(UTC))


def test_on_the_command_line_a_first_run_shows_and_a_second_one_approves(anna: str, client: SyncPrefectClient) -> None:
    with pytest.raises(WaitsForPerson, match="an administrator approves it") as waits:
        gdpr_erasure_batch(inactive_days=365)
    assert waits.value.summary.counts == {"found": 3}
    with pytest.raises(BadInput, match="one_time_code: is wrong"):
        gdpr_erasure_batch(inactive_days=365, operator="ANNA", one_time_code=wrong(anna))
    summary = gdpr_erasure_batch(inactive_days=365, exclude="GE-2", operator="ANNA", one_time_code=code_now(anna))
    assert {what: summary.counts[what] for what in ("shown", "erased", "taken out", "sent")} == {
        "shown": 3, "erased": 2, "taken out": 1, "sent": 1,
    }  # fmt: skip
    ours = client.read_flow_runs(flow_filter=FlowFilter(name=FlowFilterName(any_=["gdpr-erasure-batch"])))
    parameters = [run.parameters for run in ours if run.parameters.get("inactive_days") == 365]
    assert {(given["operator"], given["one_time_code"]) for given in parameters} == {("", "")}


def wrong(codes_secret: str) -> str:
    now = datetime.now(UTC).timestamp()
    near = {cast.one_time_code(codes_secret, datetime.fromtimestamp(now + 30 * step, UTC)) for step in range(-30, 30)}
    return next(code for code in map("{:06}".format, range(100)) if code not in near)


@flow
def shows_and_dies() -> UUID:
    """A run that waited, and was killed: it has removed nothing."""
    day = date(2026, 6, 1)
    order = Order(Criteria.of_days(day, 365), Segment(), (), started("gdpr-erasure-batch", day), UUID(flow_run.id))
    assert erasures.show(order).erasure
    return UUID(flow_run.id)


def test_a_run_whose_erasure_is_approved_elsewhere_waits_no_more(anna: str, client: SyncPrefectClient) -> None:
    waiting = client.create_flow_run(shows_and_dies, state=Suspended()).id
    with suppress(WaitsForPerson):
        gdpr_erasure_batch(inactive_days=365)
    with database.transaction() as db:
        db.execute(text("UPDATE erasures SET prefect_flow_run_id = :run"), {"run": waiting})
    gdpr_erasure_batch(inactive_days=365, operator="ANNA", one_time_code=code_now(anna))
    state = client.read_flow_run(waiting).state
    assert state
    assert state.is_cancelled()


def seen_to(*, dry_run: bool = False) -> Counter[str]:
    """What upkeep counts of erasures; the runs that they name here have no process."""
    counts = erasure_upkeep(dry_run=dry_run).counts
    del counts["runs whose process died"]
    return counts


def test_what_a_run_that_died_has_shown_is_removed_and_what_was_approved_is_carried_out(
    anna: str, client: SyncPrefectClient
) -> None:
    died = shows_and_dies()
    assert len(previews(client, died)) == 1
    assert seen_to(dry_run=True) == {"over": 1}
    assert seen_to() == {"over": 1, "refused": 1}
    assert previews(client, died) == []
    assert seen_to() == {}

    with suppress(WaitsForPerson):
        gdpr_erasure_batch(inactive_days=365)
    assert seen_to() == {"waiting": 1}
    [shown] = erasures.unfinished()
    erasures.approve(shown, Answer("ANNA", code_now(anna), datetime.now(UTC), ()))
    with erasures.carrying_out(shown):
        assert seen_to() == {"carried out": 1}
    assert seen_to()["erased"] == 3
    assert seen_to() == {}
