"""The acknowledgement of a withdrawal: what its customer is told at once, and can keep.

EU consumers' law asks for it (Directive 2011/83/EU, Article 11a): the content of the withdrawal, and the date and time
of its submission, on a durable medium.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from lifecycle.rules.billing_card import Payee
from lifecycle.rules.instalments import Instalment
from lifecycle.rules.languages import Locale
from lifecycle.rules.licence_notice import Contact
from lifecycle.rules.money import NOTHING


def number_of(withdrawal: UUID) -> str:
    """``3F2A9C1B``: by which a person names the withdrawal with this id; with its customer's code unmistakably."""
    return withdrawal.hex[:8].upper()


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A membership that was withdrawn from. `reference` is "" where there is none; amounts with VAT, in `currency`.

    `owed` is to be paid still; `in_collection` is due by the last day and with the bank or the payment provider.
    `goes_on`: until the last day it is renewed from month to month, each time with an instalment.
    """

    reference: str
    product: str
    code: str
    currency: str
    owed: tuple[Instalment, ...]
    in_collection: Decimal
    removed: Decimal
    to_be_refunded: Decimal
    goes_on: bool


@dataclass(frozen=True, slots=True)
class Mandate:
    """By which memberships were charged. Where it is not `ended`, another contract of the customer uses it."""

    code: str
    is_card: bool
    ended: bool


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """One withdrawal, in its customer's language. `customer` is the code; `submitted_at` in the business time zone.

    `payee` is whom transfers go to; None: the installation names no account.
    """

    number: str
    submitted_at: datetime
    customer: str
    customer_name: str
    locale: Locale
    last_day: date
    memberships: tuple[Withdrawn, ...]
    mandates: tuple[Mandate, ...]
    payee: Payee | None
    contact: Contact

    def sums(self, amount: Callable[[Withdrawn], Decimal]) -> list[tuple[Decimal, str]]:
        """What `amount` of the memberships adds up to, by currency; those without any are left out."""
        sums: dict[str, Decimal] = defaultdict(lambda: NOTHING)
        for membership in self.memberships:
            sums[membership.currency] += amount(membership)
        return [(sum_, currency) for currency, sum_ in sorted(sums.items()) if sum_]
