"""Which periods a backfill is asked for, and what it refuses, all at once."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from lifecycle.rules.backfill import MOST_DAYS, MOST_MONTHS, Wish, periods, unfit
from lifecycle.rules.periods import Which

TODAY = date(2026, 3, 9)
REPORT = Wish("monthly-reseller-report")
CARDS = Wish("open-cards-report")
SWEEP = Wish("daily-expiry-sweep")

REFUSED: list[tuple[Wish, dict[str, Any], set[str]]] = [
    (REPORT, {}, {"from_month: is missing"}),
    (CARDS, {"to_date": date(2026, 3, 1)}, {"from_date: is missing"}),
    (REPORT, {"from_month": "2026-02", "to_month": "2026-01"}, {"to_month: 2026-01 is before 2026-02"}),
    (CARDS, {"from_date": date(2026, 3, 2), "to_date": date(2026, 3, 1)}, {"to_date: 2026-03-01 is before 2026-03-02"}),
    (REPORT, {"from_month": "2026-01", "to_month": "2026-03"}, {"to_month: 2026-03 is not over yet"}),
    (REPORT, {"from_month": "2026-03"}, {"from_month: 2026-03 is not over yet"}),
    (CARDS, {"from_date": TODAY}, {"from_date: 2026-03-09 is not over yet"}),
    (REPORT, {"from_month": "2016-02"}, {"to_month: 121 months are too many at once"}),
    (CARDS, {"from_date": date(2025, 3, 7)}, {"to_date: 367 days are too many at once"}),
    (CARDS, {"from_date": date.min, "to_date": date.max}, {"to_date: 9999-12-31 is not over yet"}),
    (
        SWEEP,
        {"from_date": date(2026, 3, 1), "which": Which.ALL},
        {"which: daily-expiry-sweep is not run for each day again: one run does all that is due up to its day"},
    ),
    (
        SWEEP,
        {"from_month": "2026-01", "to_month": "2026-02", "to_date": date(2026, 3, 10), "which": Which.ALL},
        {
            "from_month: daily-expiry-sweep has no such periods",
            "to_month: daily-expiry-sweep has no such periods",
            "from_date: is missing",
            "to_date: 2026-03-10 is not over yet",
            "which: daily-expiry-sweep is not run for each day again: one run does all that is due up to its day",
        },
    ),
    (
        REPORT,
        {"from_month": "2026-04", "to_month": "2026-03", "from_date": date(2026, 1, 1)},
        {
            "from_date: monthly-reseller-report has no such periods",
            "from_month: 2026-04 is not over yet",
            "to_month: 2026-03 is not over yet",
            "to_month: 2026-03 is before 2026-04",
        },
    ),
]


@pytest.mark.parametrize(("flow", "typed", "problems"), REFUSED)
def test_all_that_is_wrong_is_said_at_once(flow: Wish, typed: dict[str, Any], problems: set[str]) -> None:
    assert {f"{finding.place}: {finding.problem}" for finding in unfit(replace(flow, **typed), TODAY)} == problems


FIT: list[tuple[Wish, dict[str, Any], date, date, int]] = [
    (REPORT, {"from_month": "2025-11"}, date(2025, 11, 1), date(2026, 2, 1), 4),
    (REPORT, {"from_month": "2025-11", "to_month": "2025-11"}, date(2025, 11, 1), date(2025, 11, 1), 1),
    (REPORT, {"from_month": "2016-03"}, date(2016, 3, 1), date(2026, 2, 1), MOST_MONTHS),
    (CARDS, {"from_date": date(2026, 3, 8)}, date(2026, 3, 8), date(2026, 3, 8), 1),
    (CARDS, {"from_date": date(2025, 3, 8), "which": Which.ALL}, date(2025, 3, 8), date(2026, 3, 8), MOST_DAYS),
    (
        SWEEP,
        {"from_date": date(2026, 3, 7), "to_date": date(2026, 3, 8), "which": Which.ALL, "dry_run": True},
        date(2026, 3, 7),
        date(2026, 3, 8),
        2,
    ),
]


@pytest.mark.parametrize(("flow", "typed", "first", "last", "number"), FIT)
def test_periods_up_to_the_last_one_that_is_over(
    flow: Wish, typed: dict[str, Any], first: date, last: date, number: int
) -> None:
    wish = replace(flow, **typed)
    assert unfit(wish, TODAY) == []
    asked = periods(wish, TODAY)
    assert (asked[0], asked[-1], len(asked)) == (first, last, number)
