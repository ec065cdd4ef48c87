"""Memberships swept on the database: renewed in time and up to the withdrawal date, each period charged for once."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from lifecycle.persistence import membership_expiry
from lifecycle.persistence.database import transaction
from lifecycle.persistence.subscription_status import GIVEN, Learned, lock, refresh
from lifecycle.rules.membership_expiry import Step, decide, foreseen
from lifecycle.rules.plans import Held, PlanState
from lifecycle.settings import settings
from tasks import daily_expiry_sweep as sweeps
from tests import cast, sweeping
from tests.erasing import waits
from tests.sweeping import at, carry_out, record_renewal, started, sweep

APRIL, MAY = date(2026, 4, 30), date(2026, 5, 1)
"""The last day of a term from month to month, and the first one of the next."""
ANCHOR = date(2026, 1, 1)


def hold(
    db: Connection,
    codes: dict[str, date],
    anchor: date = ANCHOR,
    *,
    months: int = 1,
    price: str = "35.00",
    currency: str = "EUR",
) -> list[int]:
    """Memberships with these expiries, renewed automatically, each with a customer of its own."""
    product = cast.product(db, f"P{uuid4().hex[:8]}", "membership")
    db.execute(
        text("UPDATE products SET period_months = :months, price = :price, currency = :currency WHERE id = :id"),
        {"id": product, "months": months, "price": price, "currency": currency},
    )
    held = []
    for code, expires_on in codes.items():
        held.append(cast.subscription(db, code, cast.customer(db, f"C-{code}"), product))
        cast.term(db, held[-1], expires_on, starts_on=anchor)
    db.execute(
        text("UPDATE subscriptions SET auto_renew = true, charge_method = 'sepa', anchor = :anchor WHERE id = ANY(:h)"),
        {"h": held, "anchor": anchor},
    )
    refresh(db, GIVEN, Learned(ANCHOR, cast.LONG_AGO, None, cast.LIVE), held)
    return held


def withdraw(db: Connection, code: str, on: date, now: datetime) -> None:
    """Withdraw from the membership, with `on` as its last day."""
    db.execute(text("INSERT INTO action_types VALUES ('RECESSO', '', 'withdrawal', false) ON CONFLICT DO NOTHING"))
    about = {"code": code, "on": on, "now": now, "id": uuid4(), "run_id": uuid4()}
    held = db.execute(text("SELECT id FROM subscriptions WHERE code = :code"), about).scalar_one()
    lock(db, [held])
    db.execute(
        text("""
        WITH run AS (
            INSERT INTO runs (id, flow, business_date, dry_run)
            VALUES (:run_id, 'membership-withdrawal', :on, false) RETURNING id
        ), action AS (
            INSERT INTO crm_actions (customer_id, action_type, operator, business_date)
            SELECT customer_id, 'RECESSO', 'ANNA', :on FROM subscriptions WHERE code = :code RETURNING id, customer_id
        ), withdrawal AS (
            INSERT INTO withdrawals (id, customer_id, withdrawn_on, action_type, operator, state, requested_at,
                done_at, crm_action_id, business_date, run_id)
            SELECT :id, customer_id, :on, 'RECESSO', 'ANNA', 'done', :now, :now, action.id, :on, run.id FROM action, run
        ), withdrawn AS (
            INSERT INTO withdrawn_memberships
            SELECT subscription_id, :id, expires_on, 'EUR', 0, 0, 0
            FROM subscription_status JOIN subscriptions ON id = subscription_id WHERE code = :code
        )
        INSERT INTO terms (subscription_id, starts_on, expires_on, recorded_at)
        SELECT subscription_id, starts_on, :on, :now FROM (
            SELECT DISTINCT ON (starts_on) subscription_id, starts_on, expires_on
            FROM terms JOIN subscriptions ON subscriptions.id = subscription_id WHERE code = :code
            ORDER BY starts_on, terms.recorded_at DESC
        ) AS term WHERE expires_on > :on"""),
        about,
    )
    refresh(db, GIVEN, Learned(on, now, None, cast.LIVE), [held])


def held(codes: dict[str, date], anchor: date = ANCHOR, **about: Any) -> None:
    with transaction() as db:
        hold(db, codes, anchor, **about)


def withdrawn(code: str, on: date, day: date = date(2026, 4, 20)) -> None:
    with transaction() as db:
        withdraw(db, code, on, at(day, 12))


def plan(day: date, *, dry_run: bool = False) -> sweeps.Outlook:
    return sweeps.make_plan.fn(day, started(sweeps.FLOW, day), dry_run=dry_run)


def rows(query: str) -> list[tuple[Any, ...]]:
    with transaction() as db:
        return [tuple(row) for row in db.execute(text(query))]


def facts() -> list[Any]:
    """Everything that a sweep may change, but for its plans."""
    tables = ("transitions", "messages", "subscription_status", "terms", "instalments")
    return [rows(f"SELECT * FROM {table} ORDER BY 1") for table in tables]


def terms() -> list[tuple[str, str, str]]:
    """All but those that were there before the first sweep."""
    return rows("""
        SELECT code, starts_on::text, expires_on::text FROM terms JOIN subscriptions s ON s.id = subscription_id
        WHERE terms.recorded_at > '2001-01-01' ORDER BY code, starts_on, terms.recorded_at""")


def instalments() -> list[tuple[str, str, Decimal]]:
    return rows("""
        SELECT code, due_on::text, amount FROM instalments JOIN subscriptions s ON s.id = subscription_id
        ORDER BY code, due_on""")


def standings() -> list[tuple[str, str, date, date | None]]:
    return rows("""
        SELECT code, status, expires_on, due_on FROM subscription_status JOIN subscriptions ON id = subscription_id
        ORDER BY code""")


def transitions() -> list[tuple[str, str, str, date]]:
    return rows("""
        SELECT code, to_status, rule, business_date FROM transitions JOIN subscriptions s ON s.id = subscription_id
        ORDER BY transitions.id""")


def test_on_the_day_after_its_expiry_a_membership_gets_its_term_and_an_instalment(home: Path) -> None:
    held({"M1": APRIL})
    assert sweep(APRIL) == {}
    assert sweep(MAY) == {Step.RENEW: 1}
    assert terms() == [("M1", "2026-05-01", "2026-05-31")]
    assert rows("SELECT due_on, amount, currency, status, collection_id FROM instalments") == [
        (MAY, Decimal("42.70"), "EUR", "due", None)
    ]
    assert rows("SELECT flow FROM instalments JOIN runs ON runs.id = run_id") == [(sweeps.FLOW,)]
    assert standings() == [("M1", "active", date(2026, 5, 31), date(2026, 6, 1))]
    assert sweep(MAY) == sweep(date(2026, 5, 31)) == {}
    assert rows("SELECT count(*) FROM transitions") == rows("SELECT count(*) FROM messages") == [(0,)]


@pytest.mark.parametrize(
    ("change", "amount", "currency"),
    [
        ("UPDATE subscriptions SET quantity = 3, unit_price = 9.99", "36.56", "EUR"),
        ("UPDATE products SET currency = 'CHF', vat_rate = 8.1", "37.84", "CHF"),
        ("UPDATE subscriptions SET unit_price = 0", None, ""),  # nothing to pay
    ],
)
def test_an_instalment_is_of_the_price_of_the_day(home: Path, change: str, amount: str | None, currency: str) -> None:
    held({"M1": APRIL})
    with transaction() as db:
        db.execute(text(change))
    assert sweep(MAY) == {Step.RENEW: 1}
    assert terms() == [("M1", "2026-05-01", "2026-05-31")]
    expected = [(Decimal(amount), currency)] if amount else []
    assert rows("SELECT amount, currency FROM instalments") == expected


def test_an_instalment_that_is_there_already_is_the_one(home: Path) -> None:
    held({"M1": APRIL})
    with transaction() as db:
        db.execute(
            text("""
            INSERT INTO instalments (subscription_id, due_on, amount, currency, status)
            SELECT id, '2026-05-01', 10, 'EUR', 'paid' FROM subscriptions""")
        )
    assert sweep(MAY) == {Step.RENEW: 1}
    assert rows("SELECT amount, status FROM instalments") == [(Decimal(10), "paid")]


def test_what_costs_more_than_can_be_recorded_does_not_stop_the_others(home: Path) -> None:
    held({"M1": APRIL}, price="999999999999.99")
    held({"M2": APRIL})
    assert plan(MAY, dry_run=True).held == {Held.TOO_MUCH: ["M1"]}
    assert sweep(MAY) == {Step.RENEW: 1}


def test_the_dry_run_lists_exactly_what_the_run_then_does(home: Path) -> None:
    held({"M1": APRIL, "M2": APRIL, "M3": APRIL, "M4": date(2026, 5, 5)})
    held({"Y1": APRIL}, months=12)
    withdrawn("M2", APRIL)
    withdrawn("M3", date(2026, 6, 10))
    done: Counter[str] = Counter()
    for day in (APRIL, MAY, date(2026, 5, 6), date(2026, 6, 1), date(2026, 6, 11), date(2026, 9, 1)):
        before = facts()
        dry = plan(day, dry_run=True)
        assert facts() == before
        planned = Counter({str(step): number for (step, _), number in dry.steps.items()})
        assert sweep(day) == planned
        done += planned
    assert done == {Step.RENEW: 8, Step.WITHDRAW: 2, Step.END: 1}


# Downtime, and a year


def test_three_months_late_each_period_is_made_up_in_order(home: Path) -> None:
    held({"M1": date(2026, 2, 27)}, date(2026, 1, 31))
    assert sweep(date(2026, 5, 31)) == {Step.RENEW: 1}
    assert rows("SELECT starts_on::text, expires_on::text FROM terms ORDER BY id OFFSET 1") == [
        ("2026-02-28", "2026-03-30"),
        ("2026-03-31", "2026-04-29"),
        ("2026-04-30", "2026-05-30"),
        ("2026-05-31", "2026-06-29"),
    ]
    one = Decimal("42.70")
    days = ("2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31")
    assert instalments() == [("M1", day, one) for day in days]
    assert standings() == [("M1", "active", date(2026, 6, 29), date(2026, 6, 30))]


def test_what_lapsed_more_than_a_year_ago_is_left_to_a_person(home: Path) -> None:
    held({"M1": APRIL})
    late = date(2027, 5, 1)
    assert plan(late).held == {Held.LONG_LAPSED: ["M1"]}
    assert standings() == [("M1", "active", APRIL, late + timedelta(days=1))]
    record_renewal("M1", date(2027, 4, 30), late)
    assert sweep(late) == {Step.RENEW: 1}
    assert terms()[1:] == [("M1", "2027-05-01", "2027-05-31")]


HELD = {  # of a first term: its days
    "A31": (date(2023, 12, 31), date(2024, 1, 30)),
    "A30": (date(2023, 12, 30), date(2024, 1, 29)),
    "A29": (date(2023, 12, 29), date(2024, 1, 28)),
    "A01": (date(2024, 1, 1), date(2024, 1, 31)),
    "A15": (date(2024, 1, 15), date(2024, 2, 14)),
    "W": (date(2023, 12, 31), date(2024, 1, 30)),
}
WITHDRAWN_ON = date(2024, 8, 15)
LAST = date(2024, 8, 31)


def test_eight_months_day_by_day_are_the_same_in_one_go(home: Path) -> None:
    def lived(days: list[date]) -> list[Any]:
        with transaction() as db:
            db.execute(text(f"{cast.UNLOCKED}; TRUNCATE customers, products, runs, plans CASCADE"))
            for code, (starts_on, expires_on) in HELD.items():
                hold(db, {code: expires_on}, starts_on)
            withdraw(db, "W", WITHDRAWN_ON, at(date(2024, 1, 1)))
        for day in days:
            sweep(day)
        return [terms(), instalments(), standings()]

    first = date(2024, 1, 25)
    daily = lived([first + timedelta(days=n) for n in range((LAST - first).days + 1)])
    assert daily == lived([LAST])
    assert [(start, end) for code, start, end in daily[0] if code == "A31"] == [
        ("2024-01-31", "2024-02-28"),
        ("2024-02-29", "2024-03-30"),
        ("2024-03-31", "2024-04-29"),
        ("2024-04-30", "2024-05-30"),
        ("2024-05-31", "2024-06-29"),
        ("2024-06-30", "2024-07-30"),
        ("2024-07-31", "2024-08-30"),
        ("2024-08-31", "2024-09-29"),
    ]
    assert [(start, end) for code, start, end in daily[0] if code == "W"][-2:] == [
        ("2024-06-30", "2024-07-30"),
        ("2024-07-31", "2024-08-15"),
    ]
    assert Counter(code for code, _, _ in daily[1]) == {"A31": 8, "A30": 8, "A29": 8, "A01": 7, "A15": 7, "W": 7}
    assert [(code, start) for code, start, _ in daily[0]] == [(code, due_on) for code, due_on, _ in daily[1]]


# Withdrawal and end


@pytest.mark.parametrize(
    ("on", "last_term", "day"),
    [
        (date(2026, 4, 12), (), date(2026, 4, 13)),  # in the present term
        (APRIL, (), MAY),  # on its last day
        (date(2026, 5, 15), (("M1", "2026-05-01", "2026-05-15"),), date(2026, 5, 16)),  # in the middle of the next one
        (date(2026, 5, 31), (("M1", "2026-05-01", "2026-05-31"),), date(2026, 6, 1)),
    ],
)
def test_a_membership_is_withdrawn_on_the_day_after_its_last(
    home: Path, on: date, last_term: tuple[tuple[str, str, str], ...], day: date
) -> None:
    held({"M1": APRIL})
    withdrawn("M1", on, date(2026, 4, 10))
    first = date(2026, 4, 11)
    counts = [sweep(first + timedelta(days=n)) for n in range((day - first).days)]
    assert sum(counts, Counter()) == ({Step.RENEW: 1} if last_term else {})
    assert sweep(day) == {Step.WITHDRAW: 1}
    assert [term for term in terms() if term[1] > "2026-04"] == [*last_term]
    assert [due_on for _, due_on, _ in instalments()] == [start for _, start, _ in last_term]
    assert transitions() == [("M1", "withdrawn", "withdrawn", day)]
    assert standings() == [("M1", "withdrawn", on, None)]
    assert sweep(date(2026, 8, 1)) == {}
    assert rows("SELECT count(*) FROM messages") == [(0,)]


def test_found_late_the_last_term_is_made_and_the_membership_withdrawn_in_one_sweep(home: Path) -> None:
    held({"M0": APRIL, "M1": APRIL})
    withdrawn("M0", APRIL)
    withdrawn("M1", date(2026, 6, 15))
    assert sweep(date(2026, 8, 1)) == {Step.RENEW: 1, Step.WITHDRAW: 2}
    assert terms() == [("M1", "2026-05-01", "2026-05-31"), ("M1", "2026-06-01", "2026-06-15")]
    assert standings() == [("M0", "withdrawn", APRIL, None), ("M1", "withdrawn", date(2026, 6, 15), None)]


def test_what_is_not_renewed_from_month_to_month_ends_and_comes_back_by_a_later_term(home: Path) -> None:
    held({"M1": APRIL}, months=12)
    assert sweep(APRIL) == {}
    assert sweep(MAY) == {Step.END: 1}
    assert standings() == [("M1", "ended", APRIL, None)]
    assert record_renewal("M1", date(2027, 4, 30), date(2026, 5, 4)) == {"renewed": 1, "brought back": 1}
    assert standings() == [("M1", "active", date(2027, 4, 30), date(2027, 5, 1))]
    assert sweep(date(2027, 5, 3)) == {Step.END: 1}
    assert [(to, day) for _, to, _, day in transitions()] == [
        ("ended", MAY),
        ("active", date(2026, 5, 4)),
        ("ended", date(2027, 5, 3)),
    ]
    assert rows("SELECT count(*) FROM instalments") == rows("SELECT count(*) FROM messages") == [(0,)]


def test_nobody_erased_is_charged_again(home: Path) -> None:
    """After a restore an erasure is applied again to whoever is there, with a membership that went on then."""
    held({"M1": APRIL})
    with transaction() as db:
        db.execute(text("UPDATE customers SET name = '', erased_on = '2026-04-01'"))
    assert sweep(MAY) == {Step.END: 1}
    assert instalments() == []


def test_a_withdrawal_between_plan_and_execution_makes_the_step_void(home: Path) -> None:
    held({"M1": APRIL, "M2": APRIL, "M3": APRIL})
    made = plan(MAY)
    withdrawn("M1", APRIL)
    withdrawn("M2", date(2026, 5, 10))
    assert carry_out(made.plan, started(sweeps.FLOW, MAY)) == {Step.RENEW: 2, sweeps.CHANGED_SINCE: 1}
    assert terms() == [("M2", "2026-05-01", "2026-05-10"), ("M3", "2026-05-01", "2026-05-31")]
    assert sweep(date(2026, 5, 2)) == {Step.WITHDRAW: 1}


@pytest.mark.parametrize("first", ["withdrawal", "renewal"])
def test_a_renewal_and_a_withdrawal_that_meet_act_one_after_the_other(home: Path, first: str) -> None:
    held({"M1": APRIL})
    made, run_id = plan(MAY).plan, started(sweeps.FLOW, MAY)
    acts: dict[str, Callable[[Connection], None]] = {
        "withdrawal": lambda db: withdraw(db, "M1", date(2026, 5, 10), at(MAY, 12)),
        "renewal": lambda db: _renew(db),
    }
    others = {
        "withdrawal": lambda: carry_out(made, run_id),
        "renewal": lambda: withdrawn("M1", date(2026, 5, 10), MAY),
    }
    with ThreadPoolExecutor() as pool:
        with transaction() as db:
            acts[first](db)
            other = pool.submit(others[first])
            assert waits(other)
        other.result()
    assert standings() == [("M1", "active", date(2026, 5, 10), date(2026, 5, 11))]
    assert [due_on for _, due_on, _ in instalments()] == ["2026-05-01"]
    assert terms()[-1] == ("M1", "2026-05-01", "2026-05-10")


def _renew(db: Connection) -> None:
    run_id = uuid4()
    db.execute(
        text("INSERT INTO runs (id, flow, business_date, dry_run) VALUES (:id, 'daily-expiry-sweep', :day, false)"),
        {"id": run_id, "day": MAY},
    )
    ids = list(db.execute(text("SELECT id FROM subscriptions")).scalars())
    those = list(membership_expiry.again(db, lock(db, ids)))
    membership_expiry.record(db, Step.RENEW, those, sweeps.membership_terms(MAY), cast.LIVE, run_id, at(MAY))


# The trial time, the brake, two at once, kills


def test_before_the_go_live_nothing_is_done_and_then_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFECYCLE_GO_LIVE__MEMBERSHIP", "2026-06-10")
    settings.cache_clear()
    held({"M1": APRIL, "M2": APRIL})
    held({"Y1": APRIL}, months=12)
    withdrawn("M2", APRIL)
    seen = plan(MAY)
    assert (seen.steps, {why: sorted(codes) for why, codes in seen.held.items()}) == (
        {},
        {Held.NOT_LIVE: ["M1", "M2", "Y1"]},
    )
    assert sweep(date(2026, 6, 9)) == {}
    assert (terms(), transitions()) == ([], [])
    assert sweep(date(2026, 6, 10)) == {Step.RENEW: 1, Step.WITHDRAW: 1, Step.END: 1}
    assert [due_on for _, due_on, _ in instalments()] == ["2026-05-01", "2026-06-01"]


def test_the_brake_counts_withdrawals_and_nothing_else(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFECYCLE_BRAKE__COUNT", "1")
    settings.cache_clear()
    held({"M1": APRIL, "M2": APRIL, "M3": APRIL, "M4": APRIL})
    held({"Y1": APRIL, "Y2": APRIL}, months=12)
    withdrawn("M1", APRIL)
    seen = plan(MAY, dry_run=True)
    assert (seen.plan.state, seen.cut_off) == (PlanState.MADE, 1)
    withdrawn("M2", APRIL)
    before = facts()
    seen = plan(MAY)
    assert (seen.plan.state, seen.cut_off) == (PlanState.WAITING, 2)
    assert facts() == before
    approved = sweeps.approve.fn(seen.plan.digest)
    expected = {Step.RENEW: 2, Step.WITHDRAW: 2, Step.END: 2}
    assert carry_out(approved, started(sweeps.FLOW, MAY)) == expected


def test_sweeps_at_once_act_as_one(home: Path) -> None:
    held({f"M{n}": APRIL for n in range(5)})
    withdrawn("M4", date(2026, 6, 10))
    late = date(2026, 7, 15)
    for day in (MAY, late):
        with ThreadPoolExecutor(3) as threads:
            list(threads.map(lambda day: sweep(day, portion=2), [day] * 3))
    assert Counter(code for code, _, _ in instalments()) == {"M0": 3, "M1": 3, "M2": 3, "M3": 3, "M4": 2}
    assert [(code, start) for code, start, _ in terms()] == [(code, due_on) for code, due_on, _ in instalments()]
    assert transitions() == [("M4", "withdrawn", "withdrawn", late)]


@pytest.fixture
def mortal() -> Iterator[None]:
    with sweeping.mortal():
        yield


def test_killed_at_any_statement_and_run_again_it_ends_as_one_clean_run(home: Path, mortal: None) -> None:
    held({"M1": APRIL, "M2": APRIL})
    held({"Y1": APRIL}, months=12)
    withdrawn("M2", date(2026, 6, 10))
    late = date(2026, 7, 15)
    places = next(places for places in count() if _survives(late, places))
    assert places > 15
    months = ["2026-05-01", "2026-06-01", "2026-07-01"]
    assert instalments() == [
        (code, due_on, Decimal("42.70"))
        for code, due in (("M1", months), ("M2", months[:2]))
        for due_on in due
    ]  # fmt: skip
    assert [(code, start) for code, start, _ in terms()] == [(code, due_on) for code, due_on, _ in instalments()]
    assert sorted(transitions()) == [("M2", "withdrawn", "withdrawn", late), ("Y1", "ended", "ended", late)]


def _survives(day: date, places: int) -> bool:
    done = []
    with sweeping.dying_after(places):
        done.append(sweep(day))
    return bool(done)


# No membership is ever forgotten

DAYS = st.dates(date(2026, 1, 1), date(2027, 6, 30))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("term"), st.integers(0, 3), DAYS, st.integers(0, 60)),
        st.tuples(st.just("corrected"), st.integers(0, 3), st.integers(-100, 100)),
        st.tuples(st.just("withdrawn"), st.integers(0, 3), st.integers(-40, 90)),
        st.tuples(st.just("swept"), st.integers(1, 70)),
        st.tuples(st.just("resold"), st.sampled_from((1, 12)), st.booleans()),
        st.tuples(st.just("erased"), st.integers(0, 3)),
    ),
    min_size=3,
    max_size=12,
)


@hypothesis_settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(live_from=st.sampled_from((None, None, "2026-05-15")), history=STEPS)
@example(live_from=None, history=[("withdrawn", 0, 15), ("resold", 1, False), ("swept", 8)])  # not renewed any more
def test_sql_selects_each_membership_for_which_the_rule_has_a_step(
    home: Path, live_from: str | None, history: list[tuple[Any, ...]]
) -> None:
    with pytest.MonkeyPatch.context() as environment:
        if live_from:
            environment.setenv("LIFECYCLE_GO_LIVE__MEMBERSHIP", live_from)
        settings.cache_clear()
        with transaction() as db:
            db.execute(text(f"{cast.UNLOCKED}; TRUNCATE customers, products, messages, runs, plans CASCADE"))
            hold(db, {f"M{n}": date(2026, n + 1, 27) for n in range(4)})
        today = date(2026, 1, 20)
        for serial, (what, *how) in enumerate(history):
            with transaction() as db:
                _happens(db, today, serial, what, how)
            if what == "swept":
                today += timedelta(days=how[0])
                sweep(today)
            assert_nobody_is_forgotten(today)
    settings.cache_clear()


def _happens(db: Connection, today: date, serial: int, what: str, how: list[Any]) -> None:
    """Play one step of a history. To what was withdrawn from, nothing is added any more."""
    now = datetime.fromisoformat("2040-01-01T00:00+00:00") + timedelta(hours=serial)  # later than any sweep
    free = text("""
        SELECT id, expires_on FROM subscriptions JOIN subscription_status ON subscription_id = id
        WHERE code = :code AND id NOT IN (SELECT subscription_id FROM withdrawn_memberships)""")
    those = [row.id for row in db.execute(text("SELECT id FROM subscriptions ORDER BY code"))]
    chosen = db.execute(free, {"code": f"M{how[0]}"}).one_or_none()
    match what, how:
        case "term", [_, starts_on, days] if chosen:
            cast.term(db, chosen.id, starts_on + timedelta(days=days), starts_on=starts_on, known=now)
        case "corrected", [which, days]:
            starts_on, expires_on = db.execute(
                text("""
                SELECT starts_on, expires_on FROM terms WHERE subscription_id = :held
                ORDER BY starts_on DESC, recorded_at DESC LIMIT 1"""),
                {"held": those[which]},
            ).one()
            corrected = expires_on + timedelta(days=days if chosen else -abs(days))
            if corrected >= starts_on:
                cast.term(db, those[which], corrected, starts_on=starts_on, known=now)
        case "withdrawn", [which, days] if chosen:
            withdraw(db, f"M{which}", max(today + timedelta(days=days), ANCHOR), now)
        case "resold", [months, auto_renew]:
            db.execute(text("UPDATE products SET period_months = :months"), {"months": months})
            db.execute(text("UPDATE subscriptions SET auto_renew = :auto_renew"), {"auto_renew": auto_renew})
        case "erased", [which]:
            db.execute(
                text("UPDATE customers SET name = '', erased_on = :on WHERE code = :code"),
                {"on": today, "code": f"C-M{which}"},
            )
    refresh(db, GIVEN, Learned(today, now, None, cast.LIVE), those)


def assert_nobody_is_forgotten(swept: date) -> None:
    """From the day after the last sweep on, whatever is due would be found, and whatever ends soon."""
    with transaction() as db:
        ids = list(db.execute(text("SELECT id FROM subscriptions")).scalars())
        everybody = list(membership_expiry.again(db, lock(db, ids)))
        for day in (swept + timedelta(days=days) for days in (1, 2, 15, 30, 31, 60, 365, 366)):
            terms, until = sweeps.membership_terms(day), day + timedelta(days=14)
            wanted = {one.id for one in everybody if decide(one, terms).steps or foreseen(one, terms, 14)}
            found = {one.id: one for one in membership_expiry.due(db, until, day=day)}
            assert wanted <= found.keys(), day
            assert all(one in everybody for one in found.values())
