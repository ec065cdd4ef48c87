"""Whatever happens to the processes that queue and send a mailing, each recipient has it once afterwards."""

import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from email import message_from_bytes
from pathlib import Path

import pytest
from sqlalchemy import text

from lifecycle.persistence.database import transaction
from lifecycle.settings import settings
from tests import mailing
from tests.billing import change, rows
from tests.mailing import business, deliver, write
from tests.sweeping import dying_after, mortal

RECIPIENTS = 30
DELIVERER = "from tests.mailing import deliver; deliver()"


@pytest.fixture(autouse=True)
def spring(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The business with more customers, all of them willing, and a mailing."""
    business(home, monkeypatch)
    write(home)
    change("DELETE FROM associations; DELETE FROM subscription_status; DELETE FROM terms; DELETE FROM subscriptions")
    with transaction() as db:
        db.execute(text("SET LOCAL session_replication_role = replica"))
        for table in ("consents", "objections", "customers"):
            db.execute(text(f"DELETE FROM {table}"))
    change(f"""
        INSERT INTO customers (code, kind, name, email)
        SELECT 'C' || i, 'person', 'Customer ' || i, 'c' || i || '@example.com'
        FROM generate_series(1, {RECIPIENTS}) AS i""")
    change("""
        INSERT INTO consents (customer_id, consent_type_id, granted_on)
        SELECT customers.id, consent_types.id, date '2090-01-01' FROM customers, consent_types WHERE allows_bulk""")


def assert_everyone_has_one(home: Path) -> None:
    found = Counter(message_from_bytes(file.read_bytes())["Delivered-To"] for file in (home / "mail" / "new").iterdir())
    assert found == Counter(f"c{number}@example.com" for number in range(1, RECIPIENTS + 1))
    assert rows("SELECT state, count(*) FROM messages GROUP BY state") == [("sent", RECIPIENTS)]
    assert rows("SELECT count(*), count(DISTINCT key) FROM contacts") == [(RECIPIENTS, RECIPIENTS)]


def sent(home: Path) -> int:
    return len(list((home / "mail" / "new").glob("*")))


def test_killed_again_and_again_while_it_sends_it_goes_on_where_it_was(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailing.run()
    monkeypatch.setenv("LIFECYCLE_POLICY__BULK_PER_MINUTE", "1200")
    for goal in (5, 12, 20):
        process = subprocess.Popen([sys.executable, "-c", DELIVERER])
        while sent(home) < goal and process.poll() is None:
            time.sleep(0.001)
        process.kill()
        assert process.wait() == -9
    assert sent(home) < RECIPIENTS
    settings.cache_clear()
    deliver()
    deliver()  # what was in doubt was looked up and was not there
    assert_everyone_has_one(home)


def test_killed_before_any_statement_of_sending_nobody_has_two(home: Path) -> None:
    mailing.run()
    with mortal():
        for statements in range(1, 200, 3):
            with dying_after(statements):
                deliver()
            if rows("SELECT count(*) FROM contacts") == [(RECIPIENTS,)]:
                break
    deliver()
    assert_everyone_has_one(home)


def test_killed_before_any_statement_of_queueing_it_is_queued_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.mailing.PORTION", 7)
    whole = False
    with mortal():
        for statements in range(1, 100):
            with dying_after(statements):
                mailing.run()
                whole = True
            if whole:
                break
    assert whole
    deliver()
    assert_everyone_has_one(home)


def test_two_runs_and_two_deliverers_at_once_act_as_one(home: Path) -> None:
    with ThreadPoolExecutor(2) as threads:
        queued = [outcomes.counts["queued"] for outcomes, _ in threads.map(lambda _: mailing.run(), range(2))]
        assert sum(queued) == RECIPIENTS
        sent = sum(threads.map(lambda _: deliver(), range(2)), Counter())
    assert sent["mailings: sent"] == RECIPIENTS
    assert_everyone_has_one(home)
