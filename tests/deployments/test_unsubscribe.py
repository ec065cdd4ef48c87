"""What a page calls for somebody who clicked, and what `lifecycle check` says of the inbox."""

import mailbox
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from deployments.unsubscribe import one_click
from lifecycle.persistence.database import transaction
from lifecycle.rules.findings import BadInput
from lifecycle.rules.unsubscribing import token_of
from lifecycle.settings import settings
from tests import cast
from tests.deployments.test_cli import lifecycle

SECRET = "a secret of forty characters, not 16 ..."


@pytest.fixture
def tokens(home: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Of mailings to three customers, one of whom allows bulk mail, and of a notice."""
    monkeypatch.setenv("LIFECYCLE_UNSUBSCRIBE_SECRET", SECRET)
    settings.cache_clear()
    with transaction() as db:
        for number in (1, 2, 3):
            cast.customer(db, f"C{number}")
        db.execute(
            text("""
            INSERT INTO consent_types (code, title, allows_bulk, allows_single, allows_contact)
            VALUES ('NEWS', 'News', true, false, false);
            INSERT INTO consents (customer_id, consent_type_id, granted_on)
            SELECT 1, id, '2026-01-01' FROM consent_types;
            INSERT INTO messages (
                key, kind, channel, state, recipient, recipient_name, customer_id, business_date, basis)
            SELECT 'm' || customer, 'mailing', channel, 'queued', 'c@example.com', '', customer, '2026-03-01', 'unasked'
            FROM (VALUES (1, 'bulk'), (2, 'bulk'), (3, 'mail')) AS mails (customer, channel)""")
        )
    return [token_of(message, SECRET) for message in (1, 2, 3)]


def recorded() -> tuple[int, int]:
    with transaction() as db:
        withdrawn = db.execute(text("SELECT count(*) FROM consents WHERE withdrawn_on IS NOT NULL")).scalar_one()
        return withdrawn, db.execute(text("SELECT count(*) FROM objections")).scalar_one()


def test_a_click_is_recorded_at_once(tokens: list[str]) -> None:
    before = datetime.now(UTC)
    done = lifecycle("unsubscribe", "--", *tokens[:2])
    assert (done.returncode, done.stdout, done.stderr) == (0, "2 unsubscribed\n", "")
    assert recorded() == (1, 2)
    with transaction() as db:
        said = db.execute(text("SELECT evidence, operator, run_id, objected_on FROM objections ORDER BY id")).first()
    assert said is not None
    moment = datetime.fromisoformat(said.evidence.removeprefix("one-click at ").removesuffix(", message 1"))
    assert before <= moment <= before + timedelta(minutes=1)
    assert said[1:] == (None, None, moment.astimezone(settings().zone).date())


def test_a_second_click_adds_nothing_and_is_no_error(tokens: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        one_click(tokens[:1])
    assert capsys.readouterr().out.splitlines() == ["1 unsubscribed", "0 unsubscribed"]
    assert recorded() == (1, 1)


def test_where_one_token_is_wrong_nothing_is_recorded_and_all_wrong_ones_are_named(tokens: list[str]) -> None:
    done = lifecycle("unsubscribe", "--", tokens[0], "u-1-" + "0" * 32, tokens[1], tokens[2], "--help", "")
    assert done.returncode == 2
    expected = "is none of ours; expected one that a mailing's link to unsubscribe has"
    assert done.stderr.splitlines() == [f"TOKEN {number}: {expected}" for number in (2, 4, 5, 6)]
    assert recorded() == (0, 0)


def test_nothing_is_no_token(tokens: list[str]) -> None:
    with pytest.raises(BadInput, match="TOKEN: is missing"):
        one_click([])


def test_a_page_without_the_secret_is_told_so(tokens: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIFECYCLE_UNSUBSCRIBE_SECRET")
    settings.cache_clear()
    with pytest.raises(BadInput, match="LIFECYCLE_UNSUBSCRIBE_SECRET: is missing"):
        one_click(tokens)


def test_check_says_whether_the_inbox_can_be_read(tokens: list[str], home: Path) -> None:
    mailbox.Maildir(home / "inbox")
    there = lifecycle("check", LIFECYCLE_UNSUBSCRIBE_INBOX=f"maildir://{home}/inbox")
    down = lifecycle("check", LIFECYCLE_UNSUBSCRIBE_INBOX="imap://u:s3cret@127.0.0.1:9?tls=none")
    assert f"inbox        ok    maildir:{home}/inbox\n" in there.stdout
    assert "inbox        FAIL  imap:127.0.0.1:9/INBOX: cannot connect: Connection refused\n" in down.stdout
    assert (there.returncode, down.returncode) == (0, 1)
    assert "s3cret" not in down.stdout + down.stderr
