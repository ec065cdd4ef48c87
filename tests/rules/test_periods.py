"""Which periods are run again."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from lifecycle.rules.periods import PERIODIC, Periodic, Ran, Which, between, given_up, superseded, to_run

NOW = datetime(2026, 3, 9, 8, tzinfo=UTC)
REPORT = PERIODIC["monthly-reseller-report"]
SWEEP = PERIODIC["daily-expiry-sweep"]


def days(*numbers: int) -> list[date]:
    return [date(2026, 3, number) for number in numbers]


def ran(**outcomes: str) -> list[Ran]:
    """Runs by the number of their day: `d3="completed failed"`."""
    return [
        Ran(date(2026, 3, int(day[1:])), outcome, NOW - timedelta(hours=1))
        for day, listed in outcomes.items()
        for outcome in listed.split()
    ]


ON_DAYS = Periodic("on", monthly=False, acts=False)

CASES = [
    # a report: each stands for itself
    (ON_DAYS, ran(), Which.MISSING, days(1, 2, 3, 4), "nobody ran"),
    (ON_DAYS, ran(d1="completed", d3="completed"), Which.MISSING, days(2, 4), "a later one makes up nothing"),
    (ON_DAYS, ran(d1="failed", d2="failed completed", d3="refused"), Which.MISSING, days(1, 3, 4), "failed is missing"),
    (ON_DAYS, ran(d1="failed", d2="crashed", d3="completed crashed"), Which.FAILED, days(1, 2), "never tried is not"),
    (ON_DAYS, ran(d1="running", d2="waiting", d3="failed running"), Which.MISSING, days(4), "under way"),
    (ON_DAYS, ran(d1="superseded"), Which.MISSING, days(1, 2, 3, 4), "superseded did nothing"),
    (ON_DAYS, ran(d1="completed", d2="running"), Which.ALL, days(1, 2, 3, 4), "all means all"),
    # what acts: the last one makes up those before it
    (SWEEP, ran(), Which.MISSING, days(4), "the last makes up all"),
    (SWEEP, ran(d2="completed"), Which.MISSING, days(4), "those after the last success"),
    (SWEEP, ran(d2="completed", d4="failed"), Which.MISSING, days(4), "the last failed"),
    (SWEEP, ran(d1="failed", d9="completed"), Which.MISSING, [], "a later day made them up"),
    (SWEEP, ran(d1="failed", d4="waiting"), Which.MISSING, [], "a person decides about a later one"),
    (SWEEP, ran(d1="completed", d2="failed"), Which.FAILED, days(2), "the last that failed"),
    (SWEEP, ran(d1="failed", d2="completed"), Which.FAILED, [], "made up since"),
]


@pytest.mark.parametrize(("periodic", "runs", "which", "expected", "why"), CASES, ids=[case[-1] for case in CASES])
def test_periods_to_run(periodic: Periodic, runs: list[Ran], which: Which, expected: list[date], why: str) -> None:
    assert to_run(periodic, days(4, 3, 2, 1), runs, which) == expected


ROME = ZoneInfo("Europe/Rome")

LATE = [
    ("2026-03-09 05:30", "2026-03-10 05:29", False, "the next is not due yet"),
    ("2026-03-09 05:30", "2026-03-10 05:30", True, "the next is due"),
    ("2026-03-09 05:30", "2026-03-09 05:30", False, "on time"),
    ("2026-03-10 05:30", "2026-03-09 05:30", False, "begun by hand before its time"),
    ("2026-03-28 05:30", "2026-03-29 05:29", False, "23 hours to the next: not yet"),
    ("2026-03-28 05:30", "2026-03-29 05:30", True, "23 hours to the next"),
    ("2026-10-24 05:30", "2026-10-25 05:29", False, "25 hours to the next: not yet"),
    ("2026-10-24 05:30", "2026-10-25 05:30", True, "25 hours to the next"),
]


@pytest.mark.parametrize(("scheduled", "now", "expected", "why"), LATE, ids=[case[-1] for case in LATE])
def test_a_late_run_leaves_its_day_to_the_next_once_that_is_due(
    scheduled: str, now: str, expected: bool, why: str
) -> None:
    then, at = (datetime.fromisoformat(text).replace(tzinfo=ROME).astimezone(UTC) for text in (scheduled, now))
    assert superseded(then, at, ROME) is expected


def test_the_period_of_a_moment_is_that_of_the_business_time_zone() -> None:
    midnight = datetime(2026, 2, 28, 23, 30, tzinfo=UTC)
    assert (SWEEP.of(midnight, ROME), REPORT.of(midnight, ROME)) == (date(2026, 3, 1), date(2026, 3, 1))
    assert REPORT.of(midnight - timedelta(hours=1), ROME) == date(2026, 2, 1)


def test_what_failed_three_times_within_a_day_is_left_to_a_person() -> None:
    earlier = [Ran(days(2)[0], "failed", NOW - timedelta(hours=25))] * 3
    runs = ran(d1="crashed failed failed", d2="crashed failed completed", d3="failed refused crashed failed")
    assert given_up(days(1, 2, 3, 4), runs + earlier, NOW) == days(1, 3)


def test_periods_of_a_time_and_what_the_flow_is_told() -> None:
    assert between(date(2025, 11, 30), date(2026, 1, 1), monthly=True) == [
        date(2025, 11, 1),
        date(2025, 12, 1),
        date(2026, 1, 1),
    ]
    assert between(*days(1, 3), monthly=False) == days(1, 2, 3)
    assert between(*days(3, 1), monthly=False) == []
    assert (REPORT.argument(date(2026, 1, 1)), SWEEP.argument(date(2026, 1, 2))) == ("2026-01", "2026-01-02")
