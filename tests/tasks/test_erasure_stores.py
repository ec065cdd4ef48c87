"""What an erasure leaves of a customer outside of the tables: nothing, however often and wherever it was stopped."""

from collections import Counter
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from uuid import UUID, uuid4

import openpyxl
import pytest
from sqlalchemy import Connection, text

from lifecycle.delivery.maildir import Maildir
from lifecycle.persistence import erasure_traces, outbox, runs
from lifecycle.persistence.database import transaction
from lifecycle.rules.documents import Document
from lifecycle.rules.outbox import State, token
from tasks.delivery import StillBeingSent, forget_mails, take_stock
from tasks.documents import place
from tasks.erasure_stores import clear_documents
from tasks.open_cards_report import write_report
from tests import cast
from tests.erasing import erase

MARCH, APRIL = date(2026, 3, 1), date(2026, 4, 1)
TO_ANNA = {"single/anna/1", "single/anna/2"}
NAMING_ANNA = {"reseller-report/NORTH/2026-03", "reseller-report/NORTH/2026-03/copy/2026-03-05"}
OTHERS = {"single/bice/1", "reseller-report/NORTH/2026-04", "reseller-report/SOUTH/2026-03"}


@dataclass
class Post:
    """The mail folder of an installation, whose mails are recorded and delivered one by one."""

    folder: Path
    resellers: dict[str, int]
    customers: dict[str, int]

    @property
    def carrier(self) -> str:
        return f"maildir:{self.folder}"

    def deliver(self, *keys: str, folder: Path | None = None) -> None:
        for key in keys:
            Maildir(folder or self.folder).send(token(key), "from@example.com", "to@example.com", b"Subject: x\r\n\r\n")

    def record(self, db: Connection, key: str, state: str = "sent", carrier: str | None = None) -> None:
        kind, whom, rest = key.split("/", 2)
        day = date.fromisoformat(f"{rest[:7]}-01") if kind == "reseller-report" else MARCH
        db.execute(
            text("""
            WITH message AS (
                INSERT INTO messages (key, kind, state, recipient, recipient_name, reseller_id, customer_id,
                    business_date, basis, asked_on, claimed_by, lease_until)
                VALUES (:key, :kind, :state, 'to@example.com', '', :reseller, :customer, :day, :basis, :asked_on,
                    :claimed_by, now() + interval '10 minutes')
                RETURNING id
            )
            INSERT INTO message_attempts (message_id, worker, carrier) SELECT id, '7', :carrier FROM message"""),
            {
                "key": key,
                "kind": kind,
                "state": state,
                "reseller": self.resellers.get(whom),
                "customer": self.customers.get(whom),
                "day": day,
                "basis": "unasked" if whom in self.customers else None,
                "asked_on": MARCH,
                "claimed_by": "7" if state == "sending" else None,
                "carrier": carrier or self.carrier,
            },
        )

    def left(self) -> set[str]:
        names = {path.name for path in self.folder.glob("*/*")}
        return {key for key in TO_ANNA | NAMING_ANNA | OTHERS if token(key) in names}


@pytest.fixture
def post(home: Path) -> Post:
    """A report of March names Anna. Bice, who went from the reseller in the south to hers, is in two others."""
    run = uuid4()
    with transaction() as db:
        runs.start(db, run, "monthly-reseller-report", MARCH, dry_run=False, prefect_id=None)
        made = Post(
            home / "mail",
            {code: cast.reseller(db, code) for code in ("NORTH", "SOUTH")},
            {code: cast.customer(db, code) for code in ("anna", "bice")},
        )
        product = cast.product(db)
        licences = {code: cast.subscription(db, f"L-{code}", id_, product) for code, id_ in made.customers.items()}
        for reseller, customer, month in (("NORTH", "anna", MARCH), ("SOUTH", "bice", MARCH), ("NORTH", "bice", APRIL)):
            cast.association(db, made.customers[customer], made.resellers[reseller], month)
            report(db, made.resellers[reseller], month, licences[customer], run)
        for key in TO_ANNA | NAMING_ANNA | OTHERS:
            made.record(db, key)
    made.deliver(*TO_ANNA, *NAMING_ANNA, *OTHERS)
    return made


def report(db: Connection, reseller: int, month: date, licence: int, run: UUID) -> None:
    db.execute(
        text("""
        WITH report AS (
            INSERT INTO reseller_reports (reseller_id, month, known_at, run_id)
            VALUES (:reseller, :month, now(), :run) RETURNING id
        )
        INSERT INTO reseller_report_lines (report_id, subscription_id, section, expires_on, access_ends_on)
        SELECT id, :licence, 'open', :month, :month FROM report"""),
        {"reseller": reseller, "month": month, "licence": licence, "run": run},
    )


def erased(code: str) -> UUID:
    with transaction() as db:
        erase(db, code)
        found: UUID = db.execute(text("SELECT id FROM erasures")).scalar_one()
        return found


def states(*keys: str) -> list[str]:
    with transaction() as db:
        asked = text("SELECT state FROM messages WHERE key = ANY(:keys) ORDER BY key")
        return list(db.execute(asked, {"keys": list(keys)}).scalars())


def test_mails_to_the_erased_and_reports_that_named_them_are_removed_and_no_others(post: Post) -> None:
    erasure = erased("anna")
    assert forget_mails(erasure) == 4
    assert post.left() == OTHERS
    assert forget_mails(erasure) == 0


def test_those_in_a_folder_that_mails_went_to_before_as_well(post: Post, tmp_path: Path) -> None:
    before = tmp_path / "before"
    post.deliver("single/anna/0", "single/bice/0", folder=before)
    with transaction() as db:
        post.record(db, "single/anna/0", carrier=f"maildir:{before}")
        post.record(db, "single/anna/00", carrier="smtp:mail.example.com:25")
    assert forget_mails(erased("anna")) == 5
    assert [path.name for path in (before / "new").iterdir()] == [token("single/bice/0")]


def test_a_report_in_doubt_is_removed_and_not_sent_again(post: Post) -> None:
    [key, _] = sorted(NAMING_ANNA)
    with transaction() as db:
        db.execute(text("UPDATE messages SET state = 'in_doubt' WHERE key = :key"), {"key": key})
    forget_mails(erased("anna"))
    assert post.left() == OTHERS
    assert states(key) == [State.SENT]
    assert take_stock.fn() == {}


def test_a_report_that_is_being_written_is_waited_for(post: Post) -> None:
    key = "reseller-report/NORTH/2026-03/copy/2026-03-06"
    with transaction() as db:
        post.record(db, key, "sending")
    erasure = erased("anna")
    with outbox.delivering("UTC") as deliverer:
        with transaction() as db:
            db.execute(
                text("UPDATE messages SET claimed_by = :it WHERE key = :key"),
                {"it": str(deliverer._number), "key": key},
            )
        with pytest.raises(StillBeingSent, match="1 mails"):
            forget_mails(erasure)
        assert post.left() == OTHERS
        post.deliver(key)
    with transaction() as db:  # the server may take a moment to know that its deliverer is gone
        db.execute(text("UPDATE messages SET lease_until = now() WHERE state = 'sending'"))
    assert forget_mails(erasure) == 1
    assert states(key) == [State.SENT]


def sheet(path: Path) -> str:
    return str([[cell.value for cell in row] for sheet in openpyxl.load_workbook(path) for row in sheet])


@pytest.fixture
def documents(home: Path) -> Path:
    """The open cards of two days, a list of codes, an example, and what a kill has left."""
    with transaction() as db:
        product = cast.product(db, "HOSTING", "service")
        for code in ("anna", "bice"):
            customer = cast.customer(db, code)
            cast.card(db, f"PF-{code}", customer, [cast.subscription(db, f"S-{code}", customer, product)])
    for day in (date(2026, 12, 9), date(2026, 12, 10)):
        write_report.fn(day)
    place(Document.EXAMPLE, "x").parent.mkdir()
    place(Document.EXAMPLE, "en-PF-anna.pdf").write_bytes(b"Customer anna")
    place(Document.CONSENTS, MARCH).write_bytes(b"codes")
    folder = home / "documents"
    (folder / "tmpab_12cd9").write_bytes(b"Customer anna")
    return folder


def test_documents_with_names_are_made_anew_or_removed_and_others_kept(documents: Path) -> None:
    before = {path.name: sheet(path) for path in documents.glob("open-cards-*")}
    assert len(before) == 2
    erased("anna")
    made = Counter({"documents made anew": 2, "documents removed": 1, "drafts of documents removed": 1})
    assert clear_documents() == made
    for name, was in before.items():
        assert "Customer anna" in was
        assert sheet(documents / name) == was.replace("Customer anna", "Cliente sconosciuto")
    assert (documents / "consents-2026-03-01.xlsx").read_bytes() == b"codes"
    assert sorted(path.name for path in documents.rglob("*") if path.is_file()) == [
        "consents-2026-03-01.xlsx",
        *sorted(before),
    ]
    assert clear_documents() == {"documents made anew": 2}


def test_what_a_person_has_named_is_left_and_counted(documents: Path) -> None:
    """Nobody knows of what it is: it can be from anywhere."""
    (documents / "open-cards-of-march.xlsx").write_bytes(b"x")
    assert clear_documents()["documents left that a person has named"] == 1


def test_row_versions_from_before_are_given_up(home: Path) -> None:
    with transaction() as db:
        for number in range(50):
            cast.customer(db, f"C{number}")
    erased("C1")
    erasure_traces.vacuum()
    with transaction() as db:
        dead = "SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'customers'"
        db.execute(text("SELECT pg_stat_force_next_flush()"))
        assert db.execute(text(dead)).scalar_one() == 0
