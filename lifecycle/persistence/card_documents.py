"""Billing cards as they are shown, their documents, and what a mail about one says at the moment it is sent."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, cast

import psycopg
from sqlalchemy import Connection, Row, text

from lifecycle.persistence.billing_card import Run, line
from lifecycle.rules.billing_card import (
    Card,
    CardKind,
    CardState,
    Confirmation,
    Item,
    Payer,
    Renewed,
    gross_amounts,
    rate_totals,
)
from lifecycle.rules.languages import Locale
from lifecycle.rules.money import NOTHING
from lifecycle.rules.outbox import Obsolete

_READ = """
SELECT cards.id, number, cards.revision, issued_on, currency, cards.trial,
    coalesce(made.shows_vat, :shows_vat) AS shows_vat, coalesce(made.paid, allocated.paid, 0) AS paid,
    customer.code, name, street, postcode, city, country, tax_id, coalesce(locale, :default_locale) AS locale
FROM cards
JOIN customers AS customer ON customer.id = customer_id
LEFT JOIN card_revisions AS made ON made.card_id = cards.id AND made.revision = cards.revision
LEFT JOIN LATERAL (
    SELECT sum(amount) AS paid FROM allocations WHERE card_id = cards.id AND purpose = 'card') AS allocated ON true
WHERE cards.id = ANY(:cards)"""

_ITEMS = text("""
SELECT line.*, coalesce(reference, '') AS reference, subscriptions.code, products.name AS product
FROM card_lines AS line
JOIN cards ON cards.id = card_id AND line.revision = cards.revision
JOIN subscriptions ON subscriptions.id = subscription_id
JOIN products ON products.id = product_id
WHERE cards.id = ANY(:cards) AND card_id = ANY(:cards) ORDER BY card_id, line.expires_on, subscription_id""")


def read(db: Connection, cards: Sequence[int], default_locale: Locale, *, shows_vat: bool) -> dict[int, Card]:
    """The cards with these ids as they are shown, in their last revision; names as they are now.

    `shows_vat` is for revisions whose document is still to be made.
    """
    asked = {"cards": list(cards)}
    items: dict[int, list[Row[Any]]] = defaultdict(list)
    for row in db.execute(_ITEMS, asked):
        items[row.card_id].append(row)
    rows = db.execute(text(_READ), asked | {"default_locale": default_locale, "shows_vat": shows_vat})
    return {row.id: _card(row, items[row.id]) for row in rows}


def _card(row: Row[Any], items: Sequence[Row[Any]]) -> Card:
    lines = [line(item) for item in items]
    gross = gross_amounts(lines)
    return Card(
        number=row.number,
        revision=row.revision,
        issued_on=row.issued_on,
        due_on=min(each.expires_on for each in lines),
        trial=row.trial,
        shows_vat=row.shows_vat,
        payer=_payer(row),
        locale=row.locale,
        currency=row.currency,
        items=tuple(
            Item(item.reference, item.product, item.code, each, amount)
            for item, each, amount in zip(items, lines, gross, strict=True)
        ),
        totals=rate_totals(lines),
        paid=row.paid,
    )


def _payer(row: Row[Any]) -> Payer:
    return Payer(
        code=row.code,
        name=row.name,
        street=row.street or "",
        postcode=row.postcode or "",
        city=row.city or "",
        country=row.country or "",
        tax_id=row.tax_id or "",
    )


_COPY_DOCUMENTS = """
COPY card_revisions (
    card_id, revision, made_on, total, paid, trial, shows_vat, document, digest, run_id, recorded_at)
FROM STDIN (FORMAT BINARY)"""
_DOCUMENT_TYPES = (
    "int8", "int4", "date", "numeric", "numeric", "bool", "bool", "bytea", "text", "uuid", "timestamptz"
)  # fmt: skip


def store(db: Connection, documents: Iterable[tuple[int, Card, bytes, str]], run: Run) -> None:
    """Store the documents of new revisions: (card's id, card, PDF, its SHA-256)."""
    driver = cast("psycopg.Connection[Any]", db.connection.driver_connection)
    with driver.cursor() as cursor, cursor.copy(_COPY_DOCUMENTS) as copy:
        copy.set_types(_DOCUMENT_TYPES)
        for id_, card, document, digest in documents:
            copy.write_row(
                (id_, card.revision, run.day, card.total, card.paid, card.trial, card.shows_vat, document, digest,
                 run.run_id, run.now)
            )  # fmt: skip


class DocumentLost(Exception):
    """The stored document is missing, or is not the one that was stored: nothing may be mailed in its place."""


class DocumentErased(DocumentLost):
    """It went with its customer, who is erased. The card can be drawn anew, of the facts that stay."""


def find(db: Connection, number: str) -> int | None:
    """The id of the card with this number; None: there is none."""
    found: int | None = db.execute(text("SELECT id FROM cards WHERE number = :number"), {"number": number}).scalar()
    return found


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a card stands now, with each (business_date, amount, rule) that was paid of it or taken back."""

    state: CardState
    paid: Decimal
    open: Decimal
    allocations: Sequence[Row[Any]]


def stands(db: Connection, card: int) -> Standing:
    row = db.execute(text("SELECT state, total FROM cards WHERE id = :card"), {"card": card}).one()
    allocations = db.execute(
        text("""
        SELECT business_date, amount, rule FROM allocations WHERE card_id = :card AND purpose = 'card' ORDER BY id"""),
        {"card": card},
    ).all()
    paid = sum((each.amount for each in allocations), NOTHING)
    return Standing(CardState(row.state), paid, row.total - paid if row.state == "open" else NOTHING, allocations)


def document(db: Connection, card: int) -> bytes:
    """The PDF of a card's last revision, exactly as it was stored. Raises DocumentLost, or DocumentErased."""
    row = db.execute(
        text("""
        SELECT number, cards.revision, document, digest,
            card_id IS NOT NULL AND erased_on IS NOT NULL AND num_nonnulls(document, digest) = 0 AS erased
        FROM cards
        JOIN customers ON customers.id = customer_id
        LEFT JOIN card_revisions ON card_id = cards.id AND card_revisions.revision = cards.revision
        WHERE cards.id = :card"""),
        {"card": card},
    ).one()
    if row.erased:
        raise DocumentErased(f"{row.number}, revision {row.revision}: the document went with its customer")
    if row.document is None or hashlib.sha256(row.document).hexdigest() != row.digest:
        raise DocumentLost(f"{row.number}, revision {row.revision}: the document is not there as it was stored")
    found: bytes = row.document
    return found


@dataclass(frozen=True, slots=True)
class CardMail:
    """What a mail about an open card says: `paid` is what was paid of it by now; `day` is the mail's business date."""

    kind: CardKind
    card: Card
    paid: Decimal
    day: date
    document: bytes


_ABOUT = text("""
SELECT messages.kind, messages.business_date, (facts ->> 'revision')::integer AS mailed, cards.id, number, cards.state,
    cards.revision, due_on, coalesce(paid, 0) AS paid, coalesce(received, 0) > 0 AS paid_in_part
FROM messages JOIN cards ON number = facts ->> 'card'
LEFT JOIN LATERAL (
    SELECT sum(amount) AS paid, sum(amount) FILTER (WHERE payment_id IS NOT NULL) AS received
    FROM allocations WHERE card_id = cards.id AND purpose = 'card') AS allocated ON true
WHERE messages.id = :message""")


def mail(db: Connection, message: int, default_locale: Locale) -> CardMail:
    """What the queued mail about an open card says, as things are now; its document is the one that was stored.

    Raises Obsolete where the card needs no such mail any more, and DocumentLost.
    """
    row = db.execute(_ABOUT, {"message": message}).one()
    if row.state != CardState.OPEN:
        raise Obsolete(f"{row.number} is {row.state}")
    if row.mailed is not None and row.mailed != row.revision:
        raise Obsolete(f"{row.number} has been revised since")
    if row.kind == CardKind.REMINDER and row.paid_in_part and row.business_date <= row.due_on:
        raise Obsolete(f"{row.number} was paid in part since")
    shown = read(db, [row.id], default_locale, shows_vat=True)[row.id]
    return CardMail(CardKind(row.kind), shown, row.paid, row.business_date, document(db, row.id))


_RENEWED = text("""
SELECT number, customers.name AS customer_name, coalesce(locale, :default_locale) AS locale, cards.currency, total,
    coalesce(reference, '') AS reference, products.name AS product, subscriptions.code, term.starts_on, term.expires_on,
    EXISTS (
        SELECT FROM transitions
        WHERE transitions.subscription_id = term.subscription_id AND term_id = term.id AND rule = 'renewed'
    ) AS reactivated
FROM messages
JOIN cards ON number = facts ->> 'card'
JOIN customers ON customers.id = cards.customer_id
JOIN card_renewals ON card_id = cards.id
JOIN terms AS term ON term.id = term_id
JOIN subscriptions ON subscriptions.id = card_renewals.subscription_id
JOIN products ON products.id = product_id
WHERE messages.id = :message ORDER BY term.starts_on, subscriptions.code""")


def confirmation(db: Connection, message: int, default_locale: Locale) -> Confirmation:
    """What the queued mail about a paid card says: what it has renewed."""
    rows = db.execute(_RENEWED, {"message": message, "default_locale": default_locale}).all()
    card = rows[0]
    return Confirmation(
        number=card.number,
        customer_name=card.customer_name,
        locale=card.locale,
        currency=card.currency,
        total=card.total,
        services=tuple(
            Renewed(row.reference, row.product, row.code, row.starts_on, row.expires_on, row.reactivated)
            for row in rows
        ),
    )
