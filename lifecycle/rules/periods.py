"""The periods of flows that run by the calendar: which of them no run has seen to, and which are left to a person.

Two kinds. A report stands for its own period: each one that is missing is made. What acts (a sweep, a card run) does
all that is due up to its day: the run of the last missing day makes up those before it, and nothing is to be gained by
running them one by one. It would even harm: whoever was to be warned on the first of them and cut off on the last would
be so on the same morning, and many small plans would pass a brake that holds the one they make together.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from lifecycle.rules.calendar import first_of_month, months


class Which(StrEnum):
    """Which periods of a time are to be run again."""

    MISSING = "missing"
    """Those without a successful run: nobody began one, or it failed."""
    FAILED = "failed"
    """Those whose runs have all failed, or died."""
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Periodic:
    """How a flow is told its period: by which parameter, by months or days, and whether it `acts` or reports."""

    parameter: str
    monthly: bool
    acts: bool

    def of(self, moment: datetime, zone: ZoneInfo) -> date:
        """The first day of the period for which a run acts that is scheduled for this moment."""
        day = moment.astimezone(zone).date()
        return first_of_month(day) if self.monthly else day

    def argument(self, period: date) -> str:
        """The value of the parameter for a period, which is given by its first day."""
        return f"{period:%Y-%m}" if self.monthly else period.isoformat()


PERIODIC = {
    "monthly-reseller-report": Periodic("month", monthly=True, acts=False),
    "open-cards-report": Periodic("on", monthly=False, acts=False),
    "consent-report": Periodic("on", monthly=False, acts=False),
    "daily-expiry-sweep": Periodic("business_date", monthly=False, acts=True),
    "billing-card-run": Periodic("business_date", monthly=False, acts=True),
    "charge-run": Periodic("business_date", monthly=False, acts=True),
    "consent-renewal": Periodic("business_date", monthly=False, acts=True),
}
"""By flow. What runs every few minutes has no periods: the next run does all that is due."""

TRIES = 3
"""A period whose runs failed or died so often within a day is left to a person."""


@dataclass(frozen=True, slots=True)
class Ran:
    """A run for a whole period, as the table of runs knows it."""

    period: date
    outcome: str
    started_at: datetime


_UNDER_WAY = {"running", "waiting"}
_FAILED = {"failed", "crashed", "refused"}


def between(first: date, last: date, *, monthly: bool) -> list[date]:
    """The first days of all periods from that of `first` to that of `last`, in order."""
    if monthly:
        return months(first, last)
    return [first + timedelta(days=after) for after in range((last - first).days + 1)]


def to_run(periodic: Periodic, periods: Iterable[date], ran: Collection[Ran], which: Which) -> list[date]:
    """Those of `periods` that are to be run, in order.

    One that is running, or waits for a person, is not. `ran` are the runs for these periods and, of what acts, for
    later ones.
    """
    wanted = sorted(periods)
    if which is Which.ALL:
        return wanted
    outcomes = _outcomes(ran)
    if periodic.acts:
        done = max((run.period for run in ran if run.outcome in {"completed", *_UNDER_WAY}), default=date.min)
        wanted = [period for period in wanted if period > done]
    open_ = [period for period in wanted if not outcomes[period] & {"completed", *_UNDER_WAY}]
    if which is Which.FAILED:
        open_ = [period for period in open_ if outcomes[period] & _FAILED]
    return open_[-1:] if periodic.acts else open_


def superseded(scheduled: datetime, now: datetime, zone: ZoneInfo) -> bool:
    """Whether a run that was scheduled then leaves its day to a later one: by the clock on the wall the next is due.

    Not after 24 hours: when the clocks change, the next day's run comes after 23 or 25.
    """
    return now.astimezone(zone).replace(tzinfo=None) >= scheduled.astimezone(zone).replace(tzinfo=None) + timedelta(1)


def given_up(periods: Iterable[date], ran: Iterable[Ran], now: datetime) -> list[date]:
    """Those of `periods` that were tried TRIES times within a day, in vain."""
    tries = defaultdict[date, int](int)
    for run in ran:
        tries[run.period] += run.outcome in _FAILED and run.started_at > now - timedelta(days=1)
    return [period for period in periods if tries[period] >= TRIES]


def _outcomes(ran: Iterable[Ran]) -> defaultdict[date, set[str]]:
    outcomes = defaultdict[date, set[str]](set)
    for run in ran:
        outcomes[run.period].add(run.outcome)
    return outcomes
