"""The billing-card run over a large base: days with nothing to do, and the day on which very many services fall due."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from typing import Any
from unittest.mock import patch
from uuid import UUID, uuid4

from sqlalchemy import text

from flows.billing_card_run import PORTION
from flows.portions import WORKERS
from lifecycle.persistence import billing_card as persistence
from lifecycle.persistence import card_documents, database
from lifecycle.persistence.tables import metadata
from lifecycle.rendering import billing_card as rendering
from lifecycle.settings import settings
from tasks import billing_card
from tasks.billing_card import Order
from tasks.issuer import issuer, payee
from tests.benchmarks.measuring import Figure, Stopwatch, peak_memory
from tests.cards import PAYEE
from tests.sweeping import at, started

DAY = date(2026, 3, 1)
QUIET = DAY - timedelta(days=60)
"""Nothing is due."""

DRAWN = 200
"""So many documents are drawn again by one process."""

# The first customers hold one to five services that expire 20 to 30 days after DAY, and paid a card for them a year
# ago. Each of the others holds one subscription: seven of ten a licence, the rest memberships, custom applications and
# services that do not fall due; some of the custom ones do.
_FILL = (
    # Foreign keys hold by construction; checking them would take longer than everything else.
    "SET LOCAL session_replication_role = replica",
    """
    INSERT INTO products (code, name, policy, period_months, price, currency, vat_rate)
    SELECT policy || i, 'Hosting ' || i, policy, 12, 10 * i + 0.9, 'EUR', CASE WHEN i < 3 THEN 22 ELSE 4 END
    FROM unnest(ARRAY['service', 'licence', 'membership', 'custom']) AS policy, generate_series(1, 3) AS i""",
    """
    INSERT INTO customers (code, kind, name, email, locale, street, postcode, city, country)
    SELECT 'C' || i, 'company', 'Ανθοπωλείο d''Arco ' || i, 'c' || i || '@example.com',
        (ARRAY['it', 'el', 'en'])[1 + i % 3], 'Via Roma ' || i, '33100', 'Udine', 'IT'
    FROM generate_series(1, :subscriptions - 2 * :customers) AS i""",
    """
    INSERT INTO subscriptions (code, customer_id, product_id, anchor, reference, quantity, auto_renew, charge_method)
    SELECT 'S' || customer.id || '-' || nth, customer.id, products.id, '2020-03-21',
        'site' || customer.id || '.example', 1 + nth % 3, false, 'transfer'
    FROM customers AS customer
    CROSS JOIN LATERAL generate_series(
        1, CASE WHEN customer.id <= :customers THEN 1 + customer.id % 5 ELSE 1 END) AS nth
    JOIN products ON products.code = CASE
        WHEN customer.id <= :customers OR customer.id % 10 = 0 THEN 'service'
        WHEN customer.id % 10 = 1 THEN 'membership' WHEN customer.id % 10 = 2 THEN 'custom'
        ELSE 'licence' END || 1 + nth % 3
    ORDER BY customer.id, nth""",
    """
    INSERT INTO subscription_status (subscription_id, expires_on, due_on, to_card)
    SELECT subscriptions.id, expires_on,
        CASE policy WHEN 'service' THEN expires_on + 1 WHEN 'licence' THEN expires_on + 93 END,
        CASE policy WHEN 'service' THEN expires_on END
    FROM subscriptions JOIN products ON products.id = product_id
    CROSS JOIN LATERAL (SELECT :day + CASE WHEN customer_id <= :customers THEN 20 + customer_id % 11
        WHEN policy = 'custom' THEN customer_id % 365 ELSE 40 + customer_id % 325 END::int AS expires_on) AS held""",
    """
    INSERT INTO terms (subscription_id, starts_on, expires_on, recorded_at)
    SELECT subscription_id, expires_on - before - 364, expires_on - before, '2020-01-01'
    FROM unnest(ARRAY[365, 0]) AS before, subscription_status""",
    "INSERT INTO runs (id, flow, business_date, dry_run) VALUES (:run_id, 'billing-card-run', '2025-03-01', false)",
    """
    INSERT INTO cards (number, customer_id, currency, state, trial, revision, total, issued_on, due_on, revised_on,
        mailed_revision, closed_on, run_id)
    SELECT 'PF-2025-' || to_char(id, 'FM000000'), id, 'EUR', 'paid', false, 1, 100, '2025-03-01', '2025-03-20',
        '2025-03-01', 1, '2025-03-10', :run_id
    FROM customers WHERE id <= :customers""",
    """
    INSERT INTO card_lines (
        card_id, revision, subscription_id, expires_on, starts_on, ends_on, quantity, unit_price, vat_rate, payable)
    SELECT cards.id, 1, subscriptions.id, starts_on - 1, starts_on, terms.expires_on, quantity, 10, 22, false
    FROM cards
    JOIN subscriptions USING (customer_id)
    JOIN terms ON subscription_id = subscriptions.id AND starts_on > '2025-03-01'""",
    """
    INSERT INTO allocations (customer_id, card_id, purpose, amount, currency, rule, business_date, run_id)
    SELECT customer_id, id, 'card', 100, 'EUR', 'reference', '2025-03-10', :run_id FROM cards""",
)


def bench(scale: float) -> list[Figure]:
    os.environ["LIFECYCLE_ISSUER__IBAN"] = PAYEE.iban
    customers, subscriptions = max(400, round(20_000 * scale)), max(4_000, round(200_000 * scale))
    _fill(customers, subscriptions)
    counting = _seconds(_count)
    finding = {
        "customers to bill found, nothing due": _seconds(partial(_due, QUIET)),
        f"  and {customers:,} due": _seconds(partial(_due, DAY)),
    }
    run = _run(customers)
    finding[f"  and {customers:,} cards open"] = _seconds(partial(_due, DAY + timedelta(days=1)))
    reference = f"SELECT count(*) of {subscriptions:,} subscriptions"
    return [Figure(name, 1000 * took, "ms", reference, 1000 * counting) for name, took in finding.items()] + run


def _run(customers: int) -> list[Figure]:
    """Half of the portions are billed one after the other, each part timed; the others as the task runner maps them."""
    order = Order(DAY, at(DAY, 6), uuid4(), dry_run=False)
    due = _due(DAY)
    assert len(due) == customers
    at_once = min(PORTION, customers // 8)
    portions = [due[start : start + at_once] for start in range(0, customers, at_once)]
    # Starts the processes that draw, which takes seconds, once for all portions.
    billing_card.bill.fn(portions[0], replace(order, run_id=started("billing-card-run", DAY), dry_run=True))
    alone, together = (
        replace(order, run_id=started("billing-card-run", DAY)),
        replace(order, run_id=started("billing-card-run", DAY)),
    )
    half = len(portions) // 2
    whole, drawing, storing, queueing, mapped = (Stopwatch() for _ in range(5))
    with whole.running(), ExitStack() as timed:
        for module, name, watch in (
            (billing_card, "_drawn", drawing),
            (card_documents, "store", storing),
            (persistence, "queue_mails", queueing),
        ):
            timed.enter_context(patch.object(module, name, _under(watch, getattr(module, name))))
        first = sum(billing_card.bill.fn(portion, alone).counts["cards made"] for portion in portions[:half])
    with mapped.running(), ThreadPoolExecutor(WORKERS) as threads:
        billed = threads.map(partial(billing_card.bill.fn, order=together), portions[half:])
        second = sum(portion.counts["cards made"] for portion in billed)
    assert first + second == customers
    peak = peak_memory()
    recording = whole.seconds - drawing.seconds - storing.seconds - queueing.seconds
    megabytes, copying = _bare_copy(alone.run_id)
    inserting, messages = _bare_inserts(alone.run_id)
    return [
        Figure(
            "cards selected, decided, numbered, recorded", first / recording, "/s",
            "INSERT .. SELECT of the cards and lines alone", first / inserting,
        ),
        Figure("documents drawn by all cores", first / drawing.seconds, "/s", "by this process", _drawn_alone()),
        Figure(
            f"documents of {1000 * megabytes / first:.0f} kB stored", megabytes / storing.seconds, "MB/s",
            "COPY of the documents alone", megabytes / copying,
        ),
        Figure("mails queued", first / queueing.seconds, "/s", "INSERT .. SELECT of them alone", first / messages),
        Figure("cards of the whole run, one portion after the other", first / whole.seconds, "/s"),
        Figure(f"  by {WORKERS} threads", second / mapped.seconds, "/s"),
        Figure("  peak memory", peak, "MB"),
    ]  # fmt: skip


def _under(watch: Stopwatch, function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, timed."""

    def timed(*args: Any, **options: Any) -> Any:
        with watch.running():
            return function(*args, **options)

    return timed


def _drawn_alone() -> float:
    """Documents that one process draws per second."""
    watch = Stopwatch()
    with database.transaction() as db:
        ids = list(
            db.execute(
                text("SELECT id FROM cards WHERE state = 'open' ORDER BY id LIMIT :many"), {"many": DRAWN}
            ).scalars()
        )
        cards = card_documents.read(db, ids, settings().locale, shows_vat=True)
    draw = partial(rendering.document, payee=payee(), issuer=issuer())
    draw(cards[ids[0]])
    with watch.running():
        for card in cards.values():
            draw(card)
    return len(cards) / watch.seconds


def _bare_copy(run_id: UUID) -> tuple[float, float]:
    """Copy a run's documents into a table that holds nothing else. Returns their megabytes, and the seconds."""
    watch, size = Stopwatch(), 0
    with database.transaction() as db:
        db.execute(text("CREATE TABLE such_documents (card_id bigint PRIMARY KEY, document bytea STORAGE EXTERNAL)"))
        ids = db.execute(
            text("SELECT card_id FROM card_revisions WHERE run_id = :run_id ORDER BY 1"), {"run_id": run_id}
        )
        cards = list(ids.scalars())
    for start in range(0, len(cards), PORTION):
        with database.transaction() as db:
            ours = text("SELECT card_id, document FROM card_revisions WHERE card_id = ANY(:cards)")
            documents = [tuple(row) for row in db.execute(ours, {"cards": cards[start : start + PORTION]})]
        size += sum(len(document) for _, document in documents)
        with database.transaction() as db:
            driver: Any = db.connection.driver_connection
            statement = "COPY such_documents FROM STDIN (FORMAT BINARY)"
            with watch.running(), driver.cursor() as cursor, cursor.copy(statement) as copy:
                copy.set_types(("int8", "bytea"))
                for document in documents:
                    copy.write_row(document)
    return size / 1e6, watch.seconds


def _bare_inserts(run_id: UUID) -> tuple[float, float]:
    """Seconds to insert a run's cards and their lines again, and its messages: into tables such as theirs.

    Same columns, keys, checks and indexes, over the same older rows.
    """
    lines = "card_id IN (SELECT id FROM cards WHERE run_id = :run_id)"
    which = {"cards": "run_id = :run_id", "card_lines": lines, "messages": "run_id = :run_id"}
    with database.transaction() as db:
        for table, ours in which.items():
            db.execute(text(f"CREATE TABLE such_{table} (LIKE {table} INCLUDING ALL)"))
            db.execute(text(f"INSERT INTO such_{table} SELECT * FROM {table} WHERE NOT ({ours})"), {"run_id": run_id})
            for key in metadata.tables[table].foreign_keys:
                other = key.column.table.name
                prefix = "such_" if other in which else ""
                db.execute(
                    text(f"ALTER TABLE such_{table} ADD FOREIGN KEY ({key.parent.name}) REFERENCES {prefix}{other}")
                )
    seconds = {}
    for table, ours in which.items():
        watch = Stopwatch()
        with watch.running(), database.transaction() as db:
            db.execute(text(f"INSERT INTO such_{table} SELECT * FROM {table} WHERE {ours}"), {"run_id": run_id})
        seconds[table] = watch.seconds
    return seconds["cards"] + seconds["card_lines"], seconds["messages"]


def _fill(customers: int, subscriptions: int) -> None:
    facts = {"customers": customers, "subscriptions": subscriptions, "day": DAY, "run_id": uuid4()}
    with database.transaction() as db:
        for statement in _FILL:
            db.execute(text(statement), facts)
    with database.configured().connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        db.execute(text("VACUUM ANALYZE"))


def _due(day: date) -> list[int]:
    return billing_card.customers_due.fn(Order(day, at(day, 6), uuid4(), dry_run=False), None)


def _count() -> None:
    with database.transaction() as db:
        db.execute(text("SELECT count(*) FROM subscriptions"))


def _seconds(work: Callable[[], object]) -> float:
    """The best of three."""
    watches = [Stopwatch() for _ in range(3)]
    for watch in watches:
        with watch.running():
            work()
    return min(watch.seconds for watch in watches)
