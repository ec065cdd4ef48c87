"""The moments at which something was due, as Prefect's schedules say."""

from datetime import UTC, date, datetime
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from prefect.client.schemas.objects import DeploymentSchedule
from prefect.client.schemas.schedules import CronSchedule

from tasks.make_up import due_moments

ROME = ZoneInfo("Europe/Rome")


def schedule(cron: str, *, active: bool = True) -> DeploymentSchedule:
    return DeploymentSchedule(
        deployment_id=uuid4(), schedule=CronSchedule(cron=cron, timezone="Europe/Rome"), active=active
    )


def days(first: date, count: int) -> list[date]:
    return [date.fromordinal(first.toordinal() + after) for after in range(count)]


MONTHLY, DAILY, WEEKLY = "0 6 1 * *", "30 5 * * *", "0 7 * * 1"
CASES = [
    (DAILY, "2026-03-28 05:30", "2026-03-31 05:29", days(date(2026, 3, 28), 3), "the clocks go forward"),
    (DAILY, "2026-10-24 05:30", "2026-10-27 05:29", days(date(2026, 10, 24), 3), "the clocks go back"),
    (DAILY, "2026-03-09 05:31", "2026-03-10 05:29", [], "between two"),
    (DAILY, "2026-03-10 05:30", "2026-03-09 05:30", [], "began only now"),
    (DAILY, "2025-01-01 00:00", "2026-08-01 00:00", days(date(2025, 1, 1), 577), "more than are asked for at once"),
    (MONTHLY, "2025-12-01 06:01", "2026-03-01 06:00", [date(2026, month, 1) for month in (1, 2, 3)], "by the month"),
    (WEEKLY, "2026-03-03 00:00", "2026-03-17 00:00", [date(2026, 3, 9), date(2026, 3, 16)], "what operators changed"),
]


@pytest.mark.parametrize(("cron", "first", "last", "expected", "why"), CASES, ids=[case[-1] for case in CASES])
def test_moments_due(cron: str, first: str, last: str, expected: list[date], why: str) -> None:
    start, end = (datetime.fromisoformat(text).replace(tzinfo=ROME).astimezone(UTC) for text in (first, last))
    assert [moment.astimezone(ROME).date() for moment in due_moments([schedule(cron)], start, end)] == expected


def test_a_paused_schedule_has_none() -> None:
    first, last = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 3, tzinfo=UTC)
    both = [schedule(DAILY, active=False), schedule(WEEKLY)]
    assert [moment.astimezone(ROME).date() for moment in due_moments(both, first, last)] == [date(2026, 3, 2)]
