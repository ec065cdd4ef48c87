"""Accounting's view of billing cards on a day: what is owed and for how long, credits, suspended services, stray money.

Amounts are kept apart by currency and never added over two.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from lifecycle.rules.money import NOTHING


class Age(StrEnum):
    """How long after its expiry a card is still open, in the order in which the ages are shown."""

    NOT_DUE = "not due"
    WEEK = "1-7 days"
    MONTH = "8-30 days"
    TWO_MONTHS = "31-60 days"
    LONGER = "over 60 days"


def age_of(days_overdue: int) -> Age:
    """The age of a card this many days after its expiry; on the expiry itself, and before, it is not due."""
    for most, age in ((0, Age.NOT_DUE), (7, Age.WEEK), (30, Age.MONTH), (60, Age.TWO_MONTHS)):
        if days_overdue <= most:
            return age
    return Age.LONGER


@dataclass(frozen=True, slots=True)
class Debt:
    """A card that was open on the day, in the revision of that day. `paid` is what was paid of it, with credit.

    A `trial` card was never sent: it is nobody's to pay, and counts in no sum.
    """

    number: str
    customer: str
    customer_name: str
    currency: str
    issued_on: date
    due_on: date
    revision: int
    total: Decimal
    paid: Decimal
    trial: bool

    @property
    def open(self) -> Decimal:
        return self.total - self.paid

    def days_overdue(self, day: date) -> int:
        """Days since its expiry; 0 up to then."""
        return max((day - self.due_on).days, 0)


@dataclass(frozen=True, slots=True)
class Credit:
    """What a customer has with us in one currency; negative where credit was used that the bank then took back."""

    customer: str
    customer_name: str
    currency: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class SuspendedService:
    """A service that was suspended on the day, since `since`; `reference` is "" where there is none.

    `card` is the open card on which it stands, `open` what was open of that whole card. None: it stands on none.
    """

    code: str
    reference: str
    product: str
    customer: str
    customer_name: str
    since: date
    card: str | None
    currency: str | None
    open: Decimal | None


@dataclass(frozen=True, slots=True)
class Unassigned:
    """A payment of which not everything went to a card, to credit or back. `assigned` is what did."""

    id: int
    bank_reference: str
    received_on: date
    payer: str
    remittance: str
    currency: str
    amount: Decimal
    assigned: Decimal

    @property
    def left(self) -> Decimal:
        return self.amount - self.assigned


@dataclass(frozen=True, slots=True)
class AgeTotal:
    """What the open cards of one currency and age add up to; `age` None: of all ages."""

    currency: str
    age: Age | None
    cards: int
    total: Decimal
    paid: Decimal

    @property
    def open(self) -> Decimal:
        return self.total - self.paid


@dataclass(frozen=True, slots=True)
class OpenCards:
    """How it all stood at the end of `day`."""

    day: date
    debts: list[Debt]
    credits: list[Credit]
    suspended: list[SuspendedService]
    unassigned: list[Unassigned]

    @property
    def owed(self) -> list[Debt]:
        """The cards that are somebody's to pay."""
        return [debt for debt in self.debts if not debt.trial]

    def age(self, debt: Debt) -> Age:
        return age_of(debt.days_overdue(self.day))

    def by_age(self) -> list[AgeTotal]:
        """For each currency a total of every age, also of those without a card, and then of all ages."""
        found: dict[tuple[str, Age | None], list[Debt]] = defaultdict(list)
        for debt in self.owed:
            found[debt.currency, self.age(debt)].append(debt)
            found[debt.currency, None].append(debt)
        ages = (*Age, None)
        return [
            AgeTotal(currency, age, len(debts), _sum(debt.total for debt in debts), _sum(debt.paid for debt in debts))
            for currency in sorted({currency for currency, _ in found})
            for age in ages
            for debts in (found[currency, age],)
        ]

    def sums(self) -> list[tuple[str, str, int, Decimal]]:
        """What, currency, how many, amount: of everything that is not by age. A card of two services counts once."""
        amounts: dict[tuple[str, str], list[Decimal]] = defaultdict(list)
        for credit in self.credits:
            amounts["credit", credit.currency].append(credit.amount)
        for payment in self.unassigned:
            amounts["unassigned", payment.currency].append(payment.left)
        cards = {service.card: service for service in self.suspended}
        for service in cards.values():
            if service.currency is not None and service.open is not None:
                amounts["cards of suspended services", service.currency].append(service.open)
        return [(what, currency, len(found), _sum(found)) for (what, currency), found in sorted(amounts.items())]


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, NOTHING)
