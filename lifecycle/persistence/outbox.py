"""The outbox: messages written with the facts that cause them, and what became of each.

Safety case. A message is claimed (``claimed_by``, ``lease_until``), then begun (``sending``, with an attempt row), then
settled, each in a transaction of its own. A deliverer is alive while its session holds an advisory lock, which
PostgreSQL takes from it the moment it dies; the lease covers one that hangs. So a message that was claimed but not
begun is free again at once, and one that was begun and not settled is in doubt: it may have been sent, and is never
sent again without evidence or an operator's word. A call carries its key to the other system, which does not carry it
out twice: it is simply repeated. The calls of one subscription leave in the order in which they were written.

The statement that begins a mail to a customer asks the gate: without a basis at that moment the mail is cancelled. What
was sent is logged as a contact by the statement that settles it.
"""

import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple, cast
from uuid import UUID

import psycopg
from sqlalchemy import Connection, Row, bindparam, insert, text
from sqlalchemy.dialects.postgresql import insert as upsert

from lifecycle.persistence import installation
from lifecycle.persistence.contact import gate
from lifecycle.persistence.database import configured
from lifecycle.persistence.tables import message_bodies, messages
from lifecycle.rules.contact import Allowed
from lifecycle.rules.outbox import LEASE, Channel, State
from lifecycle.rules.unsubscribing import Unsubscribing

# The classes of our advisory locks; any numbers that are no one else's.
_DELIVERERS = 0x11FE
_ALONE = 0x11FF

_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Body:
    subject: str
    text: str
    html: str
    attachment: tuple[str, str, bytes] | None = None
    """File name, media type, content."""
    unsubscribing: Unsubscribing | None = None
    """Of mails that are written as they are sent, those that carry it."""


@dataclass(frozen=True, slots=True)
class Message:
    """A mail to be queued, or `withheld`: recorded, never sent. Without a body it is written as it is sent."""

    key: str
    kind: str
    recipient: str
    recipient_name: str
    business_date: date
    run_id: UUID
    body: Body | None = None
    withheld: bool = False
    reseller_id: int | None = None
    customer_id: int | None = None
    to_operator_id: int | None = None
    motive: str | None = None
    operator: str | None = None
    allowed: Allowed | None = None
    """What the gate said of the customer."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A message that is ours to send: with its body, or with the facts of which it is written."""

    id: int
    key: str
    kind: str
    recipient: str
    recipient_name: str
    business_date: date
    created_at: datetime
    failures: int
    facts: dict[str, Any] | None
    body: Body | None


@dataclass(frozen=True, slots=True)
class Settlement:
    """How an attempt ended."""

    state: State
    outcome: str
    reply: str
    digest: str | None = None
    wait: timedelta | None = None


class Begun(NamedTuple):
    """An attempt; `missing` is why the gate did not let it leave: the attempt has ended, the message is cancelled."""

    attempt: int
    missing: str | None


class Ended(NamedTuple):
    attempt: int
    how: Settlement


def queue(db: Connection, outgoing: Sequence[Message]) -> list[str]:
    """Write messages whose key is new. Returns the keys that were."""
    if not outgoing:
        return []
    rows = [
        {
            "key": m.key,
            "kind": m.kind,
            "state": State.WITHHELD if m.withheld else State.QUEUED,
            "recipient": m.recipient,
            "recipient_name": m.recipient_name,
            "business_date": m.business_date,
            "run_id": m.run_id,
            "reseller_id": m.reseller_id,
            "customer_id": m.customer_id,
            "to_operator_id": m.to_operator_id,
            "motive": m.motive,
            "operator": m.operator,
            "basis": m.allowed and m.allowed.basis,
            "consent_id": m.allowed and m.allowed.consent,
        }
        for m in outgoing
    ]
    statement = upsert(messages).on_conflict_do_nothing(index_elements=["key"]).returning(messages.c.id, messages.c.key)
    added: dict[str, int] = {key: id_ for id_, key in db.execute(statement, rows)}
    bodies = [_body_row(added[m.key], m.body) for m in outgoing if m.key in added and m.body is not None]
    if bodies:
        db.execute(insert(message_bodies), bodies)
    return list(added)


def _body_row(message_id: int, body: Body) -> dict[str, Any]:
    name, media_type, content = body.attachment or (None, None, None)
    return {
        "message_id": message_id,
        "subject": body.subject,
        "text": body.text,
        "html": body.html,
        "attachment_name": name,
        "attachment_type": media_type,
        "attachment": content,
    }


def _claimed(row: Row[Any]) -> Claimed:
    return Claimed(
        row.id,
        row.key,
        row.kind,
        row.recipient,
        row.recipient_name,
        row.business_date,
        row.created_at,
        row.failures,
        row.facts,
        Body(row.subject, row.text, row.html, _attachment(row)) if row.subject is not None else None,
    )


def _attachment(row: Row[Any]) -> tuple[str, str, bytes] | None:
    return (row.attachment_name, row.attachment_type, row.attachment) if row.attachment_name else None


NOT_ALLOWED = "not sent: no basis any more"
"""The outcome of an attempt that the gate stopped."""

_CONTACT_CHANNEL = "CASE messages.channel WHEN 'bulk' THEN 'bulk' ELSE 'single' END"

# Of a message that rests on a consent, the motive that stood by was not used.
_LOG = f"""
    INSERT INTO contacts (
        key, customer_id, channel, basis, consent_id, motive, operator, business_date, run_id)
    SELECT key, customer_id, {_CONTACT_CHANNEL.replace("messages.", "")}, basis, consent_id,
        CASE WHEN basis IN ('duty', 'motive') THEN motive END, operator, asked_on, run_id
    FROM {{sent}}
    WHERE state = 'sent' AND channel <> 'call' AND customer_id IS NOT NULL
    ON CONFLICT (key) DO NOTHING"""

_ABANDONED = f"""
    (lease_until < now() OR claimed_by::bigint NOT IN (
        SELECT objid::bigint FROM pg_locks JOIN pg_database ON pg_database.oid = database
        WHERE locktype = 'advisory' AND classid = {_DELIVERERS} AND datname = current_database()))"""


def release_abandoned(db: Connection) -> int:
    """Free what dead deliverers had claimed; mails that they had begun are in doubt. Returns how many now are."""
    db.execute(
        text(f"""
        UPDATE messages SET claimed_by = NULL, lease_until = NULL
        WHERE state = 'queued' AND claimed_by IS NOT NULL AND {_ABANDONED}""")
    )
    db.execute(
        text(f"""
        UPDATE messages SET state = 'queued', claimed_by = NULL, lease_until = NULL
        WHERE state = 'sending' AND channel = 'call' AND {_ABANDONED}""")
    )
    doubted = db.execute(text(f"UPDATE messages SET state = 'in_doubt' WHERE state = 'sending' AND {_ABANDONED}"))
    return doubted.rowcount


_CLAIM = text("""
WITH chosen AS MATERIALIZED (
    SELECT id FROM messages
    WHERE channel = :channel AND state = 'queued' AND claimed_by IS NULL AND due_at <= :until
        AND (due_at, id) > (:after, :after_id)
        AND NOT EXISTS (
            SELECT FROM messages AS earlier
            WHERE messages.channel = 'call' AND earlier.channel = 'call' AND earlier.id < messages.id
                AND earlier.subscription_id = messages.subscription_id AND earlier.state IN ('queued', 'sending'))
    ORDER BY due_at, id LIMIT :most
    FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE messages SET claimed_by = :deliverer, lease_until = now() + :lease
    FROM chosen WHERE messages.id = chosen.id
    RETURNING messages.*
)
SELECT id, key, kind, recipient, recipient_name, business_date, created_at, due_at, failures, facts,
    subject, text, html, attachment_name, attachment_type, attachment
FROM claimed LEFT JOIN message_bodies ON message_id = id
ORDER BY due_at, id
""")


# One statement, and so one round trip and one commit, settles an attempt and begins the next; either may be null.
# A deliverer that was taken for dead and was not still knows best: it may settle what is in doubt.
# For the driver itself: this runs once for every message, and SQLAlchemy would take longer over it than PostgreSQL.
_ADVANCE = f"""
WITH attempt AS (
    UPDATE message_attempts SET finished_at = clock_timestamp(), outcome = %(outcome)s,
        -- It can repeat an address: not of a customer who was erased since.
        reply = (SELECT %(reply)s::text FROM messages WHERE messages.id = message_id AND claimed_by = worker)
    WHERE id = %(attempt)s RETURNING message_id, worker
), settled AS (
    UPDATE messages SET state = %(state)s, digest = coalesce(%(digest)s, digest),
        sent_at = CASE WHEN %(state)s = 'sent' THEN clock_timestamp() END,
        failures = failures + (CASE WHEN %(state)s = 'queued' THEN 1 ELSE 0 END),
        due_at = CASE WHEN %(state)s = 'queued' THEN now() + %(wait)s ELSE due_at END,
        claimed_by = CASE WHEN %(state)s = 'in_doubt' THEN claimed_by END, lease_until = NULL
    FROM attempt
    WHERE id = message_id AND claimed_by = worker AND state IN ('sending', 'in_doubt')
    RETURNING messages.*
), logged AS ({_LOG.format(sent="settled")}
), asked AS (
    SELECT messages.id, allowed.basis, allowed.consent_id, allowed.missing, day
    FROM messages
    CROSS JOIN LATERAL (
        SELECT (greatest(%(until)s, clock_timestamp()) AT TIME ZONE %(zone)s)::date AS day) AS business
    LEFT JOIN LATERAL {gate("customer_id", _CONTACT_CHANNEL, "motive", "day")} AS allowed
        ON channel <> 'call' AND customer_id IS NOT NULL
    WHERE messages.id = %(message)s
), begun AS (
    UPDATE messages SET state = CASE WHEN missing IS NULL THEN 'sending' ELSE 'cancelled' END,
        claimed_by = CASE WHEN missing IS NULL THEN claimed_by END,
        lease_until = CASE WHEN missing IS NULL THEN now() + %(lease)s END,
        basis = asked.basis, consent_id = asked.consent_id, asked_on = day
    FROM asked
    WHERE messages.id = asked.id AND state = 'queued' AND claimed_by = %(deliverer)s
    RETURNING messages.id, missing
), dropped AS (
    DELETE FROM message_bodies
    USING (
        SELECT id FROM settled WHERE state = 'sent' UNION ALL SELECT id FROM begun WHERE missing IS NOT NULL
    ) AS done
    WHERE message_id = done.id
)
INSERT INTO message_attempts (message_id, worker, carrier, started_at, finished_at, outcome, reply)
SELECT id, %(deliverer)s, %(carrier)s, clock_timestamp(), CASE WHEN missing IS NOT NULL THEN clock_timestamp() END,
    CASE WHEN missing IS NOT NULL THEN '{NOT_ALLOWED}' END, missing
FROM begun
RETURNING id, reply
"""


class Deliverer:
    """One session that delivers over one channel. By its advisory lock the others know that it lives.

    There is none for a copy of another installation's database: it raises ForeignEnvironment.
    """

    def __init__(self, db: Connection, zone: str, channel: Channel) -> None:
        self._channel = channel
        self._zone = zone
        self._until = datetime.min.replace(tzinfo=UTC)
        # Every step is one statement, which is a transaction by itself without a BEGIN and a COMMIT of ours.
        self._db = db.execution_options(isolation_level="AUTOCOMMIT")
        installation.require_own(self._db)
        self._driver = cast("psycopg.Connection[tuple[int, str | None]]", self._db.connection.driver_connection)
        self._number = secrets.randbelow(2**31)
        # What is queued comes in bursts, of which the planner's statistics know nothing: it would collect and sort the
        # whole queue for every claim instead of walking along the index.
        self._db.execute(
            text(f"SELECT pg_advisory_lock({_DELIVERERS}, :number), set_config('enable_bitmapscan', 'off', false)"),
            {"number": self._number},
        )

    def alone(self) -> bool:
        """Whether this is the one deliverer of all that want to be alone; it is so until its session ends.

        Of a machine that vanished the server would learn only hours later: it ends a session that is silent for longer
        than a lease.
        """
        alone: bool = self._db.execute(
            text("""
            SELECT pg_try_advisory_lock(:lock, :channel), set_config('idle_session_timeout', :lease, false)"""),
            {"lock": _ALONE, "channel": list(Channel).index(self._channel), "lease": str(LEASE // _MILLISECOND)},
        ).scalar_one()
        return alone

    def claims(self, until: datetime, at_once: int) -> Iterator[Claimed]:
        """Messages that are ours to send and were due by `until`, oldest first, `at_once` claimed together.

        Walks along the queue once: what is put before the place it has reached is for the next deliverer. So it always
        ends, and never passes the index entries of what was sent before, which stay there until the next VACUUM.
        """
        self._until = until
        after, after_id = datetime.min.replace(tzinfo=UTC), 0
        while rows := self._claim(until, at_once, after, after_id):
            yield from (_claimed(row) for row in rows)
            after, after_id = rows[-1].due_at, rows[-1].id

    def _claim(self, until: datetime, at_once: int, after: datetime, after_id: int) -> Sequence[Row[Any]]:
        claim = {
            "channel": self._channel,
            "deliverer": str(self._number),
            "until": until,
            "after": after,
            "after_id": after_id,
            "most": at_once,
            "lease": LEASE,
        }
        return self._db.execute(_CLAIM, claim).all()

    def begin(self, message: Claimed, carrier: str, ended: Ended | None = None) -> Begun | None:
        """Say, before it is handed to `carrier`, that it will be. Returns the attempt; None: it is no longer ours.

        Its customer is at the gate once more, for today, or for the day of `until`, where that is yet to come. Settles
        what `ended` before it in the same transaction: that halves the commits, on which delivery waits most.
        """
        return self._advance(ended, message.id, carrier)

    def settle(self, attempt: int, how: Settlement) -> None:
        """Record how an attempt ended; a sent message's body is dropped."""
        self._advance(Ended(attempt, how), None, None)

    def _advance(self, ended: Ended | None, message: int | None, carrier: str | None) -> Begun | None:
        attempt, how = ended or (None, None)
        step = {
            "attempt": attempt,
            "state": how and how.state.value,
            "outcome": how and how.outcome,
            "reply": how and how.reply,
            "digest": how and how.digest,
            "wait": how and how.wait,
            "message": message,
            "deliverer": str(self._number),
            "carrier": carrier,
            "lease": LEASE,
            "until": self._until,
            "zone": self._zone,
        }
        begun = self._driver.execute(_ADVANCE, step).fetchone()
        return Begun(*begun) if begun else None

    def leave(self) -> None:
        """Free what is claimed and not begun."""
        self._db.execute(
            text("UPDATE messages SET claimed_by = NULL WHERE state = 'queued' AND claimed_by = :deliverer"),
            {"deliverer": str(self._number)},
        )


@contextmanager
def delivering(zone: str, channel: Channel = Channel.MAIL) -> Iterator[Deliverer]:
    """A deliverer with a session of its own. `zone` is the business time zone: it makes days of moments."""
    with configured().connect() as db:
        try:
            deliverer = Deliverer(db, zone, channel)
            yield deliverer
            deliverer.leave()
        finally:
            db.invalidate()  # closes the session: what it held is free, its lock is gone


def in_doubt(db: Connection, carrier: str) -> list[str]:
    """The keys of the messages in doubt that were last handed to `carrier`."""
    rows = db.execute(
        text("""
        SELECT key FROM messages
        WHERE state = 'in_doubt' AND :carrier = (
            SELECT carrier FROM message_attempts WHERE message_id = messages.id ORDER BY id DESC LIMIT 1)"""),
        {"carrier": carrier},
    )
    return list(rows.scalars())


_TO_THE_ERASED = """(
    channel <> 'call' AND EXISTS (SELECT FROM customers WHERE customers.id = customer_id AND erased_on IS NOT NULL))"""

_RESOLVE = text(f"""
WITH resolved AS (
    UPDATE messages SET state = :state, claimed_by = NULL, lease_until = NULL, due_at = now(),
        recipient = CASE
            WHEN :state <> 'queued' OR channel = 'call' THEN recipient
            ELSE coalesce(
                (SELECT email FROM customers WHERE customers.id = customer_id),
                (SELECT email FROM resellers WHERE resellers.id = reseller_id),
                (SELECT email FROM operators WHERE operators.id = to_operator_id), recipient) END,
        sent_at = CASE WHEN :state = 'sent' THEN clock_timestamp() END
    WHERE key = ANY(:keys) AND state = ANY(:from_states) AND NOT (:state = 'queued' AND {_TO_THE_ERASED})
    RETURNING messages.*
), logged AS ({_LOG.format(sent="resolved")}
), dropped AS (
    DELETE FROM message_bodies USING resolved WHERE message_id = id AND :state IN ('sent', 'cancelled')
)
SELECT key FROM resolved
""").bindparams(bindparam("state", type_=messages.c.state.type))


def resolve(db: Connection, keys: Sequence[str], state: State, from_states: Sequence[State]) -> list[str]:
    """Move messages that are in one of `from_states` to `state`. Returns the keys that were moved.

    What is queued again goes to the address that is on record now: a wrong one is the commonest reason. A mail to a
    customer who is erased is not.
    """
    found = db.execute(_RESOLVE, {"keys": keys, "state": state, "from_states": list(from_states)})
    return list(found.scalars())


def to_the_erased(db: Connection, keys: Sequence[str]) -> set[str]:
    """Those of `keys` that are of mails to customers who are erased."""
    found = db.execute(text(f"SELECT key FROM messages WHERE key = ANY(:keys) AND {_TO_THE_ERASED}"), {"keys": keys})
    return set(found.scalars())


def listed(db: Connection, states: Sequence[State], most: int) -> list[Row[Any]]:
    """Messages in these states, oldest first, with the number of tries and the last reply."""
    return list(
        db.execute(
            text("""
            SELECT key, kind, state, due_at, attempt.tries, attempt.reply
            FROM messages LEFT JOIN LATERAL (
                SELECT count(*) AS tries, (array_agg(reply ORDER BY id DESC))[1] AS reply
                FROM message_attempts WHERE message_id = messages.id
            ) AS attempt ON true
            WHERE state = ANY(:states) ORDER BY created_at, messages.id LIMIT :most"""),
            {"states": list(states), "most": most},
        )
    )


def backlog(db: Connection) -> Counter[str]:
    """How many messages wait or need a person, by state."""
    rows = db.execute(
        text("""
        SELECT state, count(*) AS number FROM messages
        WHERE state IN ('queued', 'sending', 'in_doubt', 'failed') GROUP BY state""")
    )
    return Counter({row.state: row.number for row in rows})
