"""Inactive customers found among many, and erased, beside the updates alone that this takes.

Each has 10 appointments, 3 mails (2 of them sent), 2 consents, a subscription that was closed, a card with its document
and the payment of it.
"""

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import text

from flows.portions import WORKERS
from lifecycle.persistence import database, erasure
from lifecycle.persistence.erasure import Scope
from lifecycle.rules.erasure import PORTION, Criteria, Erasure
from lifecycle.rules.segment import Segment
from tests.benchmarks.measuring import Figure, Stopwatch
from tests.sweeping import started

DAY = date(2026, 11, 22)
ROME = ZoneInfo("Europe/Rome")
SCOPE = Scope(Criteria.of_days(DAY, 3_650), Segment(), ROME, "it")

# Every fourth had its last appointment in time: those are found, the others are active. 30 kB are a card's document.
_FILL = (
    "SET LOCAL session_replication_role = replica",
    "INSERT INTO runs (id, flow, business_date, dry_run) VALUES (gen_random_uuid(), 'bench', :day, false)",
    """
    INSERT INTO products (code, name, policy, period_months, price, currency, vat_rate)
    VALUES ('LIC', 'Licence', 'licence', 12, 100, 'EUR', 22)""",
    """
    INSERT INTO customers (code, kind, name, email, phone, tax_id, street, city, postcode, notes, created_on)
    SELECT 'C' || i, 'person', 'Ανθοπωλείο d''Arco ' || i, 'c' || i || '@example.com', '+39 035 ' || i, 'T' || i,
        'Via Roma ' || i, 'Bergamo', '24100', 'A note about number ' || i, '2010-01-01'
    FROM generate_series(1, :customers) AS i""",
    """
    INSERT INTO appointments (code, customer_id, starts_at, status, title)
    SELECT id || '/' || i, id, CASE WHEN id % 4 = 0 THEN timestamptz '2012-01-01' ELSE '2022-01-01' END
        + make_interval(days => i), 'attended', 'Visit of number ' || id
    FROM customers, generate_series(1, 10) AS i""",
    """
    INSERT INTO subscriptions (code, customer_id, product_id, anchor, quantity, auto_renew, charge_method, reference)
    SELECT 'L' || id, id, 1, '2010-01-01', 1, false, 'transfer', 'domain' || id || '.example' FROM customers""",
    """
    INSERT INTO subscription_status (subscription_id, status, expires_on)
    SELECT id, 'disabled', '2013-01-01' FROM subscriptions""",
    """
    INSERT INTO consent_types (code, title, allows_bulk, allows_single, allows_contact)
    VALUES ('news', 'News', true, true, false), ('calls', 'Calls', false, false, true)""",
    """
    INSERT INTO consents (customer_id, consent_type_id, granted_on, evidence)
    SELECT customers.id, consent_types.id, '2012-01-01', 'The form of number ' || customers.id
    FROM customers, consent_types""",
    """
    INSERT INTO messages (key, kind, state, recipient, recipient_name, customer_id, business_date, motive, basis,
        asked_on, digest)
    SELECT 'mail/' || id || '/' || i, 'single', CASE WHEN i = 1 THEN 'queued' ELSE 'sent' END, email, name, id,
        '2012-01-01', 'contract', 'duty', '2012-01-01', md5(id::text)
    FROM customers, generate_series(1, 3) AS i""",
    """
    INSERT INTO message_bodies (message_id, subject, text, html)
    SELECT id, 'Subject', repeat('Text ', 100), repeat('<p>Text', 100) FROM messages WHERE state = 'queued'""",
    """
    INSERT INTO message_attempts (message_id, worker, carrier, outcome, reply)
    SELECT id, '1', 'smtp', 'sent', '250 queued as ' || id FROM messages WHERE state = 'sent'""",
    """
    INSERT INTO cards (number, customer_id, currency, state, trial, revision, total, issued_on, due_on, revised_on,
        run_id)
    SELECT 'PF-2012-' || customers.id, customers.id, 'EUR', 'paid', false, 1, 100, '2012-01-01', '2012-01-01',
        '2012-01-01', runs.id FROM customers, runs WHERE flow = 'bench'""",
    """
    INSERT INTO card_revisions (card_id, revision, made_on, total, paid, trial, shows_vat, document, digest, run_id)
    SELECT cards.id, 1, '2012-01-01', 100, 0, false, true, convert_to(document, 'UTF8'), md5(cards.id::text), run_id
    FROM cards, (SELECT string_agg(md5(i::text), '') AS document FROM generate_series(1, 1000) AS i) AS one""",
    """
    INSERT INTO payments (bank_reference, received_on, amount, currency, remittance, payer, iban, business_date)
    SELECT 'B' || id, '2012-01-01', 100, 'EUR', 'For ' || id, name, 'IT60X0542811101000000123456', '2012-01-01'
    FROM customers""",
    """
    INSERT INTO allocations (payment_id, customer_id, card_id, purpose, amount, currency, rule, business_date)
    SELECT customers.id, customers.id, cards.id, 'card', 100, 'EUR', 'exact', '2012-01-01'
    FROM customers JOIN cards ON customer_id = customers.id""",
)

# What one cannot do without, for those whose ids follow: no locks, no looking again, no order, in one transaction.
_ALONE = (
    "UPDATE appointments SET title = NULL WHERE customer_id = ANY(:ids)",
    "UPDATE subscriptions SET reference = NULL WHERE customer_id = ANY(:ids)",
    "UPDATE consents SET evidence = NULL WHERE customer_id = ANY(:ids)",
    "DELETE FROM message_bodies USING messages WHERE message_id = id AND customer_id = ANY(:ids)",
    "UPDATE message_attempts SET reply = NULL FROM messages WHERE message_id = messages.id AND customer_id = ANY(:ids)",
    (
        "UPDATE messages SET recipient = '', recipient_name = '', digest = NULL, "
        "state = CASE state WHEN 'queued' THEN 'cancelled' ELSE state END WHERE customer_id = ANY(:ids)"
    ),
    """UPDATE card_revisions SET document = NULL, digest = NULL
        FROM cards WHERE card_id = id AND customer_id = ANY(:ids)""",
    (
        "UPDATE payments SET remittance = '', payer = NULL, iban = NULL FROM allocations "
        "WHERE payment_id = payments.id AND customer_id = ANY(:ids)"
    ),
    (
        "UPDATE customers SET name = '', email = NULL, phone = NULL, tax_id = NULL, street = NULL, city = NULL, "
        "postcode = NULL, notes = NULL, erased_on = :day WHERE id = ANY(:ids)"
    ),
)


def bench(scale: float) -> list[Figure]:
    customers = max(2_000, round(80_000 * scale))
    _fill(customers)
    finding, counting, erasing, alone = (Stopwatch() for _ in range(4))
    with finding.running(), database.transaction() as db:
        found = erasure.find(db, SCOPE)
    with counting.running(), database.transaction() as db:
        db.execute(text("SELECT customer_id, max(starts_at) FROM appointments GROUP BY customer_id")).all()
    plan = _approved()
    with database.transaction() as db:
        those = erasure.still_shown(db, plan.id)
    half = len(those) // 2
    portions = [those[:half][at : at + PORTION] for at in range(0, half, PORTION)]
    with erasing.running(), ThreadPoolExecutor(WORKERS) as threads:
        erased = sum(threads.map(lambda portion: _erase(plan, portion), portions))
    assert erased == half, erased
    with alone.running(), database.transaction() as db:
        for statement in _ALONE:
            asked = {"ids": those[half:]} | ({"day": DAY} if ":day" in statement else {})
            db.execute(text(statement), asked)
    looked, beside = customers / finding.seconds, customers / counting.seconds
    at_once, bare = half / erasing.seconds, (len(those) - half) / alone.seconds
    return [
        Figure(f"customers looked at, of {customers:,}", looked, "/s", "last appointment of each", beside),
        Figure(f"customers erased, of {found.inactive['found']:,}", at_once, "/s", "the bare UPDATEs", bare),
    ]


def _erase(plan: Erasure, portion: list[int]) -> int:
    with database.transaction() as db:
        return erasure.erase(db, plan, portion, DAY, ROME)["erased"]


def _fill(customers: int) -> None:
    with database.transaction() as db:
        for statement in _FILL:
            given = {"customers": customers, "day": DAY}
            db.execute(text(statement), {name: value for name, value in given.items() if f":{name}" in statement})
    with database.configured().connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        db.execute(text("VACUUM ANALYZE"))


def _approved() -> Erasure:
    with database.transaction() as db:
        run = started("gdpr-erasure-batch", DAY)
        plan = erasure.show(db, SCOPE, erasure.find(db, SCOPE), run, None, timedelta(days=7))
        assert erasure.approve(db, plan.id, "bench", [])
        return erasure.read(db, plan.id)
