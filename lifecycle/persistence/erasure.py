"""Erasure: whom an administrator is shown, and their irreversible anonymisation.

Safety case. Only who was shown and not taken out is erased, in portions of one transaction each, one after the other. A
portion first waits for whoever has read of customers what it is still to write, an import, a document or mails, and
keeps them waiting. Then it locks its customers, their subscriptions and their messages, in the order of their ids:
whoever adds an appointment, a subscription, a term, a payment or a hold waits for it, or is waited for, as does a mail
that begins to leave. Then each customer is looked at once more, and left out where there is anything to keep it for.
What goes is what the tables declare. A kill leaves a portion done or not begun: run again, it goes on with those who
are still only shown. After the commit the portion is written into the ledger, and what lies outside of the tables is
cleared.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from sqlalchemy import Column, Connection, Table, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from lifecycle.persistence import installation, turns
from lifecycle.persistence.database import configured
from lifecycle.persistence.holds import held
from lifecycle.persistence.segment import conditions
from lifecycle.persistence.tables import metadata
from lifecycle.rules.erasure import (
    ACTIVE_AGAIN,
    ERASED_BEFORE,
    MOST_SHOWN,
    CandidateState,
    Criteria,
    Erasure,
    ErasureState,
    Fate,
    Kept,
    digest,
)
from lifecycle.rules.instalments import OWED
from lifecycle.rules.languages import Locale
from lifecycle.rules.records import start_of_day
from lifecycle.rules.segment import Segment


class NothingChanged(Exception):
    """A customer who was to be erased is as it was: a success must never be said of that."""


class Candidate(NamedTuple):
    """Whom an erasure shows. `name` is personal."""

    id: int
    code: str
    name: str
    last_appointment_on: date | None


class KeptCustomer(NamedTuple):
    """An inactive customer who is not erased. `name` is personal."""

    code: str
    name: str
    last_appointment_on: date | None
    reasons: tuple[Kept, ...]


@dataclass(frozen=True, slots=True)
class Scope:
    """Among whom is looked, and by which criteria."""

    criteria: Criteria
    segment: Segment
    zone: ZoneInfo
    default_locale: Locale


@dataclass(slots=True)
class Found:
    """Who is inactive. `candidates` and `kept` are cut at MOST_SHOWN, those inactive for longest first.

    `inactive` and `reasons` count all of them; who is kept for several reasons is counted with each.
    """

    candidates: list[Candidate] = field(default_factory=list)
    kept: list[KeptCustomer] = field(default_factory=list)
    inactive: Counter[str] = field(default_factory=Counter)
    reasons: Counter[Kept] = field(default_factory=Counter)


_EXPIRING = """EXISTS (
    SELECT FROM subscriptions AS subscription
    JOIN products AS product ON product.id = product_id
    LEFT JOIN subscription_status AS standing ON subscription_id = subscription.id
    WHERE subscription.customer_id = customer.id AND {})"""

# As `rules.erasure.decide`, of one `customer`.
_OWED = ", ".join(f"'{status}'" for status in sorted(OWED))
_REASONS = {
    Kept.UNEXPIRED: _EXPIRING.format("expires_on >= :day"),
    Kept.NOT_CLOSED: _EXPIRING.format("""coalesce(expires_on < :day, true)
        AND coalesce(status, 'active') NOT IN ('disabled', 'deleted', 'withdrawn', 'ended')
        AND policy <> 'custom'"""),
    Kept.OPEN_CARD: "EXISTS (SELECT FROM cards WHERE cards.customer_id = customer.id AND state = 'open')",
    Kept.OWED: f"""(EXISTS (
        SELECT FROM allocations WHERE allocations.customer_id = customer.id AND purpose = 'credit'
        GROUP BY currency HAVING sum(amount) <> 0)
    OR EXISTS (
        SELECT FROM subscriptions JOIN instalments ON subscription_id = subscriptions.id
        WHERE customer_id = customer.id AND instalments.status IN ({_OWED})))""",
    Kept.HOLD: held("customer.id", ":day"),
    Kept.BEING_SENT: "EXISTS (SELECT FROM messages WHERE messages.customer_id = customer.id AND state = 'sending')",
}
_CASES = ", ".join(f"CASE WHEN {holds} THEN '{reason}' END" for reason, holds in _REASONS.items())
_KEPT = f"array_remove(ARRAY[{_CASES}], NULL)"
_ACTIVE = """EXISTS (
    SELECT FROM appointments WHERE appointments.customer_id = customer.id AND starts_at >= :since_at)"""

_FIND = f"""
SELECT customer.id, code, name, (last.starts_at AT TIME ZONE :zone)::date AS last_appointment_on, {_KEPT} AS kept
FROM customers AS customer
LEFT JOIN LATERAL (
    SELECT max(starts_at) AS starts_at FROM appointments WHERE appointments.customer_id = customer.id
) AS last ON true
WHERE erased_on IS NULL AND coalesce(created_on, (recorded_at AT TIME ZONE :zone)::date) <= :since AND NOT {_ACTIVE}
    AND {{segment}}
ORDER BY last.starts_at NULLS FIRST, customer.id"""


def find(db: Connection, scope: Scope) -> Found:
    """Who is inactive by the criteria: who may be erased, and who is kept and why."""
    criteria = scope.criteria
    end_of_day = start_of_day(criteria.day + timedelta(days=1), scope.zone)
    condition, asked = conditions(scope.segment, criteria.day, end_of_day, scope.default_locale)
    about = {
        "day": criteria.day,
        "since": criteria.since,
        "since_at": start_of_day(criteria.since, scope.zone),
        "zone": scope.zone.key,
    }
    found = Found()
    rows = db.execute(text(_FIND.format(segment=condition)), about | asked, execution_options={"yield_per": 5_000})
    for id_, code, name, last, kept in rows:
        reasons = tuple(map(Kept, kept))
        shown: list[Any] = found.kept if reasons else found.candidates
        found.inactive["kept" if reasons else "found"] += 1
        found.reasons.update(reasons)
        if len(shown) < MOST_SHOWN:
            shown.append(KeptCustomer(code, name, last, reasons) if reasons else Candidate(id_, code, name, last))
    return found


def show(db: Connection, scope: Scope, found: Found, run_id: UUID, prefect_id: UUID | None, wait: timedelta) -> Erasure:
    """Write down whom an administrator is shown: an approval is bound to exactly these, and possible for `wait`.

    `prefect_id` is the run that shows them and waits. From now on names may be among its artifacts: remembered before
    there are any, they are found and removed whatever dies in between.
    """
    criteria, id_ = scope.criteria, uuid4()
    about = {
        "id": id_,
        "run_id": run_id,
        "day": criteria.day,
        "period": criteria.period,
        "since": criteria.since,
        "segment": str(scope.segment),
        "digest": digest(criteria, scope.segment, ((it.code, it.last_appointment_on) for it in found.candidates)),
        "inactive": found.inactive,
        "kept": dict(sorted(found.reasons.items())),
        "wait": wait,
        "prefect_id": prefect_id,
    }
    db.execute(_SHOW, about)
    shown = {
        "erasure": id_,
        "customers": [it.id for it in found.candidates],
        "days": [it.last_appointment_on for it in found.candidates],
    }
    db.execute(
        text("""
        INSERT INTO erasure_candidates (erasure_id, customer_id, last_appointment_on)
        SELECT :erasure, * FROM unnest(cast(:customers AS bigint[]), cast(:days AS date[]))"""),
        shown,
    )
    return read(db, id_)


_SHOW = text("""
INSERT INTO erasures (
    id, run_id, business_date, period, since, segment, digest, state, inactive, kept, lapses_at, prefect_flow_run_id,
    preview)
VALUES (
    :id, :run_id, :day, :period, :since, :segment, :digest, 'waiting', :inactive, :kept, now() + :wait, :prefect_id,
    cast(:prefect_id AS uuid) IS NOT NULL)
""").bindparams(bindparam("inactive", type_=JSONB), bindparam("kept", type_=JSONB))

_ERASURE = """
SELECT id, business_date, since, period, digest, state, lapses_at, prefect_flow_run_id, preview, answers, inactive,
    kept, approved_by
FROM erasures"""


def _erasures(db: Connection, condition: str, asked: dict[str, Any]) -> list[Erasure]:
    rows = db.execute(text(f"{_ERASURE} WHERE {condition} ORDER BY shown_at DESC, id"), asked)
    return [Erasure(**dict(row) | {"state": ErasureState(row["state"])}) for row in rows.mappings()]


def read(db: Connection, erasure: UUID) -> Erasure:
    (found,) = _erasures(db, "id = :id", {"id": erasure})
    return found


def of_prefect_run(db: Connection, prefect_id: UUID) -> Erasure | None:
    """What this Prefect run has shown before it waited, or was started anew."""
    return next(iter(_erasures(db, "prefect_flow_run_id = :id", {"id": prefect_id})), None)


_OPEN = "(state = 'waiting' AND lapses_at > now() OR state = 'approved')"


def by_digest(db: Connection, digest: str) -> list[Erasure]:
    """Those shown under that digest that wait for an administrator or are carried out, the last one shown first."""
    return _erasures(db, f"digest = :digest AND {_OPEN}", {"digest": digest})


def by_criteria(db: Connection, period: str, segment: Segment) -> list[Erasure]:
    """Those of these criteria that wait for an administrator or are carried out, the last one shown first."""
    asked = {"period": period, "segment": str(segment)}
    return _erasures(db, f"period = :period AND segment = :segment AND {_OPEN}", asked)


def unfinished(db: Connection) -> list[Erasure]:
    """Those that somebody has to see to: they wait, are approved and not done, or names may be in Prefect still."""
    return _erasures(db, "state IN ('waiting', 'approved') OR preview", {})


def count_answer(db: Connection, erasure: UUID) -> bool:
    """Remember that an answer was not accepted: it is never looked at again. False: the erasure waits no more."""
    counted = db.execute(
        text("""
        UPDATE erasures SET answers = answers + 1
        WHERE id = :erasure AND state = 'waiting' AND lapses_at > now()"""),
        {"erasure": erasure},
    )
    return counted.rowcount == 1


def end_of_run(db: Connection, erasure: UUID) -> ErasureState:
    """The run that showed it has ended: what it showed is gone, and what waited for it is void. Returns the state."""
    return ErasureState(
        db.execute(
            text("""
            UPDATE erasures SET preview = false, state = CASE
                WHEN state <> 'waiting' THEN state WHEN lapses_at <= now() THEN 'lapsed' ELSE 'refused' END
            WHERE id = :erasure RETURNING state"""),
            {"erasure": erasure},
        ).scalar_one()
    )


def unknown(db: Connection, erasure: UUID, codes: Sequence[str]) -> list[str]:
    """Those of the codes that are nobody's of whom the erasure shows."""
    return list(
        db.execute(
            text("""
            SELECT code FROM unnest(cast(:codes AS text[])) AS given (code) WHERE code NOT IN (
                SELECT code FROM erasure_candidates JOIN customers ON customers.id = customer_id
                WHERE erasure_id = :erasure)"""),
            {"codes": list(codes), "erasure": erasure},
        ).scalars()
    )


def taken_out(db: Connection, erasure: UUID) -> set[str]:
    """The codes of those whom the approval took out."""
    asked = text("""
        SELECT code FROM erasure_candidates JOIN customers ON customers.id = customer_id
        WHERE erasure_id = :erasure AND erasure_candidates.state = 'taken out'""")
    return set(db.execute(asked, {"erasure": erasure}).scalars())


def approve(db: Connection, erasure: UUID, operator: str, taken_out: Sequence[str]) -> bool:
    """Approve it without these customers, by their codes. False: it does not wait any more.

    Raises ForeignEnvironment.
    """
    installation.require_own(db)
    approved = db.execute(
        text("""
        UPDATE erasures SET state = 'approved', approved_by = :operator, approved_at = clock_timestamp()
        WHERE id = :erasure AND state = 'waiting' AND lapses_at > now()"""),
        {"erasure": erasure, "operator": operator},
    )
    db.execute(
        text("""
        UPDATE erasure_candidates SET state = 'taken out'
        WHERE erasure_id = :erasure AND :approved
            AND customer_id IN (SELECT id FROM customers WHERE code = ANY(:codes))"""),
        {"erasure": erasure, "approved": approved.rowcount == 1, "codes": list(taken_out)},
    )
    return approved.rowcount == 1


def refuse(db: Connection, erasure: UUID) -> bool:
    """Refuse one that waits. False: it does not wait any more."""
    refused = db.execute(
        text("UPDATE erasures SET state = 'refused' WHERE id = :erasure AND state = 'waiting'"), {"erasure": erasure}
    )
    return refused.rowcount == 1


def still_shown(db: Connection, erasure: UUID) -> list[int]:
    """The customers of whom it is still to be decided, by id."""
    return list(
        db.execute(
            text("""
            SELECT customer_id FROM erasure_candidates
            WHERE erasure_id = :erasure AND state = 'shown' ORDER BY customer_id"""),
            {"erasure": erasure},
        ).scalars()
    )


def erase(db: Connection, erasure: Erasure, customers: Sequence[int], erased_on: date, zone: ZoneInfo) -> Counter[str]:
    """Erase those of the customers who are still only shown, and leave out whom there is anything to keep for.

    One transaction, the caller's. Returns counts by what became of them: "erased", "left out: REASON".
    Raises NothingChanged where one that should be erased is as it was.
    """
    begin(db)
    db.execute(_CHOOSE, {"erasure": erasure.id, "customers": list(customers)})
    lock(db)
    left_out = _leave_out(db, erasure, zone)
    erased = anonymise(db, erasure.id, erased_on)
    return left_out + Counter({CandidateState.ERASED.value: erased})


def keep_out(db: Connection) -> None:
    """From here to the end of the transaction nobody is erased. To be called before any row is locked.

    For whoever writes what it has read of customers: an import by what they were, a document or mails with their names.
    A statement that reads a name and then waits for an erasure would write it all the same.
    """
    db.execute(text(f"SELECT pg_advisory_xact_lock_shared({turns.ERASURE})"))


def await_writers(db: Connection) -> None:
    """Wait for those who keep erasures out; until this transaction ends, they wait for it."""
    db.execute(text(f"SELECT pg_advisory_xact_lock({turns.ERASURE})"))


def begin(db: Connection) -> None:
    """Wait for those who keep erasures out; then make the table of who is being erased, for this transaction.

    Raises ForeignEnvironment: nothing is erased that is not in this table, and in a copy nothing at all.
    """
    installation.require_own(db)
    await_writers(db)
    db.execute(text("CREATE TEMPORARY TABLE erasing (customer_id bigint PRIMARY KEY) ON COMMIT DROP"))


_CHOOSE = text("""
WITH chosen AS (
    SELECT customer_id FROM erasure_candidates
    WHERE erasure_id = :erasure AND customer_id = ANY(:customers) AND state = 'shown' ORDER BY customer_id FOR UPDATE
)
INSERT INTO erasing SELECT customer_id FROM chosen""")


def lock(db: Connection) -> None:
    """Lock whom is being erased, and whatever others lock to add something to them."""
    db.execute(text("ANALYZE erasing"))
    of_customers = "customer_id IN (SELECT customer_id FROM erasing)"
    for table, condition in (
        ("customers", "id IN (SELECT customer_id FROM erasing)"),
        ("subscriptions", of_customers),
        ("messages", of_customers),
    ):
        db.execute(text(f"SELECT FROM {table} WHERE {condition} ORDER BY id FOR UPDATE"))


_LEAVE_OUT = text(f"""
WITH looked AS (
    SELECT customer.id, array_to_string(
        CASE WHEN erased_on IS NOT NULL THEN ARRAY['{ERASED_BEFORE}'] END
            || CASE WHEN {_ACTIVE} THEN ARRAY['{ACTIVE_AGAIN}'] END || {_KEPT}, ', ') AS reason
    FROM erasing JOIN customers AS customer ON customer.id = customer_id
), left_out AS (
    UPDATE erasure_candidates SET state = 'left out', reason = looked.reason
    FROM looked
    WHERE erasure_id = :erasure AND customer_id = looked.id AND looked.reason <> ''
    RETURNING customer_id, erasure_candidates.reason
), gone AS (
    DELETE FROM erasing USING left_out WHERE erasing.customer_id = left_out.customer_id
)
SELECT reason, count(*) FROM left_out GROUP BY reason""")


def _leave_out(db: Connection, erasure: Erasure, zone: ZoneInfo) -> Counter[str]:
    about = {"erasure": erasure.id, "day": erasure.business_date, "since_at": start_of_day(erasure.since, zone)}
    rows = db.execute(_LEAVE_OUT, about)
    return Counter({f"{CandidateState.LEFT_OUT}: {reason}": number for reason, number in rows})


def anonymise(db: Connection, erasure: UUID, erased_on: date) -> int:
    """Undo all who are in `erasing` and locked, and record them as a portion. Returns how many there were.

    Raises NothingChanged.
    """
    erased = undo(db, erased_on)
    if erased:
        db.execute(_RECORD, {"portion": uuid4(), "erasure": erasure, "erased_on": erased_on, "customers": erased})
    return erased


def undo(db: Connection, erased_on: date) -> int:
    """Do to all who are in `erasing` and locked what the tables declare. Returns how many there were.

    Raises NothingChanged.
    """
    expected: int = db.execute(text("SELECT count(*) FROM erasing")).scalar_one()
    if not expected:
        return 0
    changed = {table.name: db.execute(_undoing(table), {"erased_on": erased_on}).rowcount for table in _touched()}
    if changed["customers"] != expected:
        raise NothingChanged(f"{expected} customers were to be erased, {changed['customers']} were")
    return expected


_RECORD = text("""
WITH portion AS (
    INSERT INTO erasure_portions (id, erasure_id, erased_on, customers)
    VALUES (:portion, :erasure, :erased_on, :customers) RETURNING id
)
INSERT INTO erasure_candidates (erasure_id, customer_id, state, portion_id)
SELECT :erasure, customer_id, 'erased', portion.id FROM erasing, portion
ON CONFLICT (erasure_id, customer_id) DO UPDATE SET state = excluded.state, portion_id = excluded.portion_id""")

_UNSENT = "channel <> 'call' AND state IN ('queued', 'failed', 'in_doubt')"

# What is done beyond the columns' fates: nothing leaves for them any more, and the day is kept.
_BESIDES = {
    "customers": ["erased_on = cast(:erased_on AS date)"],
    "messages": [
        f"state = CASE WHEN {_UNSENT} THEN 'cancelled' ELSE state END",
        f"claimed_by = CASE WHEN {_UNSENT} THEN NULL ELSE claimed_by END",
        f"lease_until = CASE WHEN {_UNSENT} THEN NULL ELSE lease_until END",
    ],
}
_FATES = {Fate.BLANKED: ("{} = NULL", "{} IS NOT NULL"), Fate.REPLACED: ("{} = ''", "{} <> ''")}


def _touched() -> Iterator[Table]:
    """The tables of which something goes."""
    return (table for table in metadata.sorted_tables if "rows" in table.info)


def _undoing(table: Table) -> Any:
    """The statement that does to a table what it declares. What is blank already is not written again."""
    if table.info["removed"]:
        return text(f"DELETE FROM {table.name} WHERE {table.info['rows']}")
    changing = [(column.name, *_FATES[_fate(column)]) for column in table.columns if _fate(column) is not Fate.KEPT]
    values = [value.format(name) for name, value, _ in changing] + _BESIDES.get(table.name, [])
    full = " OR ".join(condition.format(name) for name, _, condition in changing)
    return text(f"UPDATE {table.name} SET {', '.join(values)} WHERE {table.info['rows']} AND ({full})")


def _fate(column: Column[Any]) -> Fate:
    fate: Fate = column.info["fate"]
    return fate


def outcome(db: Connection, erasure: UUID) -> Counter[str]:
    """What became of whom it showed, as `erase` counts it; "shown" are those of whom it is still to be decided."""
    rows = db.execute(
        text("""
        SELECT concat_ws(': ', state, reason), count(*) FROM erasure_candidates
        WHERE erasure_id = :erasure GROUP BY state, reason"""),
        {"erasure": erasure},
    )
    return Counter(dict(rows.tuples().all()))


def codes(db: Connection, erasure: UUID, most: int) -> dict[str, list[str]]:
    """The first codes of those who were shown and not erased, by what became of them, as `outcome` counts it."""
    rows = db.execute(
        text("""
        SELECT outcome, (array_agg(code ORDER BY code))[1 : :most] FROM (
            SELECT concat_ws(': ', state, reason) AS outcome, code
            FROM erasure_candidates JOIN customers ON customers.id = customer_id
            WHERE erasure_id = :erasure AND state <> 'erased'
        ) AS shown GROUP BY outcome ORDER BY outcome"""),
        {"erasure": erasure, "most": most},
    )
    return {outcome: list(listed) for outcome, listed in rows}


@contextmanager
def alone(erasure: UUID) -> Iterator[None]:
    """Wait until no other process carries the erasure out, and keep others waiting until the block or this one ends.

    Two beside each other would do no harm, but neither would know when it is done.
    """
    # Not in a transaction, which would lie idle for as long as the others work.
    with configured().connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        try:
            db.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _key(erasure)})
            yield
        finally:
            db.invalidate()  # whatever ended the block: with the connection, the lock goes


def is_carried_out(db: Connection, erasure: UUID) -> bool:
    """Whether a process that lives is carrying the erasure out."""
    return not db.execute(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _key(erasure)}).scalar_one()


def _key(erasure: UUID) -> int:
    """Of its advisory lock: the id is random, 63 bits of it are enough."""
    return erasure.int >> 65
