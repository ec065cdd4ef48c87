"""Which past periods a person asks to be run again, and what is wrong with that."""

from dataclasses import dataclass
from datetime import date, timedelta

from lifecycle.rules.calendar import add_months, first_of_month, month_of
from lifecycle.rules.findings import Finding
from lifecycle.rules.periods import PERIODIC, Periodic, Which, between

MOST_MONTHS = 120
MOST_DAYS = 366


@dataclass(frozen=True, slots=True)
class Wish:
    """What was typed: months as YYYY-MM; what was left out is empty or None."""

    flow: str
    from_month: str = ""
    to_month: str = ""
    from_date: date | None = None
    to_date: date | None = None
    which: Which = Which.MISSING
    dry_run: bool = False


def periods(wish: Wish, today: date) -> list[date]:
    """The first day of each period that is asked for, in order; none where the first one is not given."""
    first, last = _span(wish)
    periodic = PERIODIC[wish.flow]
    return between(first, last or _last_over(periodic, today), monthly=periodic.monthly) if first else []


def unfit(wish: Wish, today: date) -> list[Finding]:
    """Everything that is wrong with it, under the names of the flow's parameters."""
    return [*_misplaced(wish), *_out_of_reach(wish, today), *_replayed(wish)]


def _misplaced(wish: Wish) -> list[Finding]:
    months: dict[str, object] = {"from_month": wish.from_month, "to_month": wish.to_month}
    days: dict[str, object] = {"from_date": wish.from_date, "to_date": wish.to_date}
    own, others = (months, days) if PERIODIC[wish.flow].monthly else (days, months)
    expected = f"{' and '.join(own)} instead"
    return [Finding(name, f"{wish.flow} has no such periods", expected) for name, typed in others.items() if typed]


def _out_of_reach(wish: Wish, today: date) -> list[Finding]:
    periodic = PERIODIC[wish.flow]
    over, (first, last) = _last_over(periodic, today), _span(wish)
    from_, to = ("from_month", "to_month") if periodic.monthly else ("from_date", "to_date")
    findings = [
        Finding(name, f"{periodic.argument(period)} is not over yet", f"{periodic.argument(over)} or before")
        for name, period in ((from_, first), (to, last))
        if period and period > over
    ]
    if not first:
        findings.append(Finding(from_, "is missing", "the first period to run"))
    elif last and last < first:
        problem = f"{periodic.argument(last)} is before {periodic.argument(first)}"
        findings.append(Finding(to, problem, f"the last period, not before {from_}"))
    most, what = (MOST_MONTHS, "months") if periodic.monthly else (MOST_DAYS, "days")
    if not findings and (number := len(periods(wish, today))) > most:
        findings.append(Finding(to, f"{number} {what} are too many at once", f"{most} {what} at most"))
    return findings


def _replayed(wish: Wish) -> list[Finding]:
    if wish.which is Which.ALL and PERIODIC[wish.flow].acts and not wish.dry_run:
        problem = f"{wish.flow} is not run for each day again: one run does all that is due up to its day"
        return [Finding("which", problem, "missing or failed, or a dry run")]
    return []


def _span(wish: Wish) -> tuple[date | None, date | None]:
    if PERIODIC[wish.flow].monthly:
        return _first_day(wish.from_month), _first_day(wish.to_month)
    return wish.from_date, wish.to_date


def _first_day(month: str) -> date | None:
    return month_of(month) if month else None


def _last_over(periodic: Periodic, today: date) -> date:
    return add_months(first_of_month(today), -1) if periodic.monthly else today - timedelta(days=1)
