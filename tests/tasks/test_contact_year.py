"""A year of consents, objections, switches, mails and notices: whatever left rested on what was known at its moment."""

import csv
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import Connection, text

from lifecycle.persistence import outbox
from lifecycle.persistence.contact import at_the_gate, gate
from lifecycle.persistence.contact_customer import choices
from lifecycle.persistence.database import transaction
from lifecycle.persistence.outbox import Body, Ended, Message, Settlement
from lifecycle.rules import contact
from lifecycle.rules.contact import Allowed, ContactChannel
from lifecycle.rules.outbox import Channel, State
from lifecycle.settings import settings
from tasks.delivery import deliver
from tasks.import_records import import_files
from tests.claims import CONTACT_CLAIMS, unfounded
from tests.sweeping import at, started, sweep

FIRST, STEP, DAYS = date(2030, 1, 1), 3, 366
"""In the future: what is delivered for a day that is yet to come is asked at the gate for that day."""
CUSTOMERS = 250
TYPES = [("news", 30, True, False), ("all", 90, True, True), ("ever", "", False, True), ("once", 1, True, True)]
MOTIVES = [("question", "false"), ("law", "true")]


def write_business(folder: Path, chance: random.Random) -> Path:
    """Customers, every fourth with a licence that lapses so that its notices fall into the year."""
    expiries = [FIRST + timedelta(days=chance.randrange(-180, 270)) for _ in range(0, CUSTOMERS, 4)]
    files: dict[str, Sequence[tuple[object, ...]]] = {
        "customers": [("code", "kind", "name", "email"),
                      *((f"C{n}", "person", f"Customer {n}", f"c{n}@example.com") for n in range(CUSTOMERS))],
        "products": [("code", "name", "policy", "period_months", "price", "currency", "vat_rate"),
                     ("P", "Office", "licence", 12, "240.00", "EUR", "22")],
        "subscriptions": [("code", "customer", "product", "starts_on", "expires_on"),
                          *((f"L{n}", f"C{4 * n}", "P", expiry - timedelta(days=364), expiry)
                            for n, expiry in enumerate(expiries))],
        "consent_types": [("code", "title", "valid_days", "allows_bulk", "allows_single"),
                          *((code, code, *rest) for code, *rest in TYPES)],
        "motives": [("code", "title", "duty"), *((code, code, duty) for code, duty in MOTIVES)],
    }  # fmt: skip
    folder.mkdir()
    for name, rows in files.items():
        with (folder / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows(rows)
    return folder


_MAILING = text(f"""
INSERT INTO messages (
    key, kind, channel, state, recipient, recipient_name, customer_id, business_date, run_id, basis, consent_id)
SELECT 'mailing/' || :name || '/' || code, 'mailing', 'bulk', 'queued', email, name, customers.id, :day, :run, basis,
    consent_id
FROM customers CROSS JOIN LATERAL {gate("customers.id", "'bulk'", "NULL", ":day")} AS allowed
WHERE basis IS NOT NULL""")


@dataclass
class Year:
    """What happens, at random and each time the same."""

    chance: random.Random
    serial: int = 0

    def lives(self, day: date) -> None:
        run = started("test", day)
        for _ in range(self.chance.randrange(12)):
            with transaction() as db:
                self._something(db, day)
        sweep(day)
        for _ in range(self.chance.randrange(6)):
            with transaction() as db:
                self._writes(db, day, run)
        if self.chance.random() < 0.12:
            with transaction() as db:
                self.serial += 1
                db.execute(_MAILING, {"name": self.serial, "day": day, "run": run})

    def _something(self, db: Connection, day: date) -> None:
        who = {"customer": self.chance.randint(1, CUSTOMERS), "type": self.chance.randint(1, len(TYPES))}
        about = who | {"day": day + timedelta(days=self.chance.choice((-20, -1, 0, 0, 0, 0, 0, 1, 5)))}
        match self.chance.choices(("grant", "withdraw", "take back", "object", "switch", "erase"),
                                  (60, 40, 3, 12, 3, 2))[0]:  # fmt: skip
            case "grant":
                db.execute(
                    text("""
                    INSERT INTO consents (customer_id, consent_type_id, granted_on) VALUES (:customer, :type, :day)"""),
                    about,
                )
            case "withdraw":  # one of those that were ever given, first of those on which a mail waits
                db.execute(
                    text("""
                    INSERT INTO consents (customer_id, consent_type_id, granted_on, withdrawn_on)
                    SELECT customer_id, consent_type_id, granted_on, greatest(granted_on, :day) FROM consents
                    ORDER BY EXISTS (
                        SELECT FROM messages WHERE state = 'queued' AND messages.consent_id = consents.id) DESC,
                        (id * :chance) % 101 LIMIT 1"""),
                    about | {"chance": self.chance.randrange(1, 101)},
                )
            case "take back":  # the withdrawal was recorded by mistake
                db.execute(
                    text("""
                    INSERT INTO consents (customer_id, consent_type_id, granted_on)
                    SELECT customer_id, consent_type_id, granted_on FROM consents WHERE withdrawn_on IS NOT NULL
                    ORDER BY id DESC LIMIT 1""")
                )
            case "object":
                channel = self.chance.choice(list(ContactChannel))
                db.execute(
                    text("""
                    INSERT INTO objections (customer_id, channel, objected_on) VALUES (:customer, :channel, :day)
                    ON CONFLICT DO NOTHING"""),
                    about | {"channel": channel},
                )
            case "switch":
                change = {"channel": self.chance.choice(list(ContactChannel)), "asks": self.chance.random() < 0.6}
                db.execute(
                    text("""
                    INSERT INTO switches (channel, asks, operator, business_date)
                    VALUES (:channel, :asks, 'op', :day)"""),
                    about | change,
                )
            case "erase":  # one to whom a mailing is on its way; who has a licence is not inactive
                db.execute(
                    text("""
                    UPDATE customers SET name = '', email = NULL, erased_on = :day WHERE id = (
                        SELECT max(customer_id) FROM messages
                        WHERE state = 'queued' AND channel = 'bulk' AND customer_id % 4 <> 1)"""),
                    {"day": day},
                )

    def _writes(self, db: Connection, day: date, run: UUID) -> None:
        """A mail to one customer, as an operator asks for it."""
        code, motive = f"C{self.chance.randrange(CUSTOMERS)}", self.chance.choice((None, None, "question", "law"))
        asked = at_the_gate(db, code, day)
        assert asked
        why = next((choice.motive for choice in choices(db) if choice.motive.code == motive), None)
        allowed = contact.gate(asked.customer, ContactChannel.SINGLE, day, why, asked.asks)
        if isinstance(allowed, Allowed):
            self.serial += 1
            mail = Message(
                f"single/{self.serial}", "single", f"{code.lower()}@example.com", code, day, run,
                Body("Question", "text", "<p>text</p>"), customer_id=asked.id, motive=motive, operator="op",
                allowed=allowed,
            )  # fmt: skip
            assert outbox.queue(db, [mail])


def deliver_on(day: date) -> Counter[str]:
    """All that waits, for that day: mails as ever, mailings by whom the mail server takes everything from."""
    noon = datetime.combine(day, time(12), UTC)
    counts = deliver.fn(0, noon)
    with outbox.delivering(settings().timezone, Channel.BULK) as deliverer:
        for message in deliverer.claims(noon, 20):
            begun = deliverer.begin(message, "smtp:h:25")
            assert begun
            if begun.missing is None:
                deliverer.settle(*Ended(begun.attempt, Settlement(State.SENT, "sent", "250 ok", "digest")))
            counts[f"bulk: {begun.missing or 'sent'}"] += 1
    return counts


@pytest.fixture
def year(home: Path) -> Counter[str]:
    """What became of everything in a year in which some days pass between queueing and delivery."""
    chance = random.Random(5)
    import_files.fn(write_business(home / "files", chance), at(date(2029, 12, 1)), dry_run=False)
    happens, counts = Year(chance), Counter[str]()
    for number in range(0, DAYS, STEP):
        day = FIRST + timedelta(days=number)
        happens.lives(day)
        if chance.random() < 0.3:
            counts += deliver_on(day)
    return counts + deliver_on(FIRST + timedelta(days=DAYS))


def test_whatever_left_rested_on_what_was_known_at_its_moment(year: Counter[str]) -> None:
    with transaction() as db:
        assert unfounded(db) == []
        waiting = text("SELECT count(*) FROM messages WHERE state = 'queued' AND channel <> 'call'")
        assert db.execute(waiting).scalar() == 0
        bases = {tuple(row) for row in db.execute(text("SELECT DISTINCT channel, basis FROM contacts"))}
        for falsehood, claim in FALSEHOODS.items():
            point = db.begin_nested()
            db.execute(text("SET LOCAL session_replication_role = replica"))  # all that refuses changes is off
            assert db.execute(text(falsehood)).rowcount == 1
            assert claim in {broken for broken, _ in unfounded(db)}, falsehood
            point.rollback()
    assert bases == {("single", basis) for basis in ("duty", "consent", "motive", "unasked")} | {
        ("bulk", "consent"), ("bulk", "unasked")
    }  # fmt: skip
    stopped = {"consent withdrawn", "consent lapsed", "objected", "erased"}
    assert {f"bulk: {missing}" for missing in stopped} <= set(year)
    assert {"not sent: consent withdrawn", "not sent: objected"} <= set(year)


_LOGGED, _KNOWN = list(CONTACT_CLAIMS)[:2]
_BY_CONSENT = "(SELECT consent_id FROM contacts WHERE basis = 'consent' AND channel = 'bulk' ORDER BY id LIMIT 1)"
_ONE = "id = (SELECT max(id) FROM contacts WHERE basis = '{}')"
FALSEHOODS = {
    f"UPDATE consents SET withdrawn_on = granted_on WHERE id = {_BY_CONSENT}": _KNOWN,
    f"UPDATE consents SET granted_on = granted_on - 900 WHERE id = {_BY_CONSENT}": _KNOWN,
    f"UPDATE consents SET recorded_at = now() + interval '1 day' WHERE id = {_BY_CONSENT}": _KNOWN,
    f"""INSERT INTO objections (customer_id, channel, objected_on, recorded_at)
        SELECT customer_id, 'bulk', granted_on, recorded_at FROM consents WHERE id = {_BY_CONSENT}""": _KNOWN,
    "UPDATE consent_types SET allows_bulk = false WHERE code = 'news'": _KNOWN,
    "UPDATE motives SET duty = false WHERE code = 'contract'": _KNOWN,
    f"UPDATE contacts SET basis = 'motive' WHERE {_ONE.format('duty')}": _KNOWN,
    f"UPDATE contacts SET basis = 'unasked', motive = NULL WHERE {_ONE.format('duty')}": _KNOWN,
    f"UPDATE contacts SET business_date = business_date + 1 WHERE {_ONE.format('motive')}": _LOGGED,
    f"DELETE FROM contacts WHERE {_ONE.format('consent')}": _LOGGED,
}
