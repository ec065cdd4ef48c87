"""The end of an erasure: said once, of what is done alone, with its certificate and the mail to who approved it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from email import message_from_bytes, policy
from io import BytesIO
from pathlib import Path
from uuid import UUID

import pytest
from pypdf import PdfReader

from lifecycle.persistence.database import transaction
from lifecycle.persistence.erasure import NothingChanged
from lifecycle.persistence.erasure_certificate import NotDone
from lifecycle.rules.erasure import ACTIVE_AGAIN, Certificate
from lifecycle.settings import settings
from tasks import erasure_certificate
from tests import cast, erasing
from tests.billing import change, rows
from tests.sweeping import deliver_now, dying_after, mortal, started

NOW = datetime(2026, 11, 22, 13, 3, 24, tzinfo=UTC)


@pytest.fixture(autouse=True)
def business(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("LIFECYCLE_LOCALE", "en")
    settings.cache_clear()
    with transaction() as db:
        cast.operator(db, "anna")
    erasing.inactive("C1", "C2", "C3", "C4")
    yield
    settings.cache_clear()


def finish(erasure: UUID) -> Certificate:
    return erasure_certificate.finish.fn(erasure, started("gdpr-erasure-batch", erasing.DAY), NOW)


def becomes_active(code: str) -> None:
    change(f"""
        INSERT INTO appointments (code, customer_id, starts_at, status)
        SELECT 'A-' || code, id, '2026-12-01', 'booked' FROM customers WHERE code = '{code}'""")


def standing(erasure: UUID) -> tuple[object, ...]:
    (found,) = rows(f"SELECT state, finished_at, certificate FROM erasures WHERE id = '{erasure}'")
    return found


def test_says_who_was_erased_in_figures_and_that_it_is_done() -> None:
    change("INSERT INTO holds (customer_id, reason, until_on, operator) "
           "SELECT id, 'a lawsuit', '2027-01-01', 'anna' FROM customers WHERE code = 'C4'")  # fmt: skip
    erasure = erasing.approved("C1")
    becomes_active("C2")
    erasing.erase_portion(erasure)
    erasing.write()
    made = finish(erasure)
    assert (made.inactive, made.kept, made.shown, made.taken_out, made.erased, made.portions) == (4, 1, 3, 1, 1, 1)
    assert made.kept_by == (("hold", 1),)
    assert made.left_out == ((ACTIVE_AGAIN, 1),)
    assert made.approved_by == "anna"
    assert f"{made.finished_at:%H:%M %Z}" == "14:03 CET"
    state, finished_at, pdf = standing(erasure)
    assert (state, finished_at) == ("done", NOW)
    assert isinstance(pdf, bytes)
    said = PdfReader(BytesIO(pdf)).pages[0].extract_text()
    assert "Customers erased 1\n" in said
    assert not any(code in said for code in ("C1", "C2", "C3", "C4", "Customer C", "lawsuit"))


def test_the_administrator_gets_the_certificate_once_and_it_is_among_the_documents(home: Path) -> None:
    erasure = erasing.approved()
    erasing.erase_portion(erasure)
    erasing.write()
    made = finish(erasure)
    ((document),) = (home / "documents").iterdir()
    assert document.name == f"erasure-2026-11-22-{erasure.hex[:8]}.pdf"
    assert document.read_bytes() == standing(erasure)[2]
    document.unlink()

    assert finish(erasure) == made
    assert document.read_bytes() == standing(erasure)[2]
    assert rows("SELECT key, kind, recipient, state, business_date FROM messages") == [
        (f"erasure-done/{erasure}", "erasure-done", "anna@example.com", "queued", erasing.DAY)
    ]
    assert rows("SELECT * FROM message_bodies") == []
    assert deliver_now() == {"sent": 1}
    (sent,) = (home / "mail/new").iterdir()
    mail = message_from_bytes(sent.read_bytes(), policy=policy.default)
    assert mail["To"] == "Operator anna <anna@example.com>"
    assert mail["Subject"] == "Customers erased: 4"
    (attached,) = mail.iter_attachments()
    assert (attached.get_filename(), attached.get_content()) == (document.name, document.read_bytes())


def test_killed_at_any_statement_and_finished_again_it_is_as_if_it_never_was(home: Path) -> None:
    erasure = erasing.approved()
    erasing.erase_portion(erasure)
    erasing.write()
    deaths = 0
    with mortal():
        while standing(erasure)[0] != "done":
            assert not rows("SELECT * FROM messages")
            with dying_after(deaths):
                finish(erasure)
            deaths += 1
    assert deaths > 5
    assert len(rows("SELECT * FROM messages")) == 1
    (document,) = (home / "documents").iterdir()
    assert document.read_bytes() == standing(erasure)[2]


@pytest.mark.parametrize(
    ("harm", "error"),
    [
        ("UPDATE erasure_candidates SET state = 'shown', portion_id = NULL WHERE customer_id = 1", NotDone),
        ("UPDATE erasure_portions SET ledger_page = NULL", NotDone),
        ("UPDATE customers SET name = 'Back', erased_on = NULL WHERE id = 1", NothingChanged),
    ],
    ids=["one is still to be erased", "a portion is not in the ledger", "one is as before"],
)
def test_what_is_not_done_is_not_said_to_be(home: Path, harm: str, error: type[Exception]) -> None:
    erasure = erasing.approved()
    erasing.erase_portion(erasure)
    erasing.write()
    change(harm)
    with pytest.raises(error):
        finish(erasure)
    assert standing(erasure) == ("approved", None, None)
    assert rows("SELECT * FROM messages") == []
    assert not (home / "documents").exists()


def test_one_of_which_everybody_was_taken_out_is_no_success() -> None:
    erasure = erasing.approved("C1", "C2", "C3", "C4")
    with pytest.raises(NothingChanged):
        finish(erasure)


def test_one_of_which_everybody_was_left_out_is_done_and_says_so() -> None:
    erasure = erasing.approved()
    for code in ("C1", "C2", "C3", "C4"):
        becomes_active(code)
    erasing.erase_portion(erasure)
    erasing.write()
    made = finish(erasure)
    assert (made.erased, made.left_out, made.portions) == (0, ((ACTIVE_AGAIN, 4),), 0)


def test_one_that_was_not_approved_cannot_be_finished() -> None:
    with pytest.raises(NotDone):
        finish(erasing.shown())
