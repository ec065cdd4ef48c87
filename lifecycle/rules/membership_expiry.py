"""Membership expiry: renewal from month to month, withdrawals that take effect, plans that end.

A membership that is renewed from month to month gets its next term on the day after its expiry, with an instalment due
on that term's first day. Terms follow one another from the anchor, one period after another, also where days were
missed; up to the withdrawal date, if there is one, on which the last term ends. On the day after it, the membership is
withdrawn; what is not renewed has ended.

The safety case. An instalment is money that is taken from an account: none is made before the go-live, for anybody who
is erased, beyond the withdrawal date, or for what lapsed so long ago that it must be a mistake in the data.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum

from lifecycle.rules.billing_card import Period, period_after
from lifecycle.rules.calendar import add_months
from lifecycle.rules.instalments import amount_of
from lifecycle.rules.money import MOST
from lifecycle.rules.plans import Decision, Held
from lifecycle.rules.subscriptions import Status

MOST_MISSED_MONTHS = 12
"""What lapsed longer ago is a person's to renew: so many charges at once would be a mistake in the data."""


class Step(StrEnum):
    """What a sweep does to one membership; the values are the names under which it is planned and counted."""

    RENEW = "membership renewed"
    WITHDRAW = "membership withdrawn"
    END = "membership ended"


CUTTING = {Step.WITHDRAW}
"""The steps that the brake looks at. What ends as agreed is not cut off."""

_CLOSED = {Status.WITHDRAWN, Status.ENDED}


@dataclass(frozen=True, slots=True)
class Membership:
    """A membership as a sweep sees it. `last_start` is that of its last term.

    `withdrawn_on`: its last day of validity, where somebody withdrew. `unit_price` is without VAT, `vat_rate` in
    percent. `erased`: its customer is, as after a restore. `due_on`: the day on which a sweep must look at it.
    """

    id: int
    code: str
    product: str
    expires_on: date
    status: Status
    anchor: date
    last_start: date
    auto_renew: bool
    period_months: int
    quantity: int
    unit_price: Decimal
    vat_rate: Decimal
    currency: str
    withdrawn_on: date | None = None
    erased: bool = False
    due_on: date | None = None

    @property
    def is_monthly(self) -> bool:
        return self.auto_renew and self.period_months == 1 and not self.erased

    @property
    def amount(self) -> Decimal:
        """Of the instalment that a renewal calls for, VAT included."""
        return amount_of(self.quantity, self.unit_price, self.vat_rate)

    @property
    def last_day(self) -> date | None:
        """The one with which it ends for good; None: it goes on from month to month."""
        if not self.is_monthly:
            return self.expires_on
        return None if self.withdrawn_on is None else max(self.expires_on, self.withdrawn_on)


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for a sweep: the day it acts for, and whether the stream is live on it."""

    day: date
    live: bool


def decide(membership: Membership, terms: Terms) -> Decision[Step]:
    """What is due for `membership`. Before the go-live nothing is: what is then still due is done once."""
    if membership.status in _CLOSED:
        return Decision((), None)
    if membership.expires_on >= terms.day:
        return Decision((), membership.expires_on + timedelta(days=1))
    tomorrow, last = terms.day + timedelta(days=1), membership.last_day
    if not terms.live:
        return Decision((), tomorrow, Held.NOT_LIVE)
    if membership.expires_on == last:
        return Decision((Step.END if membership.withdrawn_on is None else Step.WITHDRAW,), None)
    is_over = last is not None and last < terms.day
    if add_months(membership.expires_on, MOST_MISSED_MONTHS) < terms.day:
        # Nobody may renew what was withdrawn from: it would be left to a person for ever. It is listed, and closed.
        return Decision((Step.WITHDRAW,) if is_over else (), None if is_over else tomorrow, Held.LONG_LAPSED)
    if membership.amount > MOST:
        return Decision((), tomorrow, Held.TOO_MUCH)
    if is_over:
        return Decision((Step.RENEW, Step.WITHDRAW), None)
    return Decision((Step.RENEW,), tomorrow)


def foreseen(membership: Membership, terms: Terms, days: int) -> list[tuple[Step, date]]:
    """When it will be withdrawn, if that is in the next `days` after the sweep's day.

    Of what ends before its withdrawal date, as it is renewed no more since, nothing is said before it is due.
    """
    last = membership.withdrawn_on
    if membership.status in _CLOSED or last is None or last != membership.last_day:
        return []
    on = last + timedelta(days=1)
    return [(Step.WITHDRAW, on)] if timedelta() < on - terms.day <= timedelta(days=days) else []


def missing_terms(membership: Membership, day: date) -> Iterator[Period]:
    """The terms that are missing on `day`, in order; an instalment is due on the first day of each."""
    expires_on, last_start, end = membership.expires_on, membership.last_start, membership.withdrawn_on
    while expires_on < day and (end is None or expires_on < end):
        period = period_after(expires_on, membership.anchor, membership.period_months, last_start)
        if end is not None and period.ends_on > end:
            period = Period(period.starts_on, end)
        yield period
        expires_on, last_start = period.ends_on, period.starts_on
