"""Withdrawals of a period: how many, from which memberships, and their share of the active ones.

They are counted by their last day of validity. The share of a month: the memberships withdrawn from whose last day is
in it and in the period, of those that were active on its first day. Active is a subscription of policy membership on
the days from the start to the expiry of any of its terms, in the last version that was known by the day of the report.
A month without active ones has no share, nor has one that had not begun by then: what is renewed from month to month
has no term in it yet.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

from lifecycle.rules.calendar import first_of_month, months
from lifecycle.rules.money import NOTHING


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A membership that was withdrawn from, with `withdrawal`, maybe among others.

    `customer_name` is the one of now, and empty of who is erased. The amounts are what of its instalments remained
    owed, was removed, and is to be refunded. `done_at` is in the business time zone.
    """

    withdrawal: UUID
    customer: str
    customer_name: str
    subscription: str
    product: str
    product_name: str
    action_type: str
    action_title: str
    operator: str
    last_day: date
    former_expires_on: date
    currency: str
    owed: Decimal
    removed: Decimal
    to_be_refunded: Decimal
    done_at: datetime


@dataclass(frozen=True, slots=True)
class Tally:
    """A withdrawal and a customer count once, however many memberships were withdrawn from."""

    withdrawals: int
    customers: int
    memberships: int

    @classmethod
    def of(cls, those: Sequence[Withdrawn]) -> "Tally":
        return cls(len({it.withdrawal for it in those}), len({it.customer for it in those}), len(those))


@dataclass(frozen=True, slots=True)
class Month:
    """`active` on its `first` day; None: it had not begun by the day of the report."""

    first: date
    tally: Tally
    active: int | None

    @property
    def share(self) -> Fraction | None:
        return Fraction(self.tally.memberships, self.active) if self.active else None


@dataclass(frozen=True, slots=True)
class Group:
    """Those of one action type or product."""

    code: str
    title: str
    tally: Tally


@dataclass(frozen=True, slots=True)
class Sums:
    """Amounts in one currency."""

    currency: str
    owed: Decimal
    removed: Decimal
    to_be_refunded: Decimal


@dataclass(frozen=True, slots=True)
class Withdrawals:
    """Those with a last day from `first` to `last`, both included, as they were known at the end of `as_of`.

    `active` has the first day of each month of the period that had begun by then, and how many memberships were active
    on it. No figure depends on a name.
    """

    first: date
    last: date
    as_of: date
    listed: Sequence[Withdrawn]
    active: Mapping[date, int]

    @property
    def total(self) -> Tally:
        return Tally.of(self.listed)

    @property
    def by_month(self) -> list[Month]:
        """Every month, from the first to the last in which anybody was a member or withdrew."""
        found = self._in_months
        told = {month for month, active in self.active.items() if active} | found.keys()
        return [
            Month(month, Tally.of(found[month]), self.active.get(month))
            for month in (months(min(told), max(told)) if told else [])
        ]

    @property
    def by_type(self) -> list[Group]:
        """Those with most memberships first."""
        return _groups((it.action_type, it.action_title, it) for it in self.listed)

    @property
    def by_product(self) -> list[Group]:
        """Those with most memberships first."""
        return _groups((it.product, it.product_name, it) for it in self.listed)

    @property
    def sums(self) -> list[Sums]:
        """By currency; amounts of two are never added."""
        found: dict[str, list[Withdrawn]] = defaultdict(list)
        for it in self.listed:
            found[it.currency].append(it)
        return [
            Sums(
                currency,
                sum((it.owed for it in those), NOTHING),
                sum((it.removed for it in those), NOTHING),
                sum((it.to_be_refunded for it in those), NOTHING),
            )
            for currency, those in sorted(found.items())
        ]

    def last_months(self, most: int) -> list[tuple[date, int]]:
        """The first day of each of the period's last months, at most so many, and the memberships withdrawn from."""
        found = self._in_months
        return [(month, len(found[month])) for month in months(self.first, self.last)[-most:]]

    @property
    def _in_months(self) -> dict[date, list[Withdrawn]]:
        found: dict[date, list[Withdrawn]] = defaultdict(list)
        for it in self.listed:
            found[first_of_month(it.last_day)].append(it)
        return found


def _groups(named: Iterable[tuple[str, str, Withdrawn]]) -> list[Group]:
    found: dict[tuple[str, str], list[Withdrawn]] = defaultdict(list)
    for code, title, it in named:
        found[code, title].append(it)
    groups = [Group(code, title, Tally.of(those)) for (code, title), those in found.items()]
    return sorted(groups, key=lambda group: (-group.tally.memberships, group.code))
