"""A mailing to 100,000 recipients: asked, queued, written and delivered, each beside what it cannot do without."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from sqlalchemy import text

from flows.portions import WORKERS
from lifecycle.delivery.maildir import Maildir
from lifecycle.persistence import database, outbox
from lifecycle.persistence import mailing as persistence
from lifecycle.persistence.contact import gate
from lifecycle.rendering import mailing as rendering
from lifecycle.rendering.operator_template import Recipient
from lifecycle.rules import contact as rules
from lifecycle.rules.contact import Consent, ContactChannel, Customer
from lifecycle.rules.outbox import Channel
from lifecycle.rules.segment import Segment
from lifecycle.rules.subscriptions import Policy, Status
from lifecycle.settings import settings
from tasks import mailing, mails
from tasks.delivery import CLAIMED_AT_ONCE, deliver_bulk
from tasks.issuer import issuer, unsubscribing
from tasks.mailing import Order, Outcomes
from tests.benchmarks.measuring import Figure, Stopwatch
from tests.mailing import write
from tests.sweeping import started

DAY = date(2020, 3, 10)

# Five in six are willing, without an end; each has three consents, and a licence that expires around DAY.
_FILL = (
    # Foreign keys hold by construction; checking them would take longer than everything else.
    "SET LOCAL session_replication_role = replica",
    """
    INSERT INTO products (code, name, policy, period_months, price, currency, vat_rate)
    VALUES ('LIC', 'Licence', 'licence', 12, 100, 'EUR', 22)""",
    """
    INSERT INTO resellers (code, name, email, phone)
    SELECT 'R' || i, 'Rivenditore ' || i, 'r' || i || '@example.org', '+39 035 ' || i
    FROM generate_series(1, 100) AS i""",
    """
    INSERT INTO customers (code, kind, name, email, locale)
    SELECT 'C' || i, 'company', 'Ανθοπωλείο d''Arco ' || i, 'c' || i || '@example.com',
        (ARRAY['it', 'el', 'en'])[1 + i % 3]
    FROM generate_series(1, :customers) AS i""",
    """
    INSERT INTO associations (customer_id, reseller_id, from_on, recorded_at)
    SELECT id, 1 + id % 100, date '2010-01-01', timestamptz '2020-01-01' FROM customers""",
    """
    INSERT INTO consent_types (code, title, valid_days, allows_bulk, allows_single, allows_contact)
    VALUES ('news', 'News', NULL, true, true, false), ('offers', 'Offers', 365, true, false, false),
        ('calls', 'Calls', 180, false, false, true)""",
    """
    INSERT INTO consents (customer_id, consent_type_id, granted_on, withdrawn_on, recorded_at)
    SELECT customers.id, consent_types.id, date '2018-01-01' + (customers.id % 300)::int,
        CASE WHEN consent_types.code = 'news' AND customers.id % 6 = 0 THEN date '2019-06-01' END, '2020-01-01'
    FROM customers, consent_types""",
    """
    INSERT INTO objections (customer_id, channel, objected_on)
    SELECT id, 'bulk', date '2017-01-01' FROM customers WHERE id % 20 = 0""",
    """
    INSERT INTO subscriptions (code, customer_id, product_id, anchor, quantity, auto_renew, charge_method)
    SELECT 'L' || id, id, 1, '2010-01-01', 1, false, 'transfer' FROM customers""",
    """
    INSERT INTO terms (subscription_id, starts_on, expires_on, recorded_at)
    SELECT id, date '2019-01-01', :day + (id % 100)::int - 50, '2020-01-01' FROM subscriptions""",
)

_GATE = f"""
SELECT count(basis) FROM customers
CROSS JOIN LATERAL {gate("customers.id", "'bulk'", "NULL", ":day")} AS allowed"""

_JOIN = """
SELECT count(*) FROM (
    SELECT customers.id, max(granted_on), bool_or(allows_bulk) FROM customers
    JOIN consents ON customer_id = customers.id JOIN consent_types ON consent_types.id = consent_type_id
    WHERE granted_on <= :day GROUP BY customers.id
) AS joined"""


def bench(scale: float) -> list[Figure]:
    customers, sent = max(6_000, round(120_000 * scale)), max(200, round(2_000 * scale))
    os.environ["LIFECYCLE_UNSUBSCRIBE_SECRET"] = "of the benchmark"
    os.environ["LIFECYCLE_POLICY__BULK_PER_MINUTE"] = "60000"
    settings.cache_clear()
    _fill(customers)
    joined, asked, decided = _best(lambda: _count(_JOIN)), _best(lambda: _count(_GATE)), _best(_decide(customers))
    narrow = Segment(policy=(Policy.LICENCE,), status=(Status.EXPIRED,), reseller=tuple(f"R{i}" for i in range(1, 51)))
    chosen = _best(lambda: _run(narrow, dry_run=True))
    watch = Stopwatch()
    with watch.running():
        queued = _run(Segment(), dry_run=False).counts["queued"]
    in_sql, in_python, beside = customers / asked, customers / decided, customers / joined
    at_once, rows = queued / watch.seconds, queued / _rows_alone()
    what = f"mails to {queued:,} queued by {WORKERS} threads"
    return [
        Figure("customers asked at the gate, in the database", in_sql, "/s", "a join with their consents", beside),
        Figure("customers asked at the gate, in Python", in_python, "/s", "in the database", in_sql),
        Figure(f"customers looked at for a segment by {WORKERS} threads", customers / chosen, "/s"),
        Figure(what, at_once, "/s", "the rows alone, by one statement", rows),
        *_delivery(sent),
    ]


def _fill(customers: int) -> None:
    with database.transaction() as db:
        for statement in _FILL:
            db.execute(text(statement), {"customers": customers, "day": DAY})
    with database.configured().connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        db.execute(text("VACUUM ANALYZE"))
    write(settings().home, "Riga di prova, " * 60)


def _run(segment: Segment, *, dry_run: bool) -> Outcomes:
    order = Order("spring", segment, DAY, started("mailing-run", DAY), dry_run)
    mailing.begin.fn(order)
    outcomes = Outcomes()
    with ThreadPoolExecutor(WORKERS) as threads:
        portions = mailing.cut.fn()
        for portion in threads.map(lambda portion: mailing.queue.fn(portion, order), portions):
            outcomes.add(portion)
    mailing.join_lists.fn(order, portions)
    return outcomes


def _rows_alone() -> float:
    """Seconds for writing the messages of the mailing to a table like theirs."""
    watch = Stopwatch()
    with database.transaction() as db:
        db.execute(text("CREATE TABLE such_messages (LIKE messages INCLUDING ALL)"))
        for column, other in (("customer_id", "customers"), ("consent_id", "consents"), ("run_id", "runs")):
            db.execute(text(f"ALTER TABLE such_messages ADD FOREIGN KEY ({column}) REFERENCES {other}"))
    with watch.running(), database.transaction() as db:
        db.execute(text("INSERT INTO such_messages SELECT * FROM messages"))
    return watch.seconds


def _decide(customers: int) -> Callable[[], None]:
    """The rule, over customers that are there already; as many as the others are asked of."""
    news, offers, calls = (
        rules.ConsentType("news", None, frozenset({ContactChannel.BULK, ContactChannel.SINGLE})),
        rules.ConsentType("offers", 365, frozenset({ContactChannel.BULK})),
        rules.ConsentType("calls", 180, frozenset({ContactChannel.CONTACT})),
    )
    granted = date(2018, 1, 1)
    willing = Customer(tuple(Consent(nth, one, granted) for nth, one in enumerate((news, offers, calls))))

    def decide() -> None:
        for _ in range(customers):
            rules.gate(willing, ContactChannel.BULK, DAY, None)

    return decide


def _delivery(number: int) -> list[Figure]:
    until = datetime.now(UTC) - timedelta(hours=12)
    with database.transaction() as db:  # only these are due by then
        db.execute(
            text("""
            UPDATE messages SET due_at = due_at - interval '1 day', asked_on = business_date
            WHERE id IN (SELECT id FROM messages ORDER BY id LIMIT :number)"""),
            {"number": number},
        )
    writing, alone, sending, files = (Stopwatch() for _ in range(4))
    with outbox.delivering("UTC", Channel.BULK) as deliverer:
        claimed = list(deliverer.claims(until, CLAIMED_AT_ONCE))
    with database.transaction() as db:
        texts = rendering.Mailing.from_json(persistence.texts(db, persistence.begun(db, "spring").digest))  # type: ignore[union-attr]
    whom, ways = Recipient("Ανθοπωλείο d'Arco", "Rivenditore", "r@example.org", "+39"), unsubscribing(1)
    with alone.running():
        for nth in range(number):
            rendering.content(texts, ("it", "el", "en")[nth % 3], whom, DAY, issuer(), ways, agreed=True)
    with writing.running():
        for message in claimed:
            mails.written(message)
    with sending.running():
        counts = deliver_bulk.fn(until, 3_600)
    assert counts == {"mailings: sent": number}, counts
    content = next((settings().home / "mail" / "new").iterdir()).read_bytes()
    with files.running(), Maildir(Path(settings().home / "other")) as folder:
        for nth in range(number):
            folder.send(f"{nth}", "us@example.com", "c@example.com", content)
    written, rendered = number / writing.seconds, number / alone.seconds
    delivered, ready = number / sending.seconds, number / files.seconds
    return [
        Figure("mails of a mailing written", written, "/s", "the same texts rendered", rendered),
        Figure("mails of a mailing to a folder, unpaced", delivered, "/s", "ready files written there", ready),
    ]


def _count(statement: str) -> int:
    with database.transaction() as db:
        number: int = db.execute(text(statement), {"day": DAY}).scalar_one()
    return number


def _best(work: Callable[[], object]) -> float:
    """Seconds, the best of three."""
    watches = [Stopwatch() for _ in range(3)]
    for watch in watches:
        with watch.running():
            work()
    return min(watch.seconds for watch in watches)
