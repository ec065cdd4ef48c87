"""Instalments to be charged, and the files in which they were.

An instalment is locked first, and whether it is withdrawn from is looked up by a later statement: a withdrawal locks it
too, so it is either cancelled before and not found due any more, or submitted and to be refunded.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, Row, text

from lifecycle.rules.charge_run import Charge, Collection, Figures, Mandate, file_name
from lifecycle.rules.subscriptions import ChargeMethod


class Owed(NamedTuple):
    """Instalments that are due and not paid yet, of one charge method and currency.

    `ids` are there, in order, where somebody may be charged: not of transfers, nor after a withdrawal.
    """

    method: ChargeMethod
    is_withdrawn: bool
    number: int
    ids: list[int]


_OWED = text("""
SELECT charge_method, is_withdrawn, count(*),
    coalesce(array_agg(id ORDER BY id) FILTER (WHERE charge_method <> 'transfer' AND NOT is_withdrawn), '{}')
FROM (
    SELECT instalments.id, charge_method, currency, EXISTS (
        SELECT FROM withdrawn_memberships AS withdrawn WHERE withdrawn.subscription_id = subscriptions.id
    ) AS is_withdrawn
    FROM instalments JOIN subscriptions ON subscriptions.id = subscription_id
    WHERE instalments.status = 'due' AND due_on <= :day
) AS due
GROUP BY charge_method, currency, is_withdrawn
ORDER BY charge_method, currency
""")

_LOCK = text("""
SELECT id FROM instalments WHERE id = ANY(:instalments) AND status = 'due' AND due_on <= :day ORDER BY id FOR UPDATE
""")

_CHARGES = text("""
SELECT instalments.id, subscriptions.code AS subscription, products.name AS product, due_on, amount,
    instalments.currency, charge_method,
    (SELECT count(*) FROM settlements WHERE instalment_id = instalments.id AND outcome = 'returned') AS returned,
    withdrawn.subscription_id IS NOT NULL AS is_withdrawn,
    mandates.code AS mandate, mandates.kind, signed_on, ended_on, coalesce(holder, customers.name) AS holder,
    coalesce(iban, token) AS account, bic
FROM instalments
JOIN subscriptions ON subscriptions.id = subscription_id
JOIN customers ON customers.id = subscriptions.customer_id
JOIN products ON products.id = product_id
LEFT JOIN withdrawn_memberships AS withdrawn ON withdrawn.subscription_id = subscriptions.id
LEFT JOIN mandates ON mandates.id = mandate_id
WHERE instalments.id = ANY(:instalments)
ORDER BY instalments.id
""")

_STORE = text("""
WITH made AS (
    INSERT INTO collections (
        message_id, kind, business_date, collect_on, currency, total, number, document, digest, run_id, recorded_at)
    VALUES (
        :message_id, :kind, :day, :collect_on, :currency, :total, :number, :document, :digest, :run_id, :now)
    RETURNING id
)
UPDATE instalments SET status = 'submitted', collection_id = made.id FROM made WHERE instalments.id = ANY(:instalments)
""")


def owed(db: Connection, day: date) -> list[Owed]:
    """All instalments that are due on `day`, in order of charge method and currency."""
    return [Owed(ChargeMethod(row.charge_method), *row[1:]) for row in db.execute(_OWED, {"day": day})]


def locked(db: Connection, instalments: Sequence[int], day: date) -> list[Charge]:
    """Those of the instalments that are due still, locked until the transaction ends, in order of id."""
    still = list(db.execute(_LOCK, {"instalments": list(instalments), "day": day}).scalars())
    return [_charge(row) for row in db.execute(_CHARGES, {"instalments": still})]


def _charge(row: Row[Any]) -> Charge:
    kind = row.kind and ChargeMethod(row.kind)
    mandate = Mandate(row.mandate, kind, row.signed_on, row.ended_on, row.holder, row.account, row.bic)
    return Charge(
        id=row.id,
        subscription=row.subscription,
        product=row.product,
        due_on=row.due_on,
        amount=row.amount,
        currency=row.currency,
        method=ChargeMethod(row.charge_method),
        returned=row.returned,
        is_withdrawn=row.is_withdrawn,
        mandate=mandate if kind else None,
    )


def store(db: Connection, collection: Collection, document: bytes, day: date, run_id: UUID, now: datetime) -> None:
    """Store the file, and mark what is in it as submitted."""
    about = asdict(collection.figures) | {
        "day": day,
        "document": document,
        "digest": hashlib.sha256(document).hexdigest(),
        "run_id": run_id,
        "now": now,
    }
    db.execute(_STORE, about | {"instalments": [debit.charge.id for debit in collection.debits]})


class Unfiled(NamedTuple):
    """A file that is yet to be put among the documents."""

    message_id: str
    name: str
    document: bytes


_UNFILED = text("""
SELECT message_id, kind, document FROM collections WHERE filed_at IS NULL AND document IS NOT NULL
ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
""")


def unfiled(db: Connection) -> Unfiled | None:
    """The next one, locked until the transaction ends; None: there is none, or others have it."""
    row = db.execute(_UNFILED).one_or_none()
    return Unfiled(row.message_id, file_name(row.message_id, ChargeMethod(row.kind)), row.document) if row else None


def filed(db: Connection, message_id: str, now: datetime) -> None:
    asked = text("UPDATE collections SET filed_at = :now WHERE message_id = :message_id")
    db.execute(asked, {"now": now, "message_id": message_id})


def stored(db: Connection) -> set[str]:
    """The names of files whose documents are there: nobody in them was erased."""
    rows = db.execute(text("SELECT message_id, kind FROM collections WHERE document IS NOT NULL"))
    return {file_name(row.message_id, ChargeMethod(row.kind)) for row in rows}


class Listed(NamedTuple):
    """`is_stored`: whether its document is there, and nobody in it was erased."""

    business_date: date
    figures: Figures
    is_stored: bool


_LISTED = """
SELECT business_date, document IS NOT NULL AS is_stored, message_id, kind, currency, collect_on, number, total
FROM collections"""


def listed(db: Connection) -> list[Listed]:
    """All files, the last one first."""
    return [_listed(row) for row in db.execute(text(f"{_LISTED} ORDER BY id DESC"))]


def _listed(row: Row[Any]) -> Listed:
    figures = Figures(row.message_id, ChargeMethod(row.kind), row.currency, row.collect_on, row.number, row.total)
    return Listed(row.business_date, figures, row.is_stored)


class Submitted(NamedTuple):
    """An instalment that was in a file, and how it stands now."""

    id: int
    subscription: str
    due_on: date
    amount: Decimal
    status: str


# Of one that came back, the settlement knows the file in which it had been.
_SUBMITTED = text("""
SELECT instalments.id, subscriptions.code, due_on, amount, instalments.status
FROM instalments JOIN subscriptions ON subscriptions.id = subscription_id
WHERE instalments.id IN (
    SELECT id FROM instalments WHERE collection_id = :collection
    UNION SELECT instalment_id FROM settlements WHERE collection_id = :collection)
ORDER BY instalments.id
""")


@dataclass(frozen=True, slots=True)
class Found:
    """A file with what was in it. `document` is None where somebody in it was erased."""

    file: Listed
    document: bytes | None
    submitted: list[Submitted]


def find(db: Connection, message_id: str) -> Found | None:
    """The file of that id; None: there is none."""
    asked = {"message_id": message_id}
    row = db.execute(text(f"{_LISTED} WHERE message_id = :message_id"), asked).one_or_none()
    if row is None:
        return None
    stored = text("SELECT id AS collection, document FROM collections WHERE message_id = :message_id")
    collection, document = db.execute(stored, asked).one()
    submitted = [Submitted(*each) for each in db.execute(_SUBMITTED, {"collection": collection})]
    return Found(_listed(row), document, submitted)
