"""Payments: bank entries recorded once, the cards that they name, and where their money went.

Safety case. Money is moved in turns (`take_turn`): imports, operators and runs that make cards act one after the
other, so that what one of them saw is still true when it writes. Cards are locked by id before anything is decided on
them, as sweeps lock them; subscriptions come after cards. All of one statement is one transaction: a crash leaves
none of it, and the bank's reference keeps an entry from counting twice.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, text

from lifecycle.persistence import turns
from lifecycle.persistence.subscription_status import Learned
from lifecycle.rules.billing_card import CardState
from lifecycle.rules.findings import Finding, Findings
from lifecycle.rules.money import NOTHING
from lifecycle.rules.payment import Allocation, Decision, Entry, NamedCard, Purpose, Received, named

_STAGE = text("""
    CREATE TEMPORARY TABLE import_payments (
        position bigint GENERATED ALWAYS AS IDENTITY, line int, bank_reference text, received_on date,
        amount numeric(14, 2), currency text, remittance text, payer text, iban text, originals text[], numbers text[]
    ) ON COMMIT DROP""")
_STAGED = "line, bank_reference, received_on, amount, currency, remittance, payer, iban, originals, numbers"

# The same reference for other money: in one file, or since an earlier one.
_CONTRADICTIONS = text("""
    SELECT line, bank_reference FROM (
        SELECT line, bank_reference, amount, currency, first_value(amount) OVER same AS first_amount,
            first_value(currency) OVER same AS first_currency
        FROM import_payments WINDOW same AS (PARTITION BY bank_reference ORDER BY position)
    ) AS given LEFT JOIN payments AS known USING (bank_reference)
    WHERE (given.amount, given.currency) <> (first_amount, first_currency)
        OR (given.amount, given.currency) <> (known.amount, known.currency)
    ORDER BY line""")

_RECORD = text("""
    WITH added AS (
        INSERT INTO payments (
            bank_reference, received_on, amount, currency, remittance, payer, iban, business_date, run_id, recorded_at)
        SELECT bank_reference, received_on, amount, currency, remittance, payer, iban, :day, :run_id, :now
        FROM import_payments ORDER BY position
        ON CONFLICT (bank_reference) DO NOTHING
        RETURNING id, bank_reference
    )
    SELECT DISTINCT ON (id) id, bank_reference, amount, currency, numbers, originals
    FROM added JOIN import_payments USING (bank_reference) ORDER BY id, position""")

# By the reference that the bank gives, or by a card: what was put on it or, named in vain, to its customer's credit.
_ORIGINALS = text("""
    WITH back AS (
        SELECT * FROM unnest(cast(:back AS bigint[]), cast(:amounts AS numeric[]), cast(:currencies AS text[]))
            AS t (id, amount, currency)
    ), named AS (
        SELECT * FROM unnest(cast(:naming AS bigint[]), cast(:cards AS text[])) AS t (id, number)
    ), traced AS (
        SELECT * FROM unnest(cast(:tracing AS bigint[]), cast(:traces AS text[])) AS t (id, bank_reference)
    ), candidates AS (
        SELECT traced.id AS of, payments.id FROM traced JOIN payments USING (bank_reference)
        UNION
        SELECT named.id, payment_id FROM named JOIN cards USING (number)
        JOIN allocations ON card_id = cards.id WHERE payment_id IS NOT NULL
        UNION
        SELECT named.id, payment_id FROM named JOIN cards USING (number)
        JOIN allocations USING (customer_id, currency) WHERE payment_id IS NOT NULL AND purpose = 'credit'
    )
    SELECT DISTINCT payments.id FROM candidates JOIN back ON back.id = candidates.of
    JOIN payments ON payments.id = candidates.id AND payments.currency = back.currency
        AND payments.amount = -back.amount
    WHERE NOT payments.id = ANY(:new)""")

_PAYMENTS = text("""
    SELECT payments.id, amount, currency, bank_reference, remittance,
        EXISTS (SELECT FROM payments AS later WHERE later.reverses_id = payments.id) AS reversed
    FROM payments WHERE id = ANY(:ids) ORDER BY id""")

_ALLOCATIONS = text("""
    SELECT payment_id, purpose, allocations.customer_id, card_id, number, sum(amount) AS amount
    FROM allocations LEFT JOIN cards ON cards.id = card_id
    WHERE payment_id = ANY(:ids) GROUP BY payment_id, purpose, allocations.customer_id, card_id, number
    HAVING sum(amount) <> 0 ORDER BY payment_id, min(allocations.id)""")

_LOCK_CARDS = text("""
    SELECT id, number, customer_id, currency, state, total, trial FROM cards
    WHERE number = ANY(:numbers) OR id = ANY(:ids) ORDER BY id FOR UPDATE""")

_PAID = text("""
    SELECT card_id, sum(amount) FROM allocations
    WHERE card_id = ANY(:ids) AND purpose = 'card' GROUP BY card_id""")

# A card that has renewed anything is owed for it and stays as it is: nothing on it can be revised or become void. What
# stands on another open card is that card's.
_REOPEN = text("""
    WITH reopened AS (
        UPDATE cards SET state = 'open', closed_on = NULL WHERE id = ANY(:ids) AND state = 'paid'
        RETURNING id, revision
    ), payable AS (
        SELECT DISTINCT ON (subscription_id, starts_on) card_id, line.revision, subscription_id
        FROM card_lines AS line JOIN reopened ON reopened.id = card_id AND reopened.revision = line.revision
        WHERE NOT EXISTS (SELECT FROM card_renewals AS done WHERE done.card_id = line.card_id)
            AND NOT EXISTS (
                SELECT FROM card_lines AS other
                WHERE other.subscription_id = line.subscription_id AND other.starts_on = line.starts_on
                    AND other.payable)
        ORDER BY subscription_id, starts_on, card_id
    )
    UPDATE card_lines SET payable = true FROM payable
    WHERE card_lines.card_id = payable.card_id AND card_lines.revision = payable.revision
        AND card_lines.subscription_id = payable.subscription_id""")


def take_turn(db: Connection) -> None:
    """Wait until nobody else moves money; whoever comes next waits for this transaction to end."""
    db.execute(text("SELECT pg_advisory_xact_lock(:turn)"), {"turn": turns.PAYMENTS})


def stage(db: Connection, entries: Iterable[tuple[int, Entry]]) -> int:
    """Copy entries, each with its line, into a temporary table, which is a new one. Returns how many."""
    db.execute(text("DROP TABLE IF EXISTS import_payments"))
    db.execute(_STAGE)
    number = 0
    driver: Any = db.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(f"COPY import_payments ({_STAGED}) FROM STDIN") as out:
        for number, (line, entry) in enumerate(entries, 1):  # noqa: B007 - the last one is how many
            out.write_row((
                line, entry.bank_reference, entry.received_on, entry.amount, entry.currency, entry.remittance,
                entry.payer, entry.iban, list(entry.originals), named(entry.remittance),
            ))  # fmt: skip
    db.execute(text("ANALYZE import_payments"))
    return number


def check(db: Connection, file: str, findings: Findings) -> None:
    """Find the staged entries whose bank reference was given before, with another amount or currency."""
    expected = "one amount and currency for each, as it was given before"
    findings.add(
        Finding(file, "the bank's reference stands for other money already", expected, row.bank_reference, row.line)
        for row in db.execute(_CONTRADICTIONS)
    )


def record(db: Connection, learned: Learned) -> list[Received]:
    """Record the staged entries that are new, in their order."""
    facts = {"day": learned.day, "run_id": learned.run_id, "now": learned.now}
    return [
        Received(row.id, row.amount, row.currency, tuple(row.numbers), row.bank_reference, tuple(row.originals))
        for row in db.execute(_RECORD, facts)
    ]


def originals(db: Connection, payments: Sequence[Received]) -> list[Received]:
    """The payments recorded before that the takings back among `payments` may be of, with what became of them."""
    back = [each for each in payments if each.amount < 0]
    if not back:
        return []
    naming = [(each.id, number) for each in back for number in each.numbers]
    tracing = [(each.id, reference) for each in back for reference in each.originals]
    found = db.scalars(
        _ORIGINALS,
        {
            "new": [each.id for each in payments],
            "back": [each.id for each in back],
            "amounts": [each.amount for each in back],
            "currencies": [each.currency for each in back],
            "naming": [id_ for id_, _ in naming],
            "cards": [number for _, number in naming],
            "tracing": [id_ for id_, _ in tracing],
            "traces": [reference for _, reference in tracing],
        },
    )
    return read(db, list(found))


def read(db: Connection, ids: Sequence[int]) -> list[Received]:
    """Payments with what became of them so far; those named are also the cards that they were put on by hand."""
    given: dict[int, list[Allocation]] = defaultdict(list)
    assigned: dict[int, list[str]] = defaultdict(list)
    for row in db.execute(_ALLOCATIONS, {"ids": list(ids)}):
        if row.number:
            assigned[row.payment_id].append(row.number)
        given[row.payment_id].append(Allocation(Purpose(row.purpose), row.amount, row.customer_id, row.card_id))
    return [
        Received(
            id=row.id,
            amount=row.amount,
            currency=row.currency,
            numbers=tuple(dict.fromkeys([*named(row.remittance), *assigned[row.id]])),
            bank_reference=row.bank_reference,
            allocations=tuple(given[row.id]),
            reversed=row.reversed,
        )
        for row in db.execute(_PAYMENTS, {"ids": list(ids)})
    ]


def locked(db: Connection, numbers: Iterable[str], ids: Iterable[int] = ()) -> dict[str, NamedCard]:
    """The cards with these numbers or ids, by number, locked in the order of their ids."""
    rows = db.execute(_LOCK_CARDS, {"numbers": list(numbers), "ids": list(ids)}).all()
    # Only now: what was paid before the locks were held can have changed while waiting for them.
    paid: dict[int, Decimal] = dict(db.execute(_PAID, {"ids": [row.id for row in rows]}).tuples().all())
    return {
        row.number: NamedCard(
            id=row.id,
            number=row.number,
            customer_id=row.customer_id,
            currency=row.currency,
            state=CardState(row.state),
            total=row.total,
            paid=paid.get(row.id, NOTHING),
            trial=row.trial,
        )
        for row in rows
    }


def allocate(db: Connection, decisions: Iterable[Decision], learned: Learned) -> None:
    """Record what was decided on new payments."""
    decided = list(decisions)
    parts = ((each.payment, part, each.verdict) for each in decided for part in each.allocations)
    _add(db, ((each.id, each.currency, part, rule, None) for each, part, rule in parts), learned)
    back = [(each.payment.id, each.reverses) for each in decided if each.reverses is not None]
    if back:
        db.execute(
            text("""
            UPDATE payments SET reverses_id = original
            FROM unnest(cast(:ids AS bigint[]), cast(:originals AS bigint[])) AS back (id, original)
            WHERE payments.id = back.id"""),
            {"ids": [id_ for id_, _ in back], "originals": [original for _, original in back]},
        )


def place(
    db: Connection, payment: int | None, currency: str, parts: Iterable[Allocation], rule: str, operator: str,
    learned: Learned,
) -> None:  # fmt: skip
    """Record what an operator decided; without a payment money moves between credit and the outside."""
    _add(db, ((payment, currency, part, rule, operator) for part in parts), learned)


def _add(db: Connection, rows: Iterable[tuple[int | None, str, Allocation, str, str | None]], learned: Learned) -> None:
    driver: Any = db.connection.driver_connection
    columns = "payment_id, currency, purpose, amount, customer_id, card_id, rule, operator, business_date, run_id"
    with driver.cursor() as cursor, cursor.copy(f"COPY allocations ({columns}, recorded_at) FROM STDIN") as out:
        for payment, currency, part, rule, operator in rows:
            out.write_row((
                payment, currency, part.purpose.value, part.amount, part.customer_id, part.card_id, str(rule),
                operator, learned.day, learned.run_id, learned.now,
            ))  # fmt: skip


def reopen(db: Connection, cards: Sequence[int]) -> None:
    """Open paid cards of which money was taken back: their customers owe it again."""
    db.execute(_REOPEN, {"ids": list(cards)})


# -- what a person must decide ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Unassigned:
    """A payment with unassigned money, or one that the bank took back, as an operator sees it on a terminal."""

    id: int
    received_on: date
    amount: Decimal
    currency: str
    rest: Decimal
    payer: str
    remittance: str
    reverses: int | None

    @property
    def numbers(self) -> list[str]:
        return named(self.remittance)


UNASSIGNED = """
    WITH placed AS (
        SELECT payment_id AS id, sum(amount) AS amount FROM allocations WHERE payment_id IS NOT NULL GROUP BY payment_id
    )
    SELECT payments.id, received_on, payments.amount, currency, payments.amount - coalesce(placed.amount, 0) AS rest,
        coalesce(payer, '') AS payer, remittance, reverses_id AS reverses
    FROM payments LEFT JOIN placed USING (id)
    WHERE (payments.amount IS DISTINCT FROM placed.amount
            AND NOT EXISTS (SELECT FROM payments AS later WHERE later.reverses_id = payments.id))
        OR (reverses_id IS NOT NULL AND EXISTS (
            SELECT FROM allocations JOIN cards ON cards.id = card_id
            WHERE payment_id = payments.id AND cards.state = 'open'))"""
"""With the columns of Unassigned, in no order."""


def unassigned(db: Connection) -> Iterator[Unassigned]:
    """Payments of which something is unassigned, and takings back whose cards are open since."""
    asked = text(f"{UNASSIGNED} ORDER BY payments.id")
    return (Unassigned(*row) for row in db.execute(asked, execution_options={"yield_per": 1_000}))


def customer_of(db: Connection, code: str) -> int | None:
    """The id of the customer with this code, locked against other uses of its credit."""
    found: int | None = db.scalar(text("SELECT id FROM customers WHERE code = :code FOR NO KEY UPDATE"), {"code": code})
    return found


def credit_of(db: Connection, customers: Sequence[int]) -> dict[tuple[int, str], Decimal]:
    """The customers' credit by currency."""
    rows = db.execute(
        text("""
        SELECT customer_id, currency, sum(amount) AS credit FROM allocations
        WHERE customer_id = ANY(:customers) AND purpose = 'credit' GROUP BY customer_id, currency"""),
        {"customers": list(customers)},
    )
    return {(row.customer_id, row.currency): row.credit for row in rows}
