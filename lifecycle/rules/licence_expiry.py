"""Licence expiry: what is due for a lapsed licence on a day.

Two milestones follow an expiry: after 3 months the customer is warned, after 6 months access is disabled and the
customer told so. Access is never disabled before the warning was really sent, and `warning_days` have passed since the
business date of the run whose warning it was. Both are due "at or past the milestone and not yet done": a missed day is
made up by the next one.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from lifecycle.rules.calendar import first_day_after
from lifecycle.rules.outbox import Sent, State
from lifecycle.rules.plans import Decision, Held
from lifecycle.rules.reseller_report import access_ends_on
from lifecycle.rules.subscriptions import Status

WARN_AFTER_MONTHS = 3


class Step(StrEnum):
    """What a sweep does to one licence; the values are the names under which it is planned and counted."""

    WARN = "notice after 3 months"
    DISABLE = "access disabled"
    TELL = "notice of disabled access"
    WITHHOLD_WARNING = "notice after 3 months, withheld"
    WITHHOLD_DISABLING = "disabling, withheld"
    WITHHOLD_TELLING = "notice of disabled access, withheld"


CUTTING = {Step.DISABLE}
"""The steps that the brake looks at."""


@dataclass(frozen=True, slots=True)
class Licence:
    """A licence as a sweep sees it: its current lapse, and what was done about it.

    `due_on`: the day on which a sweep must look at it. `withheld`: the steps recorded as withheld for this lapse.
    """

    id: int
    code: str
    product: str
    expires_on: date
    status: Status
    reachable: bool
    due_on: date | None = None
    disabled_on: date | None = None
    warning: Sent | None = None
    telling: Sent | None = None
    withheld: frozenset[Step] = frozenset()


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for a sweep: the day it acts for, which streams are live on it, and the wait after a warning."""

    day: date
    notices_live: bool
    access_live: bool
    warning_days: int


def warn_on(expires_on: date) -> date:
    """The first day on which the warning is due."""
    return first_day_after(expires_on, WARN_AFTER_MONTHS)


def disable_on(licence: Licence, warned_on: date | None, warning_days: int) -> date:
    """The first day on which access may be disabled, given the business date of the warning."""
    ends = access_ends_on(licence.expires_on)
    return ends if warned_on is None or not warning_days else max(ends, warned_on + timedelta(days=warning_days))


def decide(licence: Licence, terms: Terms) -> Decision[Step]:
    """What is due for `licence`. Not yet expired for 3 months: nothing, until then."""
    if terms.day < warn_on(licence.expires_on):
        return Decision((), warn_on(licence.expires_on))
    if licence.status is Status.DISABLED:
        return _after_disabling(licence, terms)
    if terms.day >= access_ends_on(licence.expires_on) and not terms.warning_days:
        return _disabling(licence, terms)
    return _warning(licence, terms) if licence.warning is None else _warned(licence, licence.warning, terms)


def _warning(licence: Licence, terms: Terms) -> Decision[Step]:
    tomorrow = terms.day + timedelta(days=1)
    if not licence.reachable:
        return Decision((), tomorrow, Held.NO_ADDRESS)
    if not terms.notices_live:
        return Decision(_once(Step.WITHHOLD_WARNING, licence), tomorrow, Held.NOT_LIVE)
    return Decision((Step.WARN,), disable_on(licence, terms.day, terms.warning_days))


def _warned(licence: Licence, warning: Sent, terms: Terms) -> Decision[Step]:
    due = disable_on(licence, warning.business_date, terms.warning_days)
    tomorrow = terms.day + timedelta(days=1)
    if terms.day < access_ends_on(licence.expires_on):
        return Decision((), due)
    if warning.refused:
        return Decision((), tomorrow, Held.WARNING_REFUSED)
    if warning.state is not State.SENT:
        return Decision((), tomorrow, Held.WARNING_NOT_SENT)
    if terms.day < due:
        return Decision((), due, Held.WARNED_LATELY)
    return _disabling(licence, terms)


def _disabling(licence: Licence, terms: Terms) -> Decision[Step]:
    if not terms.access_live:
        tomorrow = terms.day + timedelta(days=1)
        return Decision(_once(Step.WITHHOLD_DISABLING, licence), tomorrow, Held.NOT_LIVE)
    told = _after_disabling(licence, terms)
    return Decision((Step.DISABLE, *told.steps), told.look_on, told.held)


def _after_disabling(licence: Licence, terms: Terms) -> Decision[Step]:
    """Access is disabled: its customer is told so once."""
    tomorrow = terms.day + timedelta(days=1)
    if licence.telling is not None:
        return Decision((), None)
    if not licence.reachable:
        return Decision((), tomorrow, Held.NO_ADDRESS)
    if not terms.notices_live:
        return Decision(_once(Step.WITHHOLD_TELLING, licence), tomorrow, Held.NOT_LIVE)
    return Decision((Step.TELL,), None)


def _once(step: Step, licence: Licence) -> tuple[Step, ...]:
    return () if step in licence.withheld else (step,)


def told_end(licence: Licence, step: Step, terms: Terms) -> date:
    """The first day without access that a notice names."""
    if step in {Step.WARN, Step.WITHHOLD_WARNING}:
        return disable_on(licence, terms.day, terms.warning_days)
    return licence.disabled_on or terms.day


def foreseen(licence: Licence, terms: Terms, days: int) -> list[tuple[Step, date]]:
    """The day on which access is going to be disabled, if that is after `terms.day` and within so many days of it."""
    if licence.status is Status.DISABLED or licence.warning is None:
        return []
    due = disable_on(licence, licence.warning.business_date, terms.warning_days)
    return [(Step.DISABLE, due)] if timedelta() < due - terms.day <= timedelta(days=days) else []
