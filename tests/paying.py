"""Open cards, files of payments, and what became of both; for tests of payments."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import text

from lifecycle.persistence.database import transaction
from lifecycle.rules.billing_card import number_of, reference_of
from tasks.payment_import import Outcome, import_payments
from tests import cast
from tests.sweeping import started

DAY = date(2026, 4, 3)
NOW = datetime(2026, 4, 3, 8, tzinfo=UTC)
HEADER = "bank_reference,received_on,amount,currency,remittance,payer,iban\n"
STATEMENTS = Path(__file__).parent / "reading" / "statements"

CARDS = {123: "146.40", 124: "61.00", 125: "200.00", 126: "150.00", 127: "85.40"}
"""Open cards by serial number, with their totals; each of a customer of its own."""


def open_cards() -> None:
    with transaction() as db:
        service = cast.product(db, "DOMAIN", "service")
        run = started("payment-import", DAY)
        for serial, total in CARDS.items():
            _card(db, serial, Decimal(total), cast.customer(db, f"C{serial}"), service, run)


def _card(db: Any, serial: int, total: Decimal, customer: int, service: int, run: UUID) -> None:
    held = cast.subscription(db, f"S{serial}", customer, service)
    db.execute(
        text("""
        WITH made AS (
            INSERT INTO cards (number, customer_id, currency, state, trial, revision, total, issued_on, due_on,
                revised_on, run_id)
            VALUES (:number, :customer, 'EUR', 'open', false, 1, :total, :day, :day, :day, :run)
            RETURNING id
        )
        INSERT INTO card_lines (
            card_id, revision, subscription_id, expires_on, starts_on, ends_on, quantity, unit_price, vat_rate, payable)
        SELECT id, 1, :held, '2026-04-30', '2026-05-01', '2027-04-30', 1, 100, 22, true FROM made"""),
        {
            "number": number_of(2026, serial),
            "customer": customer,
            "total": total,
            "day": DAY,
            "run": run,
            "held": held,
        },
    )


def ref(serial: int) -> str:
    return reference_of(number_of(2026, serial))


def bring(home: Path, *lines: str, name: str = "payments.csv") -> Outcome:
    return import_payments.fn(written(home, *lines, name=name), DAY, NOW, started("payment-import", DAY))


def written(home: Path, *lines: str, name: str) -> Path:
    file = home / name
    file.write_text(HEADER + "".join(f"{line}\n" for line in lines))
    return file


def statement(name: str) -> Outcome:
    return import_payments.fn(STATEMENTS / name, DAY, NOW, started("payment-import", DAY))


def rows(query: str) -> list[tuple[Any, ...]]:
    with transaction() as db:
        return [tuple(row) for row in db.execute(text(query))]


def states() -> dict[int, tuple[str, str, bool]]:
    """Of each card: state, what was paid of it, whether its line is payable."""
    return {
        int(number[-6:]): (state, str(paid), payable)
        for number, state, paid, payable in rows("""
            SELECT number, state, coalesce((
                SELECT sum(amount) FROM allocations WHERE card_id = cards.id AND purpose = 'card'), 0.00), payable
            FROM cards JOIN card_lines ON card_id = cards.id ORDER BY number""")
    }


def credit() -> dict[str, Decimal]:
    return dict(
        rows("""
        SELECT code, sum(amount) FROM allocations JOIN customers ON customers.id = customer_id
        WHERE purpose = 'credit' GROUP BY code HAVING sum(amount) <> 0""")
    )
