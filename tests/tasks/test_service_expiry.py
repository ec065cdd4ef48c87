"""Services that are not paid, swept on the database: suspended, warned and deleted, and only where that is due."""

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from decimal import Decimal
from email import message_from_bytes
from email.policy import default
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from lifecycle.persistence import card_closing, card_renewals, service_expiry
from lifecycle.persistence.database import transaction
from lifecycle.persistence.subscription_status import GIVEN, Learned, lock, refresh
from lifecycle.rules.findings import BadInput
from lifecycle.rules.licence_expiry import Step as LicenceStep
from lifecycle.rules.outbox import State
from lifecycle.rules.plans import Held, PlanState
from lifecycle.rules.service_expiry import Step, decide
from lifecycle.settings import settings
from tasks import daily_expiry_sweep as sweeps
from tests import cast, sweeping
from tests.sweeping import at, carry_out, deliver_now, record_renewal, started, sweep

MARCH = date(2026, 3, 1)
"""The product page's example: suspended on 9 March, warned on 24 April, deleted on 1 May."""
MAILED, SUSPENDED_ON, WARNED_ON, DELETED_ON = date(2026, 1, 30), date(2026, 3, 9), date(2026, 4, 24), date(2026, 5, 1)


@pytest.fixture(autouse=True)
def _payable(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Notices name whom to pay."""
    monkeypatch.setenv("LIFECYCLE_ISSUER__IBAN", "IT60X0542811101000000123456")
    settings.cache_clear()


def hold(
    db: Connection, codes: dict[str, date], *, customer: str = "", email: str | None = "c@example.com"
) -> list[int]:
    """Services with these expiries, each with a customer of its own or all with one."""
    known = db.execute(text("SELECT id FROM products WHERE code = 'DOMAIN'")).scalar()
    product = known or cast.product(db, "DOMAIN", "service")
    one = cast.customer(db, customer) if customer else None
    held = []
    for code, expires_on in codes.items():
        held.append(cast.subscription(db, code, one or cast.customer(db, f"C-{code}"), product))
        cast.term(db, held[-1], expires_on)
    db.execute(text("UPDATE customers SET email = :email"), {"email": email})
    refresh(db, GIVEN, Learned(date(2018, 1, 1), cast.LONG_AGO, None, cast.LIVE), held)
    return held


def carded(*codes: str, expires_on: date = MARCH, mailed_on: date = MAILED, state: State | None = State.SENT) -> None:
    """Services, each on a card of its own that was mailed."""
    with transaction() as db:
        for serial, held in enumerate(hold(db, dict.fromkeys(codes, expires_on)), start=1):
            cast.card_on(db, [held], mailed_on, serial=serial, state=state)


def together(*codes: str) -> int:
    """Services of one customer, all on one card. Returns the card."""
    with transaction() as db:
        return cast.card_on(db, hold(db, dict.fromkeys(codes, MARCH), customer="C1"), MAILED)


def allocate(card: int, amount: str, day: date) -> None:
    """A payment for the card: where it is paid in full, its services are renewed."""
    with transaction() as db:
        pay(db, card, amount, day)


def pay(db: Connection, card: int, amount: str, day: date) -> None:
    db.execute(text("SELECT FROM cards WHERE id = :card FOR UPDATE"), {"card": card})
    db.execute(
        text("""
        INSERT INTO allocations (customer_id, card_id, purpose, amount, currency, rule, business_date)
        SELECT customer_id, id, 'card', :amount, currency, 'test', :day FROM cards WHERE id = :card"""),
        {"card": card, "amount": Decimal(amount), "day": day},
    )
    card_renewals.settle(db, [card], Learned(day, at(day, 12), None, cast.LIVE), State.QUEUED)


def plan(day: date, *, dry_run: bool = False) -> sweeps.Outlook:
    return sweeps.make_plan.fn(day, started(sweeps.FLOW, day), dry_run=dry_run)


def lived(*days: date) -> None:
    """Swept and delivered on these days."""
    for day in days:
        sweep(day)
        deliver_now()


def rows(query: str) -> list[tuple[Any, ...]]:
    with transaction() as db:
        return [tuple(row) for row in db.execute(text(query))]


def statuses() -> dict[str, str]:
    return dict(rows("SELECT code, status FROM subscription_status JOIN subscriptions ON id = subscription_id"))


def facts() -> list[Any]:
    """Everything that a sweep may change, but for its plans."""
    tables = ("transitions", "messages", "subscription_status", "cards", "card_lines", "allocations")
    return [rows(f"SELECT * FROM {table} ORDER BY 1") for table in tables]


def messages(channel: str = "mail") -> list[tuple[Any, ...]]:
    """The messages that sweeps caused: kind, state, business date."""
    return rows(f"""
        SELECT kind, state, business_date FROM messages
        WHERE channel = '{channel}' AND kind <> 'billing-card' ORDER BY id""")


def test_an_unpaid_service_goes_its_way_day_by_day(home: Path) -> None:
    carded("S1")
    lived(*(MARCH + timedelta(days=n) for n in range(-5, 70)))
    assert rows("SELECT to_status, rule, business_date FROM transitions ORDER BY id") == [
        ("suspended", "unpaid-suspended", SUSPENDED_ON),
        ("deleted", "unpaid-deleted", DELETED_ON),
    ]
    assert messages() == [
        ("service-suspended", "sent", SUSPENDED_ON),
        ("deletion-warning", "sent", WARNED_ON),
        ("service-deleted", "sent", DELETED_ON),
    ]
    assert messages("call") == [
        ("access.suspended", "sent", SUSPENDED_ON),
        ("access.deleted", "sent", DELETED_ON),
    ]
    assert rows("SELECT key FROM messages WHERE kind <> 'billing-card' ORDER BY 1") == [
        ("access/deleted/S1/2026-03-01/2",),
        ("access/suspended/S1/2026-03-01/1",),
        ("deletion-warning/S1/2026-03-01",),
        ("service-deleted/S1/2026-03-01",),
        ("service-suspended/S1/2026-03-01",),
    ]
    assert rows("SELECT facts FROM messages WHERE kind = 'deletion-warning'") == [
        ({"expires_on": "2026-03-01", "day": "2026-05-01", "card": "PF-2026-000001"},)
    ]
    assert rows("SELECT state, closed_on, payable FROM cards JOIN card_lines ON card_id = id") == [
        ("void", DELETED_ON, False)
    ]
    assert rows("SELECT status, due_on, to_card FROM subscription_status") == [("deleted", None, None)]
    assert rows("SELECT count(*) FROM allocations") == [(0,)]
    assert len(list((home / "mail" / "new").iterdir())) == 3


def test_the_dry_run_lists_exactly_what_the_run_then_does(home: Path) -> None:
    carded("S1", "S2", expires_on=MARCH)
    with transaction() as db:
        cast.card_on(db, hold(db, {"S3": date(2026, 3, 20), "S4": date(2026, 4, 30)}, customer="C3"), MAILED, serial=9)
        licence = cast.subscription(db, "L1", cast.customer(db, "C9"), cast.product(db))
        cast.term(db, licence, date(2025, 12, 31))
        db.execute(text("UPDATE customers SET email = 'c@example.com'"))
        refresh(db, GIVEN, Learned(MAILED, cast.LONG_AGO, None, cast.LIVE), [licence])
    found_late = (date(2026, 8, 1), date(2026, 8, 8))
    done: Counter[str] = Counter()
    for day in (date(2026, 3, 8), SUSPENDED_ON, date(2026, 4, 1), WARNED_ON, DELETED_ON, *found_late):
        before = facts()
        dry = plan(day, dry_run=True)
        assert facts() == before
        planned = Counter({str(step): number for (step, _), number in dry.steps.items()})
        assert sweep(day) == planned
        done += planned
        deliver_now()
    assert done == {
        Step.SUSPEND: 4,
        Step.WARN: 4,
        Step.DELETE: 4,
        LicenceStep.WARN: 1,
        LicenceStep.DISABLE: 1,
        LicenceStep.TELL: 1,
    }


def test_what_was_paid_in_part_becomes_credit_and_what_else_stood_on_the_card_needs_another(home: Path) -> None:
    with transaction() as db:
        card = cast.card_on(db, hold(db, {"S1": MARCH, "S2": date(2026, 4, 30)}, customer="C1"), MAILED)
    allocate(card, "4.00", MARCH)
    lived(SUSPENDED_ON, WARNED_ON, DELETED_ON)
    assert statuses() == {"S1": "deleted", "S2": "active"}
    assert rows("SELECT purpose, amount, rule, business_date, payment_id FROM allocations ORDER BY id") == [
        ("card", Decimal("4.00"), "test", MARCH, None),
        ("card", Decimal("-4.00"), "card void", DELETED_ON, None),
        ("credit", Decimal("4.00"), "card void", DELETED_ON, None),
    ]
    assert rows("SELECT to_card FROM subscription_status ORDER BY expires_on") == [(None,), (date(2026, 4, 30),)]
    before = facts()
    with transaction() as db:
        card_closing.void(db, [card], DELETED_ON, started(sweeps.FLOW, DELETED_ON), at(DELETED_ON))
    assert facts() == before  # a card becomes void once


def test_what_was_renewed_otherwise_keeps_its_other_card(home: Path) -> None:
    with transaction() as db:
        held = hold(db, {"S1": MARCH, "S2": date(2026, 4, 30)}, customer="C1")
        cast.card_on(db, held, MAILED)
    lived(SUSPENDED_ON, WARNED_ON)
    record_renewal("S2", date(2026, 5, 29), WARNED_ON)
    with transaction() as db:
        other = cast.card_on(db, held[1:], date(2026, 4, 29), serial=2)
    assert sweep(DELETED_ON) == {Step.DELETE: 1}
    assert rows("SELECT status, to_card FROM subscription_status ORDER BY expires_on") == [
        ("deleted", None),
        ("active", None),
    ]
    assert rows("SELECT card_id FROM card_lines WHERE payable") == [(other,)]


@pytest.mark.parametrize("portion", [1, 40])
def test_all_services_of_a_card_are_dealt_with_at_one_time(home: Path, portion: int) -> None:
    """However the plan is cut: deleting one makes the card void on which the other stands."""
    together("S1", "S2", "S3")
    for day in (SUSPENDED_ON, WARNED_ON):
        assert sweep(day, portion).total() == 3
        deliver_now()
    assert sweep(DELETED_ON, portion) == {Step.DELETE: 3}
    assert set(statuses().values()) == {"deleted"}
    assert rows("SELECT to_card FROM subscription_status WHERE to_card IS NOT NULL") == []


# What stands in the way


@pytest.mark.parametrize(
    ("state", "held"),
    [
        (None, Held.CARD_NOT_SENT),
        (State.QUEUED, Held.CARD_NOT_SENT),
        (State.IN_DOUBT, Held.CARD_NOT_SENT),
        (State.FAILED, Held.CARD_REFUSED),
        (State.CANCELLED, Held.CARD_REFUSED),
    ],
)
def test_a_card_that_was_not_sent_cuts_nobody_off(home: Path, state: State | None, held: Held) -> None:
    carded("S1", state=state)
    if state is None:  # as in the trial time
        with transaction() as db:
            db.execute(
                text("""
                INSERT INTO messages (key, kind, state, recipient, recipient_name, business_date, customer_id)
                SELECT 'billing-card/PF-2026-000001/1/withheld', 'billing-card', 'withheld', '', '', '2026-01-30', id
                FROM customers""")
            )
    seen = plan(SUSPENDED_ON)
    assert (seen.steps, seen.held) == ({}, {held: ["S1"]})
    assert rows("SELECT due_on FROM subscription_status") == [(SUSPENDED_ON + timedelta(days=1),)]


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM card_lines",
        "UPDATE card_lines SET payable = false",
        "UPDATE card_lines SET expires_on = expires_on - 365",  # an older expiry's
        "UPDATE cards SET state = 'void'",
        "UPDATE cards SET state = 'paid'",
        "UPDATE cards SET total = 0",  # nothing is owed
    ],
)
def test_without_an_unpaid_card_nobody_is_cut_off(home: Path, change: str) -> None:
    carded("S1")
    with transaction() as db:
        db.execute(text(change))
    assert plan(SUSPENDED_ON).held == {Held.NO_CARD: ["S1"]}


def test_without_an_address_nobody_is_cut_off(home: Path) -> None:
    carded("S1")
    with transaction() as db:
        db.execute(text("UPDATE customers SET email = NULL"))
    assert plan(SUSPENDED_ON).held == {Held.NO_ADDRESS: ["S1"]}


@pytest.mark.parametrize(
    ("first", "second", "steps"),
    [
        (State.SENT, State.QUEUED, {Step.SUSPEND: 1}),  # the first one told of it
        (State.SENT, State.FAILED, {Step.SUSPEND: 1}),
        (State.FAILED, State.SENT, {}),  # the second one did, the day before
    ],
)
def test_any_revision_that_told_of_the_service_counts(
    home: Path, first: State, second: State, steps: dict[Step, int]
) -> None:
    carded("S1", state=first)
    with transaction() as db:
        db.execute(
            text("""
            UPDATE card_lines SET payable = false;
            INSERT INTO card_lines SELECT card_id, 2, subscription_id, expires_on, starts_on, ends_on, 1, 11, 0, true
            FROM card_lines;
            INSERT INTO messages (
                key, kind, state, recipient, recipient_name, business_date, customer_id, motive, basis, asked_on)
            SELECT 'billing-card/PF-2026-000001/2', 'billing-card', :state, '', '', '2026-03-08', id, 'contract',
                'duty', '2026-03-08'
            FROM customers"""
            .replace(":state", f"'{second}'"))
        )  # fmt: skip
    assert sweep(SUSPENDED_ON) == steps


def test_a_warning_that_was_not_sent_deletes_nothing(home: Path) -> None:
    carded("S1")
    lived(SUSPENDED_ON)
    sweep(WARNED_ON)
    assert plan(DELETED_ON).held == {Held.WARNING_NOT_SENT: ["S1"]}
    deliver_now()
    assert sweep(DELETED_ON + timedelta(days=1)) == {Step.DELETE: 1}


@pytest.mark.parametrize("waited", ["card", "warning"])
def test_the_days_that_a_mail_waited_to_be_sent_are_waited_for_once_more(home: Path, waited: str) -> None:
    """An outage of the mail server: nobody was told before it ended."""
    carded("S1", mailed_on=date(2026, 3, 2))
    kind, day = ("billing-card", SUSPENDED_ON) if waited == "card" else ("deletion-warning", DELETED_ON)
    if waited == "warning":
        lived(SUSPENDED_ON, WARNED_ON)
    with transaction() as db:
        sent = "UPDATE messages SET sent_at = created_at + interval '3 days 2 hours' WHERE kind = :kind"
        db.execute(text(sent), {"kind": kind})
    assert [sweep(day + timedelta(days=n)).total() for n in (0, 2, 3)] == [0, 0, 1]


def test_a_service_found_late_is_suspended_and_warned_at_once_and_deleted_after_the_wait(home: Path) -> None:
    carded("S1", "S2")
    late = date(2026, 8, 1)
    assert sweep(late) == {Step.SUSPEND: 2, Step.WARN: 2}
    deliver_now()
    assert rows("SELECT DISTINCT facts ->> 'day' FROM messages WHERE kind = 'deletion-warning'") == [("2026-08-08",)]
    assert sweep(date(2026, 8, 7)) == {}
    assert sweep(date(2026, 8, 8)) == {Step.DELETE: 2}


# Payment and renewal


@pytest.mark.parametrize("day", [SUSPENDED_ON, WARNED_ON, DELETED_ON])
def test_who_pays_between_plan_and_execution_is_left_alone(home: Path, day: date) -> None:
    card = together("S1", "S2")
    lived(*(d for d in (SUSPENDED_ON, WARNED_ON) if d < day))
    made = plan(day)
    assert made.steps.total() == 2
    allocate(card, "20.00", day)
    assert carry_out(made.plan, started(sweeps.FLOW, day)) == {sweeps.CHANGED_SINCE: 2}
    assert set(statuses().values()) == {"active"}
    assert sweep(day) == {}


def test_a_payment_that_meets_the_deletion_is_waited_for(home: Path) -> None:
    card = together("S1", "S2")
    lived(SUSPENDED_ON, WARNED_ON)
    made, done = plan(DELETED_ON).plan, list[Counter[str]]()
    run_id = started(sweeps.FLOW, DELETED_ON)
    with transaction() as db:
        db.execute(text("SELECT FROM cards FOR UPDATE"))
        deletion = threading.Thread(target=lambda: done.append(carry_out(made, run_id)))
        deletion.start()
        while not db.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted")).scalar_one():
            pass
        pay(db, card, "20.00", DELETED_ON)
    deletion.join()
    assert done == [{sweeps.CHANGED_SINCE: 2}]
    assert set(statuses().values()) == {"active"}


def test_a_renewed_service_starts_afresh(home: Path) -> None:
    card = together("S1")
    lived(SUSPENDED_ON, WARNED_ON)
    allocate(card, "10.00", DELETED_ON)
    with transaction() as db:
        held = db.execute(text("SELECT subscription_id FROM subscription_status")).scalars().all()
        cast.card_on(db, held, date(2027, 2, 1), serial=2)
    lapsed = date(2027, 3, 1)
    days = [lapsed + (day - MARCH) for day in (SUSPENDED_ON, WARNED_ON, DELETED_ON)]
    for day, step in zip(days, (Step.SUSPEND, Step.WARN, Step.DELETE), strict=True):
        assert sweep(day) == {step: 1}
        deliver_now()
    assert [kind for kind, _, _ in messages()].count("service-suspended") == 2


def test_a_notice_says_what_is_left_to_pay_when_it_is_sent(home: Path) -> None:
    card = together("S1", "S2")
    sweep(SUSPENDED_ON)
    allocate(card, "4.00", SUSPENDED_ON)
    deliver_now()
    mails = [message_from_bytes(path.read_bytes(), policy=default) for path in (home / "mail" / "new").iterdir()]
    assert ["16,00" in mail.get_body(("plain",)).get_content() for mail in mails] == [True, True]  # type: ignore[union-attr]


@pytest.mark.parametrize("ended", ["paid", "renewed"])
def test_a_notice_of_a_lapse_that_is_over_is_not_sent(home: Path, ended: str) -> None:
    card = together("S1")
    sweep(SUSPENDED_ON)
    with transaction() as db:  # as one that failed, and was queued again by a person after the payment
        db.execute(text("UPDATE messages SET state = 'failed' WHERE kind = 'service-suspended'"))
    if ended == "paid":
        allocate(card, "10.00", SUSPENDED_ON)
    else:
        record_renewal("S1", date(2027, 3, 1), SUSPENDED_ON)
    with transaction() as db:
        db.execute(text("UPDATE messages SET state = 'queued' WHERE kind = 'service-suspended'"))
    deliver_now()
    assert rows("SELECT state FROM messages WHERE kind = 'service-suspended'") == [("cancelled",)]


# The trial time, the brake, two at once, kills


def test_before_the_go_live_mail_and_call_are_withheld_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFECYCLE_GO_LIVE__SERVICE_TRANSITION", "2026-06-01")
    settings.cache_clear()
    carded("S1")
    lived(*(SUSPENDED_ON + timedelta(days=n) for n in range(70)))
    assert statuses() == {"S1": "active"}
    assert rows("SELECT key, business_date FROM messages WHERE state = 'withheld' ORDER BY business_date, key") == [
        ("access/suspended/S1/2026-03-01/withheld", SUSPENDED_ON),
        ("service-suspended/S1/2026-03-01/withheld", SUSPENDED_ON),
        ("deletion-warning/S1/2026-03-01/withheld", WARNED_ON),
        ("access/deleted/S1/2026-03-01/withheld", DELETED_ON),
        ("service-deleted/S1/2026-03-01/withheld", DELETED_ON),
    ]
    assert rows("SELECT state FROM cards") == [("open",)]
    live = date(2026, 6, 1)
    assert sweep(live) == {Step.SUSPEND: 1, Step.WARN: 1}
    deliver_now()
    assert sweep(date(2026, 6, 8)) == {Step.DELETE: 1}


def test_the_brake_counts_licences_and_services_together(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFECYCLE_BRAKE__COUNT", "2")
    settings.cache_clear()
    with transaction() as db:
        licences = cast.product(db)
        for code in ("L1", "L2"):
            held = cast.subscription(db, code, cast.customer(db, f"C-{code}"), licences)
            cast.term(db, held, date(2025, 9, 8))
            refresh(db, GIVEN, Learned(MAILED, cast.LONG_AGO, None, cast.LIVE), [held])
        db.execute(text("UPDATE customers SET email = 'c@example.com'"))
    lived(date(2026, 1, 1))
    carded("S1")
    before = facts()
    seen = plan(SUSPENDED_ON)
    assert (seen.plan.state, seen.cut_off) == (PlanState.WAITING, 3)
    assert facts() == before
    approved = sweeps.approve.fn(seen.plan.digest)
    assert carry_out(approved, started(sweeps.FLOW, SUSPENDED_ON)) == {
        LicenceStep.DISABLE: 2,
        LicenceStep.TELL: 2,
        Step.SUSPEND: 1,
    }
    with pytest.raises(BadInput, match=r"no plan .* waits"):
        sweeps.approve.fn(seen.plan.digest)


def test_sweeps_at_once_act_as_one(home: Path) -> None:
    together("S1", "S2", "S3")
    carded("T1", "T2", mailed_on=date(2025, 12, 30))
    for day in (SUSPENDED_ON, WARNED_ON, DELETED_ON):
        with ThreadPoolExecutor(3) as threads:
            list(threads.map(lambda day: sweep(day, portion=2), [day] * 3))
        deliver_now()
    assert set(statuses().values()) == {"deleted"}
    assert Counter(kind for kind, _, _ in messages() + messages("call")) == dict.fromkeys(
        ("service-suspended", "deletion-warning", "service-deleted", "access.suspended", "access.deleted"), 5
    )


@pytest.fixture
def mortal() -> Iterator[None]:
    with sweeping.mortal():
        yield


def test_killed_at_any_statement_and_run_again_it_ends_as_one_clean_run(home: Path, mortal: None) -> None:
    with transaction() as db:
        card = cast.card_on(db, hold(db, {"S1": MARCH, "S2": date(2026, 4, 30)}, customer="C1"), MAILED)
    allocate(card, "4.00", MARCH)
    for day in (SUSPENDED_ON, WARNED_ON, DELETED_ON):
        places = next(places for places in count() if _survives(day, places))
        assert places > 15
        deliver_now()
    assert rows("SELECT code, to_status FROM transitions JOIN subscriptions s ON s.id = subscription_id") == [
        ("S1", "suspended"),
        ("S1", "deleted"),
    ]
    assert Counter(kind for kind, _, _ in messages() + messages("call")) == dict.fromkeys(
        ("service-suspended", "deletion-warning", "service-deleted", "access.suspended", "access.deleted"), 1
    )
    assert rows("SELECT purpose, sum(amount) FROM allocations GROUP BY 1 ORDER BY 1") == [
        ("card", Decimal(0)),
        ("credit", Decimal(4)),
    ]
    assert rows("SELECT status, to_card FROM subscription_status ORDER BY 1") == [
        ("active", date(2026, 4, 30)),
        ("deleted", None),
    ]


def _survives(day: date, places: int) -> bool:
    done = []
    with sweeping.dying_after(places):
        done.append(sweep(day))
    return bool(done)


# No service is ever forgotten

DAYS = st.dates(date(2026, 1, 1), date(2027, 6, 30))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("term"), st.integers(0, 3), DAYS, st.integers(0, 400)),
        st.tuples(st.just("corrected"), st.integers(0, 3), st.integers(-100, 100)),
        st.tuples(st.just("carded"), st.sets(st.integers(0, 3), min_size=1), st.sampled_from(State)),
        st.tuples(st.just("void")),
        st.tuples(st.just("paid")),
        st.tuples(st.just("swept"), st.integers(1, 40)),
        st.tuples(st.just("settled"), st.sampled_from(("sent", "sent", "failed"))),
        st.tuples(st.just("address"), st.booleans()),
    ),
    min_size=3,
    max_size=14,
)


@pytest.mark.parametrize("live_from", [None, "2026-04-15"])
@hypothesis_settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(history=STEPS)
def test_sql_selects_each_service_for_which_the_rule_has_a_step(
    home: Path, live_from: str | None, history: list[tuple[Any, ...]]
) -> None:
    with pytest.MonkeyPatch.context() as environment:
        if live_from:
            environment.setenv("LIFECYCLE_GO_LIVE__SERVICE_TRANSITION", live_from)
        settings.cache_clear()
        with transaction() as db:
            db.execute(text(f"{cast.UNLOCKED}; TRUNCATE customers, products, messages, runs, plans CASCADE"))
            held = hold(db, {f"S{n}": date(2026, 2 * n + 1, 27) for n in range(4)}, customer="C1")
        today = date(2026, 1, 1)
        for serial, (what, *how) in enumerate(history):
            with transaction() as db:
                _happens(db, held, today, serial, what, how)
            if what == "swept":
                today += timedelta(days=how[0])
                sweep(today)
            assert_nobody_is_forgotten(today)
    settings.cache_clear()


def _happens(db: Connection, held: Sequence[int], today: date, serial: int, what: str, how: list[Any]) -> None:
    """Play one step of a history."""
    now = datetime.fromisoformat("2026-01-01T00:00+00:00") + timedelta(hours=serial)
    match what, how:
        case "term", [which, starts_on, days]:
            cast.term(db, held[which], starts_on + timedelta(days=days), starts_on=starts_on, known=now)
        case "corrected", [which, days]:
            starts_on, expires_on = db.execute(
                text("""
                SELECT starts_on, expires_on FROM terms WHERE subscription_id = :held
                ORDER BY starts_on DESC, recorded_at DESC LIMIT 1"""),
                {"held": held[which]},
            ).one()
            corrected = max(starts_on, expires_on + timedelta(days=days))
            cast.term(db, held[which], corrected, starts_on=starts_on, known=now)
        case "carded", [which, state]:
            free = db.execute(
                text("""
                SELECT subscription_id FROM subscription_status AS standing
                WHERE subscription_id = ANY(:those) AND to_card IS NOT NULL AND NOT EXISTS (
                    SELECT FROM card_lines AS line WHERE payable AND line.subscription_id = standing.subscription_id
                        AND line.expires_on = standing.expires_on)"""),
                {"those": [held[n] for n in which]},
            )
            if those := list(free.scalars()):
                cast.card_on(db, those, today, serial=serial, state=state)
        case "void", _:
            run = started("billing-card-run", today)
            card_closing.void(db, lock(db, held).cards, today, run, now)
        case "paid", _:
            for card in lock(db, held).cards[:1]:
                pay(db, card, "50.00", today)
        case "settled", [state]:
            db.execute(
                text("UPDATE messages SET state = :state, asked_on = business_date WHERE state = 'queued'"),
                {"state": state},
            )
        case "address", [known]:
            db.execute(text("UPDATE customers SET email = :email"), {"email": "c@example.com" if known else None})
    refresh(db, GIVEN, Learned(today, now, None, cast.LIVE), held)


def assert_nobody_is_forgotten(swept: date) -> None:
    """From the day after the last sweep on, whatever is due would be found."""
    with transaction() as db:
        ids = list(db.execute(text("SELECT id FROM subscriptions")).scalars())
        everybody = list(service_expiry.again(db, lock(db, ids), trial=True))
        for day in (swept + timedelta(days=days) for days in (1, 2, 6, 7, 8, 9, 30, 46, 53, 54, 60, 61, 68, 200)):
            terms = sweeps.service_terms(day)
            due = {service.id for service in everybody if decide(service, terms).steps}
            assert due <= {service.id for service in service_expiry.due(db, day, trial=True)}, day
