"""What a downtime leaves behind: late runs that all begin at once, in any order, and periods that nobody ran."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Pending, Running, Suspended
from sqlalchemy import insert, text

from flows.billing_card_run import billing_card_run
from flows.charge_run import charge_run
from flows.consent_renewal import consent_renewal
from flows.daily_expiry_sweep import daily_expiry_sweep
from flows.monthly_reseller_report import monthly_reseller_report
from lifecycle.persistence import runs, tables
from lifecycle.persistence.database import transaction
from lifecycle.persistence.subscription_status import GIVEN, Learned, refresh
from lifecycle.rules.calendar import add_months, first_of_month
from lifecycle.rules.periods import PERIODIC
from lifecycle.rules.runs import Summary
from lifecycle.settings import settings
from tasks.make_up import look
from tasks.runs import BEGINNING, settle
from tests import cast
from tests.billing import IBAN, hold, rows

Flow = Callable[..., Summary]
FLOWS: dict[str, Flow] = {
    "daily-expiry-sweep": daily_expiry_sweep,
    "monthly-reseller-report": monthly_reseller_report,
    "charge-run": charge_run,
    "billing-card-run": billing_card_run,
    "consent-renewal": consent_renewal,
}
"""In the order of their hours."""


@pytest.fixture(autouse=True)
def _installation(home: Path, client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own database, and the session's server, whose deployments and schedules are those of production."""
    monkeypatch.setenv("LIFECYCLE_ISSUER__IBAN", IBAN)
    settings.cache_clear()


@pytest.fixture
def scheduled(monkeypatch: pytest.MonkeyPatch) -> Callable[[Flow, datetime], Summary]:
    """Runs a flow now that was scheduled for then."""

    def begin(flow: Flow, then: datetime) -> Summary:
        monkeypatch.setitem(flow_run.FIELDS, "scheduled_start_time", lambda: then)
        return flow()

    return begin


def local(day: date, hour: int) -> datetime:
    return datetime(day.year, day.month, day.day, hour, 30, tzinfo=settings().zone)


def sent() -> Counter[str]:
    return Counter(kind for (kind,) in rows("SELECT kind FROM messages WHERE state = 'sent'"))


def licence(code: str, expires_on: date) -> None:
    with transaction() as db:
        found = db.execute(text("SELECT id FROM products WHERE code = 'CLOUD'")).scalar()
        customer = cast.customer(db, f"OF-{code}")
        db.execute(text("UPDATE customers SET email = 'l@example.com' WHERE id = :id"), {"id": customer})
        id_ = cast.subscription(db, code, customer, found or cast.product(db))
        cast.term(db, id_, expires_on)
        refresh(db, GIVEN, Learned(date(2018, 1, 1), cast.LONG_AGO, None, cast.LIVE), [id_])


def test_late_runs_that_begin_all_at_once_remind_and_warn_once_and_cut_nobody_off(
    scheduled: Callable[[Flow, datetime], Summary],
) -> None:
    today = datetime.now(settings().zone).date()
    hold("C1", {"S1": today + timedelta(days=1)})  # reminded of 15, 7 and 1 days before
    licence("WARNED", add_months(today - timedelta(days=10), -3))
    licence("LATE", add_months(today - timedelta(days=4), -6))  # of which nobody was warned when it was time
    billing_card_run(business_date=today - timedelta(days=20))
    assert sent() == {"billing-card": 1}
    for flow in ("daily-expiry-sweep", "billing-card-run"):
        record(flow, today - timedelta(days=20))

    ended = {
        days: [
            scheduled(flow, local(today - timedelta(days=days), hour)).superseded
            for flow, hour in ((daily_expiry_sweep, 5), (billing_card_run, 7))
        ]
        for days in (6, 0, 14, 3)
    }

    assert ended == {6: [True, True], 0: [False, False], 14: [True, True], 3: [True, True]}
    assert sent() == {"billing-card": 1, "card-reminder": 1, "expired-3-months": 2}
    assert rows("SELECT DISTINCT business_date FROM messages WHERE kind <> 'billing-card'") == [(today,)]
    assert rows("SELECT count(*) FROM transitions WHERE to_status <> 'active'") == [(0,)]
    assert [
        gap.flow for gap in look.fn(datetime.now(UTC)).gaps if gap.flow in ("daily-expiry-sweep", "billing-card-run")
    ] == []


def test_a_late_report_is_sent_in_its_month_and_only_made_after_it(
    scheduled: Callable[[Flow, datetime], Summary],
) -> None:
    with transaction() as db:
        cast.reseller(db, "R1")
    this_month = first_of_month(datetime.now(settings().zone).date())
    assert scheduled(monthly_reseller_report, local(this_month, 6)).counts["queued"] == 1
    assert sent() == {"reseller-report": 1}
    late = scheduled(monthly_reseller_report, local(add_months(this_month, -1), 6))
    assert (late.counts["reports made"], late.superseded) == (1, False)
    assert sent() == {"reseller-report": 1}


NOW = datetime(2026, 3, 9, 8, tzinfo=UTC)
LAST_REPORT, LAST_DAY = date(2025, 11, 1), date(2026, 1, 28)


def record(flow: str, period: date, outcome: str = "completed", at: datetime | None = None) -> None:
    with transaction() as db:
        db.execute(
            text("""
                INSERT INTO runs (id, flow, business_date, dry_run, outcome, started_at)
                VALUES (:id, :flow, :period, false, :outcome, :at)"""),
            {"id": uuid4(), "flow": flow, "period": period, "outcome": outcome, "at": at or local(period, 5)},
        )


def stopped_long_ago() -> None:
    """For more than three months no report was made, and for 40 days nothing ran at all."""
    for flow, periodic in PERIODIC.items():
        if flow in FLOWS:
            record(flow, LAST_REPORT if periodic.monthly else LAST_DAY)


def missing(now: datetime = NOW) -> list[tuple[str, list[date]]]:
    return [(gap.flow, gap.to_run) for gap in look.fn(now).gaps]


def test_after_three_months_and_forty_days_each_is_made_up_once_and_in_order() -> None:
    stopped_long_ago()
    with transaction() as db:
        cast.reseller(db, "R1")
    days = [date(2026, 3, 9)]
    months = [date(2025, 12, 1), date(2026, 1, 1), date(2026, 2, 1), date(2026, 3, 1)]
    assert missing() == [(flow, months if flow == "monthly-reseller-report" else days) for flow in FLOWS]

    for flow, periods in missing():
        for period in periods:
            arguments: dict[str, Any] = {PERIODIC[flow].parameter: PERIODIC[flow].argument(period)}
            FLOWS[flow](**arguments)

    assert missing() == []
    assert sorted(rows("SELECT flow, count(*) FROM runs WHERE started_at > now() - interval '1 hour' GROUP BY 1")) == [
        (flow, 4 if flow == "monthly-reseller-report" else 1) for flow in sorted(FLOWS)
    ]
    assert rows("SELECT count(*) FROM reseller_reports") == [(4,)]


def test_what_operators_paused_is_not_made_up_and_said_to_be_paused(client: SyncPrefectClient) -> None:
    stopped_long_ago()
    sweep, cards = (
        client.read_deployment_by_name(f"{flow}/{flow}") for flow in ("daily-expiry-sweep", "billing-card-run")
    )
    client.pause_deployment(sweep.id)
    client.update_deployment_schedule(cards.id, cards.schedules[0].id, active=False)
    try:
        outlook = look.fn(NOW)
    finally:
        client.resume_deployment(sweep.id)
        client.update_deployment_schedule(cards.id, cards.schedules[0].id, active=True)
    assert outlook.paused == ["daily-expiry-sweep", "billing-card-run"]
    assert [gap.flow for gap in outlook.gaps] == ["monthly-reseller-report", "charge-run", "consent-renewal"]


def test_what_failed_too_often_is_left_to_a_person_and_what_waits_for_one_too() -> None:
    stopped_long_ago()
    for ago in (1, 2, 3):
        record("monthly-reseller-report", date(2026, 1, 1), "failed", NOW - timedelta(hours=ago))
        record("charge-run", date(2026, 3, 9), "crashed", NOW - timedelta(hours=ago))
    record("daily-expiry-sweep", date(2026, 3, 8), "waiting")
    record("daily-expiry-sweep", date(2026, 3, 9), "superseded")
    gaps = {gap.flow: gap for gap in look.fn(NOW).gaps}
    assert gaps["monthly-reseller-report"].to_run == [date(2025, 12, 1), date(2026, 2, 1), date(2026, 3, 1)]
    assert gaps["monthly-reseller-report"].given_up == [date(2026, 1, 1)]
    assert (gaps["charge-run"].to_run, gaps["charge-run"].given_up) == ([], [date(2026, 3, 9)])
    assert gaps["daily-expiry-sweep"].to_run == [date(2026, 3, 9)]


def test_what_prefect_is_about_to_run_is_left_to_it(client: SyncPrefectClient) -> None:
    now = datetime.now(UTC)
    record("charge-run", (now - timedelta(days=3)).date())
    assert [flow for flow, _ in missing(now)] == ["charge-run"]
    deployment = client.read_deployment_by_name("charge-run/charge-run")
    on_its_way = client.create_flow_run_from_deployment(deployment.id, state=Pending())
    try:
        assert missing(datetime.now(UTC)) == []
    finally:
        client.delete_flow_run(on_its_way.id)


def test_a_run_whose_process_is_gone_has_crashed_and_one_that_lives_or_waits_has_not(client: SyncPrefectClient) -> None:
    deployment = client.read_deployment_by_name("import-records/import-records")

    def run(state: State[Any]) -> UUID:
        return client.create_flow_run_from_deployment(deployment.id, parameters={"path": "absent"}, state=state).id

    died, lives, ends, never_began = run(Running()), run(Running()), run(Running()), run(Pending())
    waits, elsewhere, alive = run(Suspended(timeout_seconds=600)), uuid4(), uuid4()
    with runs.alive(alive):
        with transaction() as db:
            for flow, prefect_id, outcome, id_ in (
                ("died", died, "running", uuid4()),
                ("lives", lives, "running", alive),
                ("waits", waits, "waiting", uuid4()),
                ("elsewhere", elsewhere, "running", uuid4()),
                ("ends", ends, "completed", uuid4()),  # what it is about to say to Prefect
            ):
                told = {"flow": flow, "outcome": outcome, "prefect_flow_run_id": prefect_id}
                ended = None if outcome == "running" else datetime.now(UTC) + BEGINNING
                told |= {"finished_at": ended, "business_date": LAST_DAY, "dry_run": False}
                db.execute(insert(tables.runs).values(id=id_, **told))
        try:
            assert settle(datetime.now(UTC)) == {"died": 1, "elsewhere": 1}
            assert client.read_flow_run(never_began).state_name == "Pending"
            assert settle(datetime.now(UTC) + BEGINNING)[client.read_flow_run(never_began).name] == 1
            states = [client.read_flow_run(each).state_name for each in (died, lives, ends, never_began, waits)]
        finally:
            for each in (died, lives, ends, never_began, waits):
                client.delete_flow_run(each)
    assert states == ["Crashed", "Running", "Running", "Crashed", "Suspended"]
    assert rows("SELECT flow FROM runs WHERE outcome = 'running'") == [("lives",)]
