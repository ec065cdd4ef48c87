"""The charge run: which instalments are charged, in which file, and why the others are not.

An instalment is submitted once, in one file. Where the bank returns it and a person says so, it is due again, and
charged by a later file under another end-to-end id.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from lifecycle.rules.bank_days import bank_day_after
from lifecycle.rules.money import NOTHING
from lifecycle.rules.subscriptions import ChargeMethod

MOST = 10_000
"""Instalments in one file. Banks take more, but none of them has to be told twice what a file of 5 MB holds."""

SEPA_CURRENCY = "EUR"

MOST_AT_ONCE = Decimal("999999999.99")
"""What one direct debit may ask for (EPC130-08), in euros. A card is charged no more either."""

TRANSFER = "to be paid by transfer"


class Reason(StrEnum):
    """Why an instalment that is due is not charged."""

    WITHDRAWN = "owed after a withdrawal, not charged"
    NO_MANDATE = "no mandate or card"
    OTHER_KIND = "mandate or card does not fit the charge method"
    ENDED = "mandate or card has ended"
    NOT_SIGNED = "mandate is not signed"
    NO_ACCOUNT = "mandate without IBAN, or card without token"
    NO_EURO = "SEPA direct debit is in euros alone"
    TOO_MUCH = "more than can be charged at once"
    REFUSED = "the bank's schema refuses it"


@dataclass(frozen=True, slots=True)
class Mandate:
    """A mandate or card. `account` is the IBAN, or the token of a card. Holder, account and BIC are personal."""

    code: str
    kind: ChargeMethod
    signed_on: date | None
    ended_on: date | None
    holder: str
    account: str | None
    bic: str | None


@dataclass(frozen=True, slots=True)
class Charge:
    """An instalment that is due, and by what it is charged. `returned`: how often it came back."""

    id: int
    subscription: str
    product: str
    due_on: date
    amount: Decimal
    currency: str
    method: ChargeMethod
    returned: int
    is_withdrawn: bool
    mandate: Mandate | None

    @property
    def end_to_end_id(self) -> str:
        """What the bank names it by, in the customer's statement and when it returns it."""
        return f"I{self.id}-{self.returned + 1}" if self.returned else f"I{self.id}"


@dataclass(frozen=True, slots=True)
class Debit:
    """A charge that goes into a file, with the mandate or card that it goes by."""

    charge: Charge
    mandate: Mandate


@dataclass(frozen=True, slots=True)
class Creditor:
    """Who is paid. `bic` may be empty."""

    name: str
    iban: str
    bic: str
    id: str


@dataclass(frozen=True, slots=True)
class Figures:
    """What may be said of a file everywhere: no names, no accounts."""

    message_id: str
    kind: ChargeMethod
    currency: str
    collect_on: date
    number: int
    total: Decimal


@dataclass(frozen=True, slots=True)
class Collection:
    """A file of instalments of one kind and currency. `collect_on`: the day on which the money is asked for."""

    message_id: str
    kind: ChargeMethod
    currency: str
    collect_on: date
    debits: tuple[Debit, ...]

    @property
    def figures(self) -> Figures:
        total = sum((debit.charge.amount for debit in self.debits), NOTHING)
        return Figures(self.message_id, self.kind, self.currency, self.collect_on, len(self.debits), total)


_SUFFIXES = {ChargeMethod.SEPA: "xml", ChargeMethod.CARD: "csv"}


def file_name(message_id: str, kind: ChargeMethod) -> str:
    return f"{message_id}.{_SUFFIXES[kind]}"


def reason_against(charge: Charge, day: date) -> Reason | None:
    """Why the instalment is not charged on `day`; None: it is, unless the file's schema refuses it."""
    if charge.is_withdrawn:
        return Reason.WITHDRAWN
    if charge.mandate is None:
        return Reason.NO_MANDATE
    is_debit = charge.method is ChargeMethod.SEPA
    against = {
        Reason.OTHER_KIND: charge.mandate.kind is not charge.method,
        Reason.ENDED: charge.mandate.ended_on is not None and charge.mandate.ended_on <= day,
        Reason.NOT_SIGNED: is_debit and (charge.mandate.signed_on is None or charge.mandate.signed_on > day),
        Reason.NO_ACCOUNT: not charge.mandate.account,
        Reason.NO_EURO: is_debit and charge.currency != SEPA_CURRENCY,
        Reason.TOO_MUCH: charge.amount > MOST_AT_ONCE,
    }
    return next((reason for reason, holds in against.items() if holds), None)


def debits(charges: Iterable[Charge], day: date) -> Iterator[Debit]:
    """Those of the charges that nothing speaks against."""
    for charge in charges:
        if charge.mandate and reason_against(charge, day) is None:
            yield Debit(charge, charge.mandate)


def collect_on(kind: ChargeMethod, day: date, lead_days: int) -> date:
    """When the money of a file that is made on `day` is asked for: banks have so many bank days, providers none."""
    return bank_day_after(day, lead_days) if kind is ChargeMethod.SEPA else day


def message_id(kind: ChargeMethod, day: date, random: UUID) -> str:
    """A file's own, never used again even where the database was restored: at most 35 characters that banks take."""
    return f"{kind.upper()}-{day:%Y%m%d}-{random.hex[:12].upper()}"
