"""Instalments: dated amounts owed under a membership."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from lifecycle.rules.money import NOTHING, cents, tax_on


class InstalmentStatus(StrEnum):
    """``submitted``: it is with the bank or the payment provider, and cannot be recalled."""

    DUE = "due"
    SUBMITTED = "submitted"
    PAID = "paid"
    CANCELLED = "cancelled"
    TO_BE_REFUNDED = "to_be_refunded"


OWED = frozenset({InstalmentStatus.DUE, InstalmentStatus.SUBMITTED, InstalmentStatus.TO_BE_REFUNDED})
"""While an instalment has one of these, somebody owes money: the customer or we."""


class Settlement(StrEnum):
    """What a person says became of an instalment, outside of charge runs and withdrawals."""

    PAID = "paid"
    RETURNED = "returned"
    REFUNDED = "refunded"


@dataclass(frozen=True, slots=True)
class Instalment:
    """`amount` with VAT, in the currency of its membership."""

    id: int
    due_on: date
    amount: Decimal
    status: InstalmentStatus


def amount_of(quantity: int, unit_price: Decimal, vat_rate: Decimal) -> Decimal:
    """What a period of a membership costs, VAT included: `unit_price` is without, `vat_rate` in percent."""
    net = cents(quantity * unit_price)
    return net + tax_on(net, vat_rate)


def total(instalments: Iterable[Instalment]) -> Decimal:
    return sum((instalment.amount for instalment in instalments), NOTHING)
