"""Sweeps on the database: what is planned is what is done, the brake, and that no licence is ever forgotten."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, event, text

from lifecycle.persistence import licence_expiry, outbox
from lifecycle.persistence import reseller_report as stored_reports
from lifecycle.persistence.database import transaction
from lifecycle.persistence.subscription_status import GIVEN, Learned, lock, refresh
from lifecycle.rules.calendar import add_months, first_of_month, scheduled_moment
from lifecycle.rules.findings import BadInput
from lifecycle.rules.licence_expiry import Step, decide
from lifecycle.rules.plans import Held, PlanState
from lifecycle.rules.reseller_report import Section
from lifecycle.settings import settings
from tasks import daily_expiry_sweep as sweeps
from tasks import reseller_report
from tasks.import_records import import_files
from tasks.reseller_report import Order
from tests import cast
from tests.sweeping import at, carry_out, deliver_now, record_renewal, started, sweep

JULY, OCTOBER = date(2019, 7, 1), date(2019, 10, 1)
"""Warning and end of access for the expiry of the product page's example."""
MARCH = date(2019, 3, 31)


def hold(
    db: Connection, codes: dict[str, date], *, email: str | None = "c@example.com", policy: str = "licence"
) -> None:
    """Licences with these expiries, each with a customer of its own."""
    product = cast.product(db, policy.upper(), policy)
    held = []
    for code, expires_on in codes.items():
        customer = cast.customer(db, f"C-{code}")
        held.append(cast.subscription(db, code, customer, product))
        cast.term(db, held[-1], expires_on)
    db.execute(text("UPDATE customers SET email = :email"), {"email": email})
    refresh(db, GIVEN, Learned(date(2018, 1, 1), cast.LONG_AGO, None, cast.LIVE), held)


def address(email: str | None) -> None:
    with transaction() as db:
        db.execute(text("UPDATE customers SET email = :email"), {"email": email})


def plan(day: date, *, dry_run: bool = False) -> sweeps.Outlook:
    return sweeps.make_plan.fn(day, started(sweeps.FLOW, day), dry_run=dry_run)


def rows(query: str) -> list[tuple[Any, ...]]:
    with transaction() as db:
        return [tuple(row) for row in db.execute(text(query))]


def statuses() -> dict[str, str]:
    return dict(rows("SELECT code, status FROM subscription_status JOIN subscriptions ON id = subscription_id"))


def facts() -> list[Any]:
    """Everything that a sweep may change, but for its plans."""
    return [rows(f"SELECT * FROM {table} ORDER BY 1") for table in ("transitions", "messages", "subscription_status")]


def warned(*codes: str, policy: str = "licence") -> None:
    """Licences of the page's example, warned in time."""
    with transaction() as db:
        hold(db, dict.fromkeys(codes, MARCH), policy=policy)
    sweep(JULY)
    deliver_now()


def test_the_dry_run_lists_exactly_what_the_run_then_does(home: Path) -> None:
    with transaction() as db:
        hold(db, {"L1": MARCH, "L2": date(2019, 4, 1), "L3": date(2019, 6, 30), "L4": date(2019, 9, 30)})
    for day in (date(2019, 6, 30), JULY, OCTOBER, date(2019, 10, 2), date(2019, 12, 31)):
        before = facts()
        dry = plan(day, dry_run=True)
        assert facts() == before
        assert rows(f"SELECT count(*) FROM plans WHERE business_date = '{day}'") == [(0,)]
        assert sweep(day) == Counter({str(step): number for (step, _), number in dry.steps.items()})
        deliver_now()
    assert statuses() == {"L1": "disabled", "L2": "disabled", "L3": "disabled", "L4": "active"}


@pytest.fixture
def brake(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds more than two of fewer than a hundred."""
    monkeypatch.setenv("LIFECYCLE_BRAKE__COUNT", "2")
    settings.cache_clear()


MANY = ("L1", "L2", "L3")


def test_held_by_the_brake_nothing_changes_until_a_person_approves_once(brake: None) -> None:
    warned(*MANY)
    before = facts()
    seen = plan(OCTOBER)
    assert (seen.plan.state, seen.cut_off, seen.active) == (PlanState.WAITING, 3, 0)
    assert facts() == before
    approved = sweeps.approve.fn(seen.plan.digest)
    assert carry_out(approved, started(sweeps.FLOW, OCTOBER)) == {Step.DISABLE: 3, Step.TELL: 3}
    assert rows(f"SELECT state FROM plans WHERE id = {seen.plan.id}") == [("done",)]
    with pytest.raises(BadInput, match=r"no plan .* waits"):
        sweeps.approve.fn(seen.plan.digest)


def test_an_approval_is_for_the_plan_and_not_for_its_twin(brake: None) -> None:
    """Two sweeps that are held alike: what a person approved once cannot be approved again."""
    warned(*MANY)
    first, second = plan(OCTOBER).plan, plan(OCTOBER).plan
    assert first.digest == second.digest
    sweeps.approve.fn(first.digest)
    with pytest.raises(BadInput, match=r"no plan .* waits"):
        sweeps.approve.fn(first.digest)


@pytest.mark.parametrize("digest", ["", " ", "0123456789abcdef", "%"])
def test_a_digest_that_is_none_is_refused(brake: None, digest: str) -> None:
    warned(*MANY)
    plan(OCTOBER)
    with pytest.raises(BadInput, match=r"no plan .* waits"):
        sweeps.approve.fn(digest)


def test_a_refused_plan_cannot_be_approved(brake: None) -> None:
    warned(*MANY)
    refused = plan(OCTOBER).plan
    sweeps.refuse.fn(refused)
    with pytest.raises(BadInput, match=r"no plan .* waits"):
        sweeps.approve.fn(refused.digest)


def test_the_brake_lets_pass_what_is_no_more_than_its_count_or_its_share(
    brake: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    warned("L1", "L2")
    assert plan(OCTOBER).plan.state is PlanState.MADE  # two are not more than two
    with transaction() as db:
        hold(db, {"M1": MARCH, **{f"A{n}": date(2020, 1, 1) for n in range(5)}}, policy="custom")
        db.execute(text("UPDATE products SET policy = 'licence'"))
        db.execute(text("UPDATE subscription_status SET due_on = '2019-07-01' WHERE due_on IS NULL"))
    sweep(JULY)
    deliver_now()
    monkeypatch.setenv("LIFECYCLE_BRAKE__SHARE", "0.6")
    settings.cache_clear()
    assert plan(OCTOBER).plan.state is PlanState.MADE  # three are not more than 60 % of five
    monkeypatch.setenv("LIFECYCLE_BRAKE__SHARE", "0.59")
    settings.cache_clear()
    assert plan(OCTOBER).plan.state is PlanState.WAITING


def test_who_renews_between_plan_and_approval_is_left_out(brake: None) -> None:
    warned(*MANY)
    held = plan(OCTOBER).plan
    record_renewal("L2", date(2020, 3, 31), OCTOBER)
    counts = carry_out(sweeps.approve.fn(held.digest), started(sweeps.FLOW, OCTOBER))
    assert counts == {Step.DISABLE: 2, Step.TELL: 2, sweeps.CHANGED_SINCE: 2}
    assert statuses() == {"L1": "disabled", "L2": "active", "L3": "disabled"}


def test_what_falls_due_between_plan_and_execution_is_left_to_the_next_plan(home: Path) -> None:
    """Only planned steps are done: an address that came in between does not add a mail to the plan."""
    warned("L1")
    address(None)
    made = plan(OCTOBER)
    assert made.held == {Held.NO_ADDRESS: ["L1"]}
    address("c@example.com")
    assert carry_out(made.plan, started(sweeps.FLOW, OCTOBER)) == {Step.DISABLE: 1}
    assert sweep(OCTOBER + timedelta(days=1)) == {Step.TELL: 1}


def test_a_sweep_for_an_earlier_day_takes_nothing_back(home: Path) -> None:
    warned("L1", "L2")
    sweep(OCTOBER)
    before = facts()
    for day in (date(2019, 3, 1), JULY, date(2019, 9, 30), OCTOBER):
        assert sweep(day) == {}
    assert facts() == before


def test_a_renewal_that_meets_a_plan_in_the_making_is_not_forgotten(home: Path) -> None:
    """A sweep notes when to look at the licences it leaves alone; what was renewed meanwhile keeps its own day."""
    warned("L1")
    sweep(OCTOBER)
    address(None)
    with transaction() as db:
        db.execute(text("UPDATE subscription_status SET due_on = '2019-10-01'"))

    def renews(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "SET due_on = look.day" in statement and record_renewal("L1", date(2020, 3, 31), OCTOBER)["renewed"]:
            renewed.append("L1")

    renewed: list[str] = []
    event.listen(Engine, "before_cursor_execute", renews)
    plan(OCTOBER)
    event.remove(Engine, "before_cursor_execute", renews)
    assert renewed
    assert rows("SELECT due_on FROM subscription_status") == [(date(2020, 7, 1),)]


def test_a_notice_that_was_in_doubt_when_the_licence_was_renewed_is_not_sent_any_more(home: Path) -> None:
    with transaction() as db:
        hold(db, {"L1": MARCH})
    sweep(JULY)
    with pytest.raises(KeyboardInterrupt), outbox.delivering("UTC") as deliverer:  # noqa: PT012
        message = next(deliverer.claims(datetime.now(UTC) + timedelta(days=1), 1))
        deliverer.begin(message, f"maildir:{home / 'mail'}")
        raise KeyboardInterrupt
    record_renewal("L1", date(2020, 3, 31), JULY)
    while deliver_now():
        pass
    assert not (home / "mail" / "new").exists()
    assert rows("SELECT state FROM messages") == [("cancelled",)]


def test_custom_applications_are_not_swept(home: Path) -> None:
    with transaction() as db:
        hold(db, {"L1": MARCH}, policy="custom")
    assert plan(OCTOBER).steps == {}


def test_a_changed_policy_is_followed(home: Path) -> None:
    """Nobody is cut off under a policy that says nothing of it; what becomes a licence is swept as one."""
    with transaction() as db:
        hold(db, {"L1": MARCH})
    policy(home, "custom")
    assert rows("SELECT due_on FROM subscription_status") == [(None,)]
    assert sweep(JULY) == {}
    policy(home, "licence")
    assert sweep(JULY) == {Step.WARN: 1}


def policy(home: Path, policy: str) -> None:
    """Import the product with another policy."""
    file = home / "products.csv"
    columns = "code,name,policy,period_months,price,currency,vat_rate"
    file.write_text(f"{columns}\nLICENCE,Office,{policy},12,120,EUR,22\n")
    import_files.fn(file, at(JULY), dry_run=False)


def test_a_plan_made_before_the_policy_changed_cuts_nobody_off(home: Path) -> None:
    warned("L1")
    made = plan(OCTOBER).plan
    policy(home, "custom")
    assert carry_out(made, started(sweeps.FLOW, OCTOBER)) == {sweeps.CHANGED_SINCE: 2}
    assert statuses() == {"L1": "active"}


# The reseller report of a day, and the statuses of that day


def test_the_reports_of_each_month_list_as_disabled_who_is_disabled(home: Path) -> None:
    with transaction() as db:
        hold(db, {f"L{n}": date(2019, 1, 1) + timedelta(days=n) for n in range(0, 300, 3)})
        reseller = cast.reseller(db, "R1")
        for (customer,) in db.execute(text("SELECT id FROM customers")).all():
            cast.association(db, customer, reseller)
    reports = 0
    for day in (date(2019, 3, 25) + timedelta(days=n) for n in range(214)):
        sweep(day)
        deliver_now()
        if day == first_of_month(day):
            assert report(day, Section.DISABLED) == {code for code, s in statuses().items() if s == "disabled"}
            assert report(day, Section.OPEN) == open_licences(day)
            reports += 1
        if day.day % 9 == 0:
            for code in sorted(statuses())[day.month :: 40]:
                record_renewal(code, add_months(expiries()[code], 3), day)
    assert reports == 7


def expiries() -> dict[str, date]:
    return dict(
        rows("SELECT code, max(expires_on) FROM terms JOIN subscriptions s ON s.id = subscription_id GROUP BY 1")
    )


def report(day: date, section: Section) -> set[str]:
    known_at = scheduled_moment(day, settings().zone)
    order = Order(day, known_at, started("monthly-reseller-report", day), None, day)
    _, standings = reseller_report.make.fn(order, dry_run=False)
    with transaction() as db:
        stored = stored_reports.read(db, [standing.id for standing in standings], "en")
    return {line.licence for one in stored for line in one.section(section)}


def open_licences(day: date) -> set[str]:
    """Warned about their present lapse, and not disabled."""
    return {
        row[0]
        for row in rows("""
            SELECT code FROM subscription_status AS standing JOIN subscriptions ON id = subscription_id
            WHERE status = 'active' AND EXISTS (
                SELECT FROM messages WHERE key = 'customer-notice/expired-3m/' || code || '/' || standing.expires_on
                AND state = 'sent')""")
    }


# No licence is ever forgotten

DAYS = st.dates(date(2019, 1, 1), date(2020, 12, 31))
TERMS = st.tuples(st.just("term"), st.integers(0, 3), DAYS, st.integers(0, 500))
STEPS = st.lists(
    st.one_of(
        TERMS,
        st.tuples(st.just("corrected"), st.integers(0, 3), st.integers(-300, 300)),
        st.tuples(st.just("swept"), st.integers(1, 120)),
        st.tuples(st.just("delivered")),
        st.tuples(st.just("refused")),
        st.tuples(st.just("address"), st.booleans()),
    ),
    min_size=3,
    max_size=14,
)


@hypothesis_settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(history=STEPS)
def test_sql_selects_each_licence_for_which_the_rule_has_a_step(home: Path, history: list[tuple[Any, ...]]) -> None:
    with transaction() as db:
        db.execute(text(f"{cast.UNLOCKED}; TRUNCATE customers, products, messages, runs, plans CASCADE"))
        hold(db, {f"L{n}": date(2019, 3 * n + 1, 28) for n in range(4)})
    today = date(2019, 1, 1)
    for number, (what, *how) in enumerate(history):
        today = _happens(today, datetime(2019, 1, 1, tzinfo=UTC) + timedelta(hours=number), what, how)
        assert_nobody_is_forgotten(today)


def _happens(today: date, now: datetime, what: str, how: list[Any]) -> date:
    """Play one step of a history. Returns the day of the last sweep."""
    with transaction() as db:
        held = list(db.execute(text("SELECT id FROM subscriptions ORDER BY code")).scalars())
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
            case "delivered", _:
                db.execute(text("UPDATE messages SET state = 'sent', asked_on = business_date WHERE state = 'queued'"))
            case "refused", _:
                db.execute(text("UPDATE messages SET state = 'failed' WHERE state = 'queued'"))
            case "address", [known]:
                db.execute(text("UPDATE customers SET email = :email"), {"email": "c@example.com" if known else None})
        refresh(db, GIVEN, Learned(today, now, None, cast.LIVE), held)
    if what == "swept":
        today += timedelta(days=how[0])
        sweep(today)
    return today


def assert_nobody_is_forgotten(swept: date) -> None:
    """From the day after the last sweep on, whatever is due would be found."""
    with transaction() as db:
        everybody = list(licence_expiry.again(db, lock(db, range_of_ids(db)), trial=True))
        for day in (swept + timedelta(days=days) for days in (1, 2, 29, 30, 31, 60, 91, 92, 93, 180, 184, 185, 400)):
            terms = sweeps.licence_terms(day)
            due = {licence.id for licence in everybody if decide(licence, terms).steps}
            assert due <= {licence.id for licence in licence_expiry.due(db, day, trial=True)}, day


def range_of_ids(db: Connection) -> list[int]:
    return list(db.execute(text("SELECT id FROM subscriptions")).scalars())
