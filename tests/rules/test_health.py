"""When a person is called, and when not yet."""

from datetime import UTC, date, datetime, timedelta

import pytest

from lifecycle.rules import health
from lifecycle.rules.health import CARE, LastRun, Matter, Standing, Store

NOW = datetime(2026, 3, 9, 8, tzinfo=UTC)
TODAY = NOW.date()
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def ago(**units: float) -> datetime:
    return NOW - timedelta(**units)


PATIENCE = [
    (Matter.OVERDUE, {"minutes": 60}),
    (Matter.MAILINGS, {"minutes": 60}),
    (Matter.IN_DOUBT, {"minutes": 60}),
    (Matter.FAILED, {"minutes": 0}),
    (Matter.HELD, {"minutes": 0}),
    (Matter.WITHDRAWALS, {"days": 1}),
    (Matter.ERASURES, {"days": 1}),
    (Matter.NOT_ERASED, {"minutes": 60}),
    (Matter.NOT_IN_LEDGER, {"minutes": 60}),
    (Matter.PAYMENTS, {"days": 1}),
    (Matter.NOT_FILED, {"days": 1}),
    (Matter.NO_END, {"days": 1}),
]


@pytest.mark.parametrize(("matter", "patience"), PATIENCE, ids=[matter.name for matter, _ in PATIENCE])
def test_a_matter_may_stand_for_so_long_and_then_says_what_to_do(matter: Matter, patience: dict[str, float]) -> None:
    since = ago(**patience)
    [call] = health.standing({matter: Standing(3, since)}, NOW)
    assert (call.matter, call.number, call.since) == (matter, 3, since)
    assert call.to_do
    assert health.standing({matter: Standing(3, since + MINUTE)}, NOW) == []
    assert health.standing({matter: Standing(0, None)}, NOW) == []


def test_every_matter_that_is_counted_has_its_patience() -> None:
    assert {matter for matter, _ in PATIENCE} == set(CARE)


# flow, when it last ended, for which day, whether a person is called, why
RUNS = [
    ("deliver-outbox", ago(minutes=60), TODAY, False, "within the hour"),
    ("deliver-outbox", ago(minutes=61), TODAY, True, "longer than an hour ago"),
    ("daily-expiry-sweep", ago(hours=3), date(2026, 3, 9), False, "today"),
    ("daily-expiry-sweep", ago(days=2), date(2026, 3, 7), False, "two days ago: make-up is trying"),
    ("daily-expiry-sweep", ago(minutes=5), date(2026, 3, 6), True, "what it did lately was for an older day"),
    ("monthly-reseller-report", ago(days=8), date(2026, 3, 1), False, "this month's"),
    ("monthly-reseller-report", ago(days=8), date(2026, 2, 1), True, "last month's only"),
]


@pytest.mark.parametrize(("flow", "ended", "day", "called", "why"), RUNS, ids=[case[-1] for case in RUNS])
def test_a_flow_that_has_not_completed(flow: str, ended: datetime, day: date, called: bool, why: str) -> None:
    calls = health.missed([flow], {flow: LastRun(ended, day)}, LONG_AGO, NOW, TODAY)
    assert [call.matter for call in calls] == [Matter.NOT_RUN] * called, why


# flow, when the installation began, whether a person is called
NEVER = [
    ("deliver-outbox", ago(minutes=59), False),
    ("deliver-outbox", ago(minutes=61), True),
    ("charge-run", ago(days=2), False),
    ("charge-run", ago(days=3), True),
    ("monthly-reseller-report", ago(days=7), False),
    ("monthly-reseller-report", ago(days=9), True),
]


@pytest.mark.parametrize(("flow", "installed", "called"), NEVER)
def test_a_flow_that_never_ran_is_missed_once_the_installation_is_old_enough(
    flow: str, installed: datetime, called: bool
) -> None:
    assert bool(health.missed([flow], {}, installed, NOW, TODAY)) is called


def test_the_monthly_report_is_missed_from_the_third_day_of_the_month_on() -> None:
    before = {"monthly-reseller-report": LastRun(LONG_AGO, date(2026, 2, 1))}
    called = [bool(health.missed(before, before, LONG_AGO, NOW, date(2026, 3, number))) for number in (1, 2, 3, 31)]
    assert called == [False, False, True, True]


# MB now, MB a week ago, whether a person is called
SIZES = [
    (1_001, 500, True),
    (1_000, 100, False),
    (2_000, 1_000, False),
    (2_001, 1_000, True),
    (5_000, None, False),
]


@pytest.mark.parametrize(("size", "before", "called"), SIZES)
def test_a_store_that_more_than_doubled_and_is_large(size: int, before: int | None, called: bool) -> None:
    calls = health.outgrown([Store("database", size, before)])
    assert [call.matter for call in calls] == [Matter.GROWN] * called


def test_a_disk_needs_two_gigabytes() -> None:
    assert health.short_of_space(2_000) == []
    assert [call.matter for call in health.short_of_space(1_999)] == [Matter.NO_SPACE]
