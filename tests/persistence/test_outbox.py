"""The outbox's promises, each with two sessions where two can meet."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import text

from lifecycle.persistence import outbox, runs
from lifecycle.persistence.database import configured, transaction
from lifecycle.persistence.outbox import Body, Deliverer, Settlement
from lifecycle.rules.outbox import Channel, State
from tests.cast import reports

DAY = date(2019, 9, 1)
BODY = Body("subject", "text", "<p>html</p>", ("list.xlsx", "application/zip", b"\x00\xff"))
SENT = Settlement(State.SENT, "sent", "250 ok", "digest")


@pytest.fixture
def run_id(home: Path) -> UUID:
    id_ = uuid4()
    with transaction() as db:
        runs.start(db, id_, "monthly-reseller-report", DAY, dry_run=False, prefect_id=None)
    return id_


def queue(run_id: UUID, *keys: str, body: Body | None = BODY) -> list[str]:
    with transaction() as db:
        return reports(db, keys, run_id, DAY, body)


@contextmanager
def a_deliverer() -> Iterator[Deliverer]:
    """One that is never tidy: its session is closed as by a kill."""
    with configured().connect() as db:
        session = cast("psycopg.Connection[Any]", db.connection.driver_connection).info.backend_pid
        yield Deliverer(db, "UTC", Channel.MAIL)
        db.invalidate()
    while _lives(session):  # the server sees that it is closed a moment later
        time.sleep(0.01)


def _lives(session: int) -> bool:
    with transaction() as db:
        found = db.execute(text("SELECT count(*) FROM pg_stat_activity WHERE pid = :pid"), {"pid": session})
        return bool(found.scalar())


def soon() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=5)


def states() -> dict[str, str]:
    with transaction() as db:
        return {row.key: row.state for row in db.execute(text("SELECT key, state FROM messages"))}


def test_a_message_is_queued_once(run_id: UUID) -> None:
    assert queue(run_id, "a", "b") == ["a", "b"]
    assert queue(run_id, "b", "c") == ["c"]
    assert set(states()) == {"a", "b", "c"}


def test_a_withheld_message_has_no_body_and_is_never_claimed(run_id: UUID) -> None:
    queue(run_id, "a", body=None)
    assert states() == {"a": "withheld"}
    queue(run_id, "a")
    with a_deliverer() as deliverer:
        assert list(deliverer.claims(soon(), 10)) == []


def test_what_was_queued_is_what_is_claimed(run_id: UUID) -> None:
    queue(run_id, "a")
    with a_deliverer() as deliverer:
        [claimed] = deliverer.claims(soon(), 10)
    assert (claimed.key, claimed.recipient, claimed.body, claimed.failures) == ("a", "r@example.com", BODY, 0)


def test_two_deliverers_never_hold_the_same_message(run_id: UUID) -> None:
    queue(run_id, *map(str, range(30)))
    with a_deliverer() as one, a_deliverer() as other:
        first, second = one.claims(soon(), 20), other.claims(soon(), 20)
        mine, theirs = {next(first).key for _ in range(20)}, {claimed.key for claimed in second}
    assert len(mine) == 20
    assert len(theirs) == 10
    assert not mine & theirs


def test_a_sent_message_leaves_its_digest_and_no_body(run_id: UUID) -> None:
    queue(run_id, "a")
    with a_deliverer() as deliverer:
        [claimed] = deliverer.claims(soon(), 10)
        attempt = deliverer.begin(claimed, "maildir:/m")
        assert attempt
        deliverer.settle(attempt.attempt, SENT)
    with transaction() as db:
        [row] = db.execute(text("SELECT state, digest, sent_at, claimed_by FROM messages"))
        assert (row.state, row.digest, row.claimed_by) == ("sent", "digest", None)
        assert row.sent_at
        assert db.execute(text("SELECT count(*) FROM message_bodies")).scalar() == 0
        [tried] = db.execute(text("SELECT outcome, reply, finished_at FROM message_attempts"))
        assert (tried.outcome, tried.reply) == ("sent", "250 ok")


def test_what_is_tried_again_waits(run_id: UUID) -> None:
    queue(run_id, "a")
    with a_deliverer() as deliverer:
        [claimed] = deliverer.claims(soon(), 10)
        attempt = deliverer.begin(claimed, "smtp:h:25")
        assert attempt
        deliverer.settle(attempt.attempt, Settlement(State.QUEUED, "deferred", "451", wait=timedelta(minutes=5)))
        assert list(deliverer.claims(soon(), 10)) == []
        [again] = deliverer.claims(soon() + timedelta(minutes=6), 10)
    assert again.failures == 1


def test_a_dead_deliverers_claims_are_free_and_what_it_began_is_in_doubt(run_id: UUID) -> None:
    queue(run_id, "begun", "claimed")
    with a_deliverer() as deliverer:
        begun, _ = deliverer.claims(soon(), 10)
        deliverer.begin(begun, "maildir:/m")
        with transaction() as db:
            assert outbox.release_abandoned(db) == 0  # it lives
    with transaction() as db:
        assert outbox.release_abandoned(db) == 1
        assert outbox.in_doubt(db, "maildir:/m") == ["begun"]
        assert outbox.in_doubt(db, "smtp:h:25") == []  # evidence of it is elsewhere
    with a_deliverer() as deliverer:
        assert [claimed.key for claimed in deliverer.claims(soon(), 10)] == ["claimed"]


def test_a_lease_that_ran_out_frees_a_hanging_deliverers_claims(run_id: UUID) -> None:
    queue(run_id, "begun", "claimed")
    with a_deliverer() as hanging:
        begun, claimed = hanging.claims(soon(), 10)
        attempt = hanging.begin(begun, "smtp:h:25")
        with transaction() as db:
            db.execute(text("UPDATE messages SET lease_until = now() - interval '1 second'"))
        with transaction() as db:
            assert outbox.release_abandoned(db) == 1
        assert hanging.begin(claimed, "smtp:h:25") is None  # no longer its own
        assert attempt
        hanging.settle(attempt.attempt, SENT)  # but it knows best how this one ended
    assert states() == {"begun": "sent", "claimed": "queued"}


def test_an_operators_decision_stands_against_a_late_deliverer(run_id: UUID) -> None:
    queue(run_id, "a")
    with a_deliverer() as late:
        [claimed] = late.claims(soon(), 10)
        attempt = late.begin(claimed, "smtp:h:25")
        with transaction() as db:
            db.execute(text("UPDATE messages SET lease_until = now() - interval '1 second'"))
        with transaction() as db:
            outbox.release_abandoned(db)
            assert outbox.resolve(db, ["a"], State.QUEUED, [State.IN_DOUBT]) == ["a"]
        assert attempt
        late.settle(attempt.attempt, SENT)
    assert states() == {"a": "queued"}


def test_a_decision_changes_only_what_it_fits(run_id: UUID) -> None:
    queue(run_id, "a")
    with transaction() as db:
        assert outbox.resolve(db, ["a", "unknown"], State.SENT, [State.IN_DOUBT]) == []
        assert outbox.resolve(db, ["a"], State.CANCELLED, [State.QUEUED]) == ["a"]
        assert db.execute(text("SELECT count(*) FROM message_bodies")).scalar() == 0
    assert states() == {"a": "cancelled"}


def test_leaving_gives_back_what_was_not_begun(run_id: UUID) -> None:
    queue(run_id, "a", "b")
    with outbox.delivering("UTC") as deliverer:
        next(deliverer.claims(soon(), 10))
    with a_deliverer() as next_one:
        assert {claimed.key for claimed in next_one.claims(soon(), 10)} == {"a", "b"}
