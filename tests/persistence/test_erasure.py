from collections.abc import Collection
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from time import sleep
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as some
from sqlalchemy import Connection, insert, text

from lifecycle.persistence import erasure, runs, tables
from lifecycle.persistence.database import transaction
from lifecycle.persistence.erasure import Scope
from lifecycle.persistence.tables import metadata
from lifecycle.rules.erasure import Criteria, Customer, Erasure, Fate, Kept, Subscription, decide
from lifecycle.rules.instalments import OWED, InstalmentStatus
from lifecycle.rules.records import start_of_day
from lifecycle.rules.segment import Segment
from lifecycle.rules.subscriptions import Policy, Status
from tests import cast

ROME = ZoneInfo("Europe/Rome")
DAY = date(2026, 11, 22)
CRITERIA = Criteria.of_days(DAY, 365)
SCOPE = Scope(CRITERIA, Segment(), ROME, "it")
LATE = CRITERIA.since - timedelta(days=1)
POLICIES = list(Policy)


def customer(db: Connection, code: str, facts: Customer, instalments: Collection[InstalmentStatus] = ()) -> int:
    """A customer of whom exactly these facts are true; `instalments` are under its first subscription."""
    id_: int = db.execute(
        insert(tables.customers)
        .values(code=code, kind="person", name=f"Name {code}", email="c@example.com", created_on=facts.recorded_on)
        .returning(tables.customers.c.id)
    ).scalar_one()
    if facts.last_appointment_on:
        appointment(db, id_, facts.last_appointment_on)
    for number, held in enumerate(facts.subscriptions):
        product = db.execute(text("SELECT id FROM products WHERE code = :code"), {"code": held.policy}).scalar()
        product = product or cast.product(db, held.policy, held.policy)
        subscription = cast.subscription(db, f"{code}-{number}", id_, product)
        db.execute(
            insert(tables.subscription_status).values(
                subscription_id=subscription, status=held.status, expires_on=held.expires_on
            )
        )
        for month, status in enumerate(() if number else instalments, 1):
            cast.instalment(db, subscription, date(2020, month, 1), status=status)
    for until in facts.held_until:
        db.execute(
            insert(tables.holds).values(customer_id=id_, reason=f"until {until}", until_on=until, operator="anna")
        )
    if facts.is_owed_or_owes:
        db.execute(
            text("""
            INSERT INTO allocations (customer_id, purpose, amount, currency, rule, business_date)
            VALUES (:customer, 'credit', 5, 'EUR', 'test', '2020-01-01')"""),
            {"customer": id_},
        )
    if facts.is_being_sent_a_mail:
        message(db, id_, code, "sending")
    if facts.has_open_card:
        cast.card(db, f"PF-{code}", id_, [])
    return id_


def appointment(db: Connection, customer: int, day: date) -> None:
    at = start_of_day(day, ROME) + timedelta(hours=23)
    db.execute(
        insert(tables.appointments).values(
            code=str(uuid4()), customer_id=customer, starts_at=at, status="no_show", title="Title"
        )
    )


def message(db: Connection, customer: int, key: str, state: str) -> int:
    found: int = db.execute(
        text("""
        INSERT INTO messages (
            key, kind, state, recipient, recipient_name, customer_id, business_date, motive, basis, asked_on, digest)
        VALUES (:key, 'single', :state, 'c@example.com', 'Name', :customer, '2020-01-01', 'contract', 'duty',
            '2020-01-01', 'd') RETURNING id"""),
        {"key": key, "state": state, "customer": customer},
    ).scalar_one()
    return found


def shown(db: Connection, scope: Scope = SCOPE) -> Erasure:
    run = uuid4()
    runs.start(db, run, "gdpr-erasure-batch", DAY, dry_run=False, prefect_id=None)
    return erasure.show(db, scope, erasure.find(db, scope), run, None, timedelta(days=7))


def approved(db: Connection, *taken_out: str) -> Erasure:
    """What is shown now, approved."""
    seen = shown(db)
    assert erasure.approve(db, seen.id, "anna", taken_out)
    return erasure.read(db, seen.id)


def erased(db: Connection, plan: Erasure) -> dict[str, int]:
    counts = dict(erasure.erase(db, plan, erasure.still_shown(db, plan.id), DAY, ROME))
    db.execute(text("DROP TABLE erasing"))  # each would have its own transaction
    return counts


INACTIVE = Customer(date(2015, 1, 1))

days = some.sampled_from([LATE, CRITERIA.since, DAY - timedelta(days=1), DAY, DAY + timedelta(days=1)])
held = some.builds(
    Subscription,
    some.sampled_from(POLICIES),
    some.sampled_from(sorted(set(Status) - {Status.EXPIRED})),
    days,
)
customers = some.builds(
    Customer,
    recorded_on=some.sampled_from([date(2015, 1, 1), CRITERIA.since, CRITERIA.since + timedelta(days=1)]),
    last_appointment_on=some.none() | days,
    subscriptions=some.lists(held, max_size=2).map(tuple),
    has_open_card=some.booleans(),
    is_owed_or_owes=some.booleans(),
    held_until=some.lists(days, max_size=2, unique=True).map(tuple),
    is_being_sent_a_mail=some.booleans(),
)
instalments = some.lists(some.sampled_from(InstalmentStatus), max_size=2)


@given(some.lists(some.tuples(customers, instalments), min_size=20, max_size=40))
@hypothesis_settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_the_database_finds_and_keeps_whom_the_rule_does(
    home: Path, those: list[tuple[Customer, list[InstalmentStatus]]]
) -> None:
    with transaction() as db:
        for number, (facts, under_it) in enumerate(those):
            customer(db, f"C{number:02}", facts, under_it)
        found = erasure.find(db, SCOPE)
        db.rollback()
    seen = {it.code: frozenset[Kept]() for it in found.candidates} | {
        it.code: frozenset(it.reasons) for it in found.kept
    }
    decided = {f"C{number:02}": decide(owing(*each), CRITERIA) for number, each in enumerate(those)}
    assert seen == {code: reasons for code, reasons in decided.items() if reasons is not None}


def owing(facts: Customer, under_it: Collection[InstalmentStatus]) -> Customer:
    """The facts, with what instalments under the first subscription add to them."""
    owed = bool(facts.subscriptions) and not OWED.isdisjoint(under_it)
    return replace(facts, is_owed_or_owes=facts.is_owed_or_owes or owed)


def test_the_period_begins_with_its_first_day_in_business_time(db: Connection) -> None:
    before, on = (customer(db, code, INACTIVE) for code in ("BEFORE", "ON"))
    for id_, at in ((before, "2025-11-21 23:59:59+01:00"), (on, "2025-11-22 00:00:00+01:00")):
        db.execute(
            insert(tables.appointments).values(
                code=str(id_), customer_id=id_, starts_at=datetime.fromisoformat(at), status="booked"
            )
        )
    assert [it.code for it in erasure.find(db, SCOPE).candidates] == ["BEFORE"]


def test_only_those_of_the_segment_are_found(db: Connection) -> None:
    customer(db, "A", INACTIVE)
    db.execute(text("UPDATE customers SET country = 'IT'"))
    customer(db, "B", INACTIVE)
    assert [it.code for it in erasure.find(db, SCOPE).candidates] == ["A", "B"]
    some_ = Scope(CRITERIA, Segment(country=("IT",)), ROME, "it")
    assert [it.code for it in erasure.find(db, some_).candidates] == ["A"]


def full(db: Connection, code: str) -> int:
    """A customer with something personal in every table that can hold it."""
    id_ = customer(db, code, INACTIVE)
    db.execute(
        text("""
        UPDATE customers SET phone = 'p', tax_id = 't', street = 's', city = 'c', postcode = 'z', notes = 'n'
        WHERE id = :id"""),
        {"id": id_},
    )
    appointment(db, id_, date(2019, 1, 1))
    product = db.execute(text("SELECT id FROM products LIMIT 1")).scalar() or cast.product(db, "SITE", "custom")
    subscription = cast.subscription(db, f"S-{code}", id_, product)
    db.execute(text("UPDATE subscriptions SET reference = 'domain' WHERE id = :id"), {"id": subscription})
    db.execute(
        insert(tables.subscription_status).values(
            subscription_id=subscription, status="active", expires_on=date(2020, 1, 1)
        )
    )
    type_ = db.execute(text("SELECT id FROM consent_types LIMIT 1")).scalar() or cast.consent_type(db, "NEWS")
    db.execute(
        insert(tables.consents).values(
            customer_id=id_, consent_type_id=type_, granted_on=date(2019, 1, 1), evidence="paper"
        )
    )
    db.execute(
        insert(tables.objections).values(
            customer_id=id_, channel="bulk", objected_on=date(2019, 1, 2), evidence="letter"
        )
    )
    db.execute(insert(tables.holds).values(customer_id=id_, reason="tax", until_on=date(2020, 1, 1), operator="anna"))
    _membership(db, code, id_, subscription)
    card = cast.card(db, f"PF-{code}", id_, [], closed_on=date(2020, 1, 1))
    db.execute(text("UPDATE card_revisions SET document = 'pdf', digest = 'd' WHERE card_id = :id"), {"id": card})
    sent, queued = (message(db, id_, f"{code}/{state}", state) for state in ("sent", "queued"))
    db.execute(
        insert(tables.message_attempts).values(message_id=sent, worker="w", carrier="c", reply="no <c@example.com>")
    )
    db.execute(insert(tables.message_bodies).values(message_id=queued, subject="s", text="t", html="h"))
    payment = db.execute(
        insert(tables.payments)
        .values(
            bank_reference=f"B-{code}",
            received_on=date(2020, 1, 1),
            amount=5,
            currency="EUR",
            remittance="r",
            payer="p",
            iban="i",
            business_date=date(2020, 1, 1),
        )
        .returning(tables.payments.c.id)
    ).scalar_one()
    db.execute(
        text("""
        INSERT INTO allocations (payment_id, customer_id, card_id, purpose, amount, currency, rule, business_date)
        VALUES (:payment, :customer, :card, 'card', 5, 'EUR', 'test', '2020-01-01')"""),
        {"payment": payment, "customer": id_, "card": card},
    )
    return id_


def _membership(db: Connection, code: str, customer: int, subscription: int) -> None:
    """By what it is charged, a file in which it stands, its CRM history, and a withdrawal that waits."""
    db.execute(
        insert(tables.mandates).values(
            code=code, customer_id=customer, kind="sepa", holder="h", iban="i", bic="b", token="t"
        )
    )
    if db.execute(text("SELECT code FROM action_types")).scalar() is None:
        cast.action_type(db)
    cast.crm_action(db, customer, "WITHDRAWN", LATE)
    run = uuid4()
    runs.start(db, run, "charge-run", LATE, dry_run=False, prefect_id=None)
    of_run = {"run": run, "code": code, "customer": customer, "day": LATE}
    file = db.execute(
        text("""
        INSERT INTO collections (
            message_id, kind, business_date, collect_on, currency, total, number, document, digest, run_id)
        VALUES (:code, 'sepa', :day, :day, 'EUR', 12.20, 1, 'xml', 'd', :run) RETURNING id"""),
        of_run,
    ).scalar_one()
    charged = cast.instalment(db, subscription, LATE, status="paid")
    db.execute(text("UPDATE instalments SET collection_id = :file WHERE id = :id"), {"file": file, "id": charged})
    db.execute(
        text("""
        INSERT INTO withdrawals (
            id, customer_id, withdrawn_on, action_type, operator, state, note, requested_at, business_date, run_id)
        VALUES (:run, :customer, :day, 'WITHDRAWN', 'anna', 'waiting', 'n', now(), :day, :run)"""),
        of_run,
    )


def everything(db: Connection) -> dict[str, list[tuple[object, ...]]]:
    return {
        table.name: sorted((tuple(row) for row in db.execute(table.select())), key=repr)
        for table in metadata.sorted_tables
        if not table.name.startswith("erasure") and table.name != "runs"
    }


def test_nothing_personal_of_who_is_erased_is_left_and_nobody_else_is_changed(db: Connection) -> None:
    bystander = full(db, "STAYS")
    appointment(db, bystander, DAY)
    before = everything(db)
    full(db, "GOES")
    planted = personal_values(db, "GOES")
    assert all(planted.values()), planted
    plan = approved(db)
    assert erased(db, plan) == {"erased": 1}
    assert not any(personal_values(db, "GOES").values())
    states = db.execute(text("SELECT key, state FROM messages WHERE key LIKE 'GOES%' ORDER BY key")).all()
    assert [tuple(row) for row in states] == [("GOES/queued", "cancelled"), ("GOES/sent", "sent")]
    after = everything(db)
    assert {name: [row for row in rows if row not in after[name]] for name, rows in before.items()} == {
        name: [] for name in before
    }


def personal_values(db: Connection, code: str) -> dict[str, int]:
    """How many values of the customer there are in each column that does not keep them."""
    db.execute(
        text("CREATE TEMPORARY TABLE erasing AS SELECT id AS customer_id FROM customers WHERE code = :code"),
        {"code": code},
    )
    counts = {}
    for table in metadata.sorted_tables:
        for column in table.columns:
            if "rows" in table.info and column.info["personal"] and column.info["fate"] is not Fate.KEPT:
                empty = "" if isinstance(column.type.python_type, bytes) else f" AND {column.name}::text <> ''"
                counts[str(column)] = db.execute(
                    text(f"SELECT count({column.name}) FROM {table.name} WHERE {table.info['rows']}{empty}")
                ).scalar_one()
    db.execute(text("DROP TABLE erasing"))
    counts.pop("message_bodies.attachment")  # of no kind of mail that goes to customers
    return counts


def test_who_was_taken_out_or_has_become_active_is_left_alone(db: Connection) -> None:
    ids = {code: customer(db, code, INACTIVE) for code in ("GOES", "OUT", "BOOKED", "HELD", "NEW")}
    db.execute(text("UPDATE customers SET created_on = current_date WHERE code = 'NEW'"))
    plan = approved(db, "OUT")
    appointment(db, ids["BOOKED"], DAY + timedelta(days=9))
    db.execute(insert(tables.holds).values(customer_id=ids["HELD"], reason="tax", until_on=DAY, operator="anna"))
    assert erased(db, plan) == {"erased": 1, "left out: active again": 1, "left out: hold": 1}
    left = db.execute(text("SELECT code FROM customers WHERE erased_on IS NULL ORDER BY code")).scalars().all()
    assert left == ["BOOKED", "HELD", "NEW", "OUT"]
    assert erasure.outcome(db, plan.id) == {
        "erased": 1, "taken out": 1, "left out: active again": 1, "left out: hold": 1,
    }  # fmt: skip


def test_it_is_approved_once_and_not_after_it_lapsed_or_was_refused(db: Connection) -> None:
    customer(db, "A", INACTIVE)
    plan = approved(db)
    assert not erasure.approve(db, plan.id, "anna", [])
    refused = shown(db)
    assert erasure.refuse(db, refused.id)
    assert not erasure.approve(db, refused.id, "anna", ["A"])
    late = shown(db)
    db.execute(text("UPDATE erasures SET lapses_at = now() WHERE id = :id"), {"id": late.id})
    assert not erasure.approve(db, late.id, "anna", [])
    assert erasure.by_digest(db, late.digest) == [plan]
    assert db.execute(text("SELECT count(*) FROM erasure_candidates WHERE state <> 'shown'")).scalar() == 0


def test_erased_again_nothing_happens(db: Connection) -> None:
    customer(db, "A", INACTIVE)
    first, second = approved(db), approved(db)
    assert erased(db, first) == {"erased": 1}
    assert erased(db, first) == {}
    assert erased(db, second) == {"left out: erased before": 1}


@pytest.mark.parametrize("column", ["name", "email", "notes"])
def test_nothing_brings_an_erased_customer_back(db: Connection, column: str) -> None:
    customer(db, "A", INACTIVE)
    erased(db, approved(db))
    with pytest.raises(Exception, match="erased_is_nameless"):
        db.execute(text(f"UPDATE customers SET {column} = 'Back'"))


def waits_for_a_lock(pid: int) -> bool:
    with transaction() as db:
        waiting: bool = db.execute(
            text("SELECT coalesce(wait_event_type = 'Lock', false) FROM pg_stat_activity WHERE pid = :pid"),
            {"pid": pid},
        ).scalar_one()
        return waiting


class Erasing(Thread):
    """Erases in a transaction of its own. `waiting` is True as soon as another one holds it up."""

    def __init__(self, plan: Erasure) -> None:
        super().__init__()
        self._plan = plan
        self._pid = SimpleQueue[int]()
        self.counts: dict[str, int] = {}
        self.start()

    def run(self) -> None:
        with transaction() as db:
            self._pid.put(db.execute(text("SELECT pg_backend_pid()")).scalar_one())
            self.counts = erased(db, self._plan)

    def until_it_waits(self) -> None:
        pid = self._pid.get()
        while self.is_alive() and not waits_for_a_lock(pid):
            sleep(0.01)
        assert self.is_alive()


@pytest.mark.parametrize(
    ("meanwhile", "reason"),
    [
        (
            (
                "INSERT INTO appointments (code, customer_id, starts_at, status) "
                "SELECT 'A', id, '2026-12-01 09:00+01', 'booked' FROM customers"
            ),
            "active again",
        ),
        (
            (
                "INSERT INTO holds (customer_id, reason, until_on, operator) "
                "SELECT id, 'tax', '2026-12-01', 'anna' FROM customers"
            ),
            "hold",
        ),
        (
            (
                "WITH term AS (INSERT INTO terms (subscription_id, starts_on, expires_on) "
                "SELECT id, '2026-01-01', '2026-12-31' FROM subscriptions) "
                "UPDATE subscription_status SET expires_on = '2026-12-31'"
            ),
            "subscription not expired",
        ),
        ("UPDATE messages SET state = 'sending' WHERE state = 'queued'", "a mail to it is being sent"),
    ],
)
def test_what_somebody_else_is_recording_is_waited_for(home: Path, meanwhile: str, reason: str) -> None:
    with transaction() as db:
        full(db, "A")
        plan = approved(db)
    with transaction() as other:
        other.execute(text(meanwhile))
        erasing = Erasing(plan)
        erasing.until_it_waits()
    erasing.join()
    assert erasing.counts == {f"left out: {reason}": 1}


def test_two_erasures_of_the_same_take_turns(home: Path) -> None:
    with transaction() as db:
        full(db, "A")
        plan = approved(db)
    with transaction() as db:
        first = erased(db, plan)
        second = Erasing(plan)
        second.until_it_waits()
    second.join()
    assert (first, second.counts) == ({"erased": 1}, {})
