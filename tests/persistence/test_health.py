"""What waits, is left over or was missed, as the tables know it."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, insert, text, update

from lifecycle.persistence import health, runs, tables
from lifecycle.rules.health import CARE, LastRun, Matter, Standing
from lifecycle.rules.outbox import State
from tests import cast

NOW = datetime(2026, 12, 1, 8, tzinfo=UTC)
SINCE = NOW - timedelta(days=3)
TODAY = NOW.date()
SENT = "mailings: sent"


@pytest.fixture
def run_id(db: Connection) -> UUID:
    return ran(db, "daily-expiry-sweep", started=SINCE)


def ran(db: Connection, flow: str, *, day: date = TODAY, outcome: str = "completed", **values: object) -> UUID:
    """A run that took a minute; `values` are others of its row."""
    id_, started = uuid4(), values.pop("started", NOW - timedelta(hours=1))
    assert isinstance(started, datetime)
    runs.start(db, id_, flow, day, dry_run=False, prefect_id=None)
    told = {"outcome": outcome, "started_at": started, "finished_at": started + timedelta(minutes=1)}
    db.execute(update(tables.runs).where(tables.runs.c.id == id_).values(**told, **values))
    return id_


def message(
    db: Connection, run_id: UUID, key: str, state: State, channel: str = "mail", *, due: datetime = SINCE
) -> None:
    cast.reports(db, [key], run_id, TODAY, None)
    told = {"state": state, "channel": channel, "due_at": due}
    db.execute(update(tables.messages).where(tables.messages.c.key == key).values(**told))


def mailed(db: Connection, run_id: UUID, key: str, state: State) -> None:
    """One mail of a mailing."""
    customer = cast.customer(db, key)
    told = {"recipient": "c@example.com", "recipient_name": "C", "business_date": TODAY, "basis": "unasked"}
    db.execute(
        insert(tables.messages).values(
            key=key, kind="mailing", channel="bulk", state=state, customer_id=customer, due_at=SINCE, **told
        )
    )


def plan(db: Connection, run_id: UUID, state: str, flow: str = "daily-expiry-sweep") -> None:
    told = {"flow": flow, "business_date": TODAY, "run_id": run_id, "digest": "d", "recorded_at": SINCE}
    db.execute(insert(tables.plans).values(state=state, **told))


def erasure(db: Connection, run_id: UUID, state: str) -> UUID:
    id_ = uuid4()
    agreed = {"approved_by": "anna", "approved_at": SINCE} if state in {"approved", "done"} else {}
    told = {"period": "3 years", "since": TODAY, "segment": "", "digest": "d", "inactive": {}, "kept": {}}
    moments = {"shown_at": SINCE, "lapses_at": NOW, "business_date": TODAY, "run_id": run_id, "preview": False}
    db.execute(insert(tables.erasures).values(id=id_, state=state, **told, **moments, **agreed))
    return id_


def withdrawal(db: Connection, run_id: UUID, state: str) -> None:
    cast.action_type(db, "WITHDRAWN")
    told = {"withdrawn_on": TODAY, "action_type": "WITHDRAWN", "operator": "anna", "business_date": TODAY}
    db.execute(
        insert(tables.withdrawals).values(
            id=uuid4(), customer_id=cast.customer(db, "LEAVES"), state=state, requested_at=SINCE, run_id=run_id, **told
        )
    )


def payment(db: Connection, reference: str) -> int:
    id_ = cast.payment(db, reference, "45.00", TODAY)
    db.execute(update(tables.payments).values(recorded_at=SINCE))
    return id_


def collection(db: Connection, run_id: UUID, filed_at: datetime | None) -> None:
    told = {"kind": "sepa", "business_date": TODAY, "collect_on": TODAY, "currency": "EUR", "total": 1, "number": 1}
    db.execute(
        insert(tables.collections).values(message_id="M", run_id=run_id, recorded_at=SINCE, filed_at=filed_at, **told)
    )


def portion(db: Connection, run_id: UUID, page: int | None) -> None:
    id_ = erasure(db, run_id, "done")
    told = {"id": uuid4(), "erasure_id": id_, "erased_on": TODAY, "customers": 1, "ledger_page": page}
    db.execute(insert(tables.erasure_portions).values(recorded_at=SINCE, **told))


def test_each_matter_is_found_once_with_the_moment_since_when_it_stands(db: Connection, run_id: UUID) -> None:
    message(db, run_id, "a", State.QUEUED)
    mailed(db, run_id, "b", State.QUEUED)
    message(db, run_id, "c", State.IN_DOUBT, "call")
    message(db, run_id, "d", State.FAILED)
    plan(db, run_id, "waiting")
    withdrawal(db, run_id, "waiting")
    erasure(db, run_id, "waiting")
    erasure(db, run_id, "approved")
    portion(db, run_id, None)
    payment(db, "B1")
    collection(db, run_id, None)
    ran(db, "charge-run", outcome="running", started=SINCE)
    assert health.standing(db, NOW, SENT) == dict.fromkeys(CARE, Standing(1, SINCE))


def test_nothing_stands_where_all_is_in_good_order(db: Connection, run_id: UUID) -> None:
    message(db, run_id, "retried later", State.QUEUED, due=NOW + timedelta(minutes=1))
    for state in (State.WITHHELD, State.SENT, State.CANCELLED):
        message(db, run_id, state, state)
    mailed(db, run_id, "an address that is wrong", State.FAILED)
    plan(db, run_id, "waiting")
    plan(db, run_id, "done")
    withdrawal(db, run_id, "refused")
    erasure(db, run_id, "lapsed")
    portion(db, run_id, 1)
    cast.allocation(db, "45.00", TODAY, payment=payment(db, "B1"), customer=cast.customer(db, "C"))
    collection(db, run_id, SINCE)
    assert {matter: there.number for matter, there in health.standing(db, NOW, SENT).items() if there.number} == {}


def test_a_plan_that_waits_is_not_hidden_by_another_flows(db: Connection, run_id: UUID) -> None:
    plan(db, run_id, "waiting")
    plan(db, run_id, "done", "another")
    assert health.standing(db, NOW, SENT)[Matter.HELD] == Standing(1, SINCE)


def test_a_mailing_that_leaves_at_its_pace_stands_since_a_mail_last_left(db: Connection, run_id: UUID) -> None:
    mailed(db, run_id, "a", State.QUEUED)
    ran(db, "deliver-outbox", started=SINCE - timedelta(days=1), counts={SENT: 5})
    ran(db, "deliver-outbox", started=NOW - timedelta(hours=1), counts={"sent": 5})
    assert health.standing(db, NOW, SENT)[Matter.MAILINGS] == Standing(1, SINCE)
    left = NOW - timedelta(hours=2)
    ran(db, "deliver-outbox", started=left, counts={SENT: 5})
    assert health.standing(db, NOW, SENT)[Matter.MAILINGS] == Standing(1, left + timedelta(minutes=1))


def test_what_did_not_complete_or_was_for_a_part_only_is_no_run_of_a_period(db: Connection) -> None:
    ended = NOW - timedelta(days=4) + timedelta(minutes=1)
    ran(db, "charge-run", day=date(2026, 11, 27), started=NOW - timedelta(days=4))
    ran(db, "charge-run", day=date(2026, 11, 20), started=NOW - timedelta(days=5))
    ran(db, "charge-run", outcome="failed")
    ran(db, "charge-run", outcome="superseded")
    ran(db, "charge-run", whole=False)
    ran(db, "charge-run", dry_run=True)
    ran(db, "consent-renewal", outcome="running")
    assert health.last_runs(db) == {"charge-run": LastRun(ended, date(2026, 11, 27))}


def test_figures_of_a_week_ago_are_those_of_the_last_run_at_that_time_however_it_ended(db: Connection) -> None:
    week = timedelta(days=7)
    assert health.counted_before(db, "health", NOW, week) == {}
    for days, outcome in ((15, "completed"), (8, "completed"), (7, "failed"), (6, "completed")):
        # A minute later in the day than the run that asks.
        ran(db, "health", outcome=outcome, started=NOW - timedelta(days=days, minutes=-1), counts={"MB": days})
    ran(db, "health", outcome="running", started=NOW - week, counts={"MB": 0})
    assert health.counted_before(db, "health", NOW, week) == {"MB": 7}


def test_the_largest_tables_come_first_and_the_database_is_larger_than_they(db: Connection) -> None:
    db.execute(text("INSERT INTO installation VALUES (1, 'test', 'd') ON CONFLICT DO NOTHING"))
    db.execute(text("INSERT INTO motives SELECT 'M' || n, repeat('x', 1000), false FROM generate_series(1, 2000) n"))
    found = health.sizes(db, 3)
    assert len(found.tables) == 3
    assert found.tables[0][:2] == ("motives", 2)
    assert found.database >= sum(size for _, size, _ in found.tables)
