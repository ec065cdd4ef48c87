"""Withdrawal from memberships: what it looks at, and all that it changes, in the caller's transaction.

Safety case. It cannot be undone, so it looks twice: what an operator was shown is found anew under locks, and done only
where it is the same. First erasures are kept out, then mandates, subscriptions and instalments are locked, each in the
order of their ids: mandates first, as an import does that adds a contract by one. A charge run or a settlement that
holds an instalment is waited for, a sweep or a renewal that holds a subscription too. Nothing is overwritten but an
instalment's status and a mandate's end: terms are cut by new versions, and that a membership is withdrawn from is a row
under its id, which there is once. A kill leaves everything done, or nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, text

from lifecycle.persistence import erasure, subscription_status
from lifecycle.persistence.contact import CONTRACTUAL
from lifecycle.persistence.subscription_status import GIVEN, Learned
from lifecycle.rules.instalments import Instalment, InstalmentStatus, total
from lifecycle.rules.membership_withdrawal import (
    ACKNOWLEDGEMENT,
    ActionType,
    Effect,
    Known,
    Membership,
    Request,
    Term,
    WithdrawalState,
)
from lifecycle.rules.outbox import State
from lifecycle.rules.subscriptions import ChargeMethod, Policy, Status

_ASKED = text("""
SELECT
    (SELECT erased_on IS NOT NULL FROM customers WHERE code = :customer) AS erased,
    ARRAY(SELECT code FROM operators WHERE code IN (:operator, :assigned_to)) AS operators,
    base_type, in_agenda,
    EXISTS (
        SELECT FROM customers
        JOIN withdrawals ON customer_id = customers.id
        JOIN withdrawn_memberships ON withdrawal_id = withdrawals.id
        JOIN subscriptions ON subscriptions.id = subscription_id
        WHERE customers.code = :customer AND withdrawn_on = :on
        GROUP BY withdrawal_id
        HAVING array_agg(subscriptions.code ORDER BY subscriptions.code COLLATE "C") = cast(:memberships AS text[])
    ) AS before
FROM (SELECT) AS asked LEFT JOIN action_types ON code = :action_type
""")

# A contract goes on unless it was withdrawn from or is closed; and it does while something is still to be charged.
_GOES_ON = """
    NOT EXISTS (SELECT FROM withdrawn_memberships WHERE subscription_id = other.id)
    AND (coalesce(status, 'active') NOT IN ('disabled', 'deleted', 'withdrawn', 'ended') OR EXISTS (
        SELECT FROM instalments
        WHERE instalments.subscription_id = other.id AND instalments.status IN ('due', 'submitted')))"""

_MEMBERSHIPS = text(f"""
SELECT subscription.id, subscription.code, customers.code AS customer, products.code AS product, policy, charge_method,
    auto_renew, period_months, anchor, quantity, coalesce(unit_price, price) AS unit_price, vat_rate, products.currency,
    coalesce(status, 'active') AS status, withdrawn_on, mandates.code AS mandate, ARRAY(
        SELECT other.code FROM subscriptions AS other LEFT JOIN subscription_status ON subscription_id = other.id
        WHERE other.mandate_id = mandates.id AND other.id <> subscription.id AND {_GOES_ON}
        ORDER BY other.code COLLATE "C") AS shared_with
FROM subscriptions AS subscription
JOIN customers ON customers.id = customer_id
JOIN products ON products.id = product_id
LEFT JOIN subscription_status ON subscription_id = subscription.id
LEFT JOIN mandates ON mandates.id = mandate_id AND ended_on IS NULL
LEFT JOIN withdrawn_memberships AS done ON done.subscription_id = subscription.id
LEFT JOIN withdrawals ON withdrawals.id = withdrawal_id
WHERE subscription.code = ANY(:codes)
ORDER BY subscription.code COLLATE "C"
""")

_TERMS = text("""
SELECT DISTINCT ON (subscription_id, starts_on) subscription_id, starts_on, expires_on FROM terms
WHERE subscription_id = ANY(:subscriptions) ORDER BY subscription_id, starts_on, recorded_at DESC
""")

_INSTALMENTS = text("""
SELECT subscription_id, id, due_on, amount, status FROM instalments
WHERE subscription_id = ANY(:subscriptions) ORDER BY subscription_id, due_on
""")


def look(db: Connection, request: Request) -> Known:
    """What is known of what is asked for."""
    asked = {
        "customer": request.customer,
        "memberships": sorted(request.memberships),
        "action_type": request.action_type,
        "on": request.on,
        "operator": request.operator,
        "assigned_to": request.assigned_to,
    }
    row = db.execute(_ASKED, asked).one()
    action_type = None if row.base_type is None else ActionType(row.base_type, row.in_agenda)
    return Known(row.erased, _memberships(db, request.memberships), action_type, row.operators, row.before)


def _memberships(db: Connection, codes: Sequence[str]) -> tuple[Membership, ...]:
    rows = db.execute(_MEMBERSHIPS, {"codes": list(codes)}).all()
    asked = {"subscriptions": [row.id for row in rows]}
    terms: dict[int, tuple[Term, ...]] = {
        id_: tuple(Term(row.starts_on, row.expires_on) for row in group)
        for id_, group in groupby(db.execute(_TERMS, asked), lambda row: row.subscription_id)
    }
    instalments: dict[int, tuple[Instalment, ...]] = {
        id_: tuple(Instalment(row.id, row.due_on, row.amount, InstalmentStatus(row.status)) for row in group)
        for id_, group in groupby(db.execute(_INSTALMENTS, asked), lambda row: row.subscription_id)
    }
    return tuple(
        Membership(
            row.id,
            row.code,
            row.customer,
            row.product,
            Policy(row.policy),
            ChargeMethod(row.charge_method),
            row.auto_renew,
            row.period_months,
            row.anchor,
            row.quantity,
            row.unit_price,
            row.vat_rate,
            row.currency,
            Status(row.status),
            terms[row.id],
            instalments.get(row.id, ()),
            row.withdrawn_on,
            row.mandate,
            tuple(row.shared_with),
        )
        for row in rows
    )


_LOCK_MANDATES = text("""
SELECT FROM mandates WHERE id IN (SELECT mandate_id FROM subscriptions WHERE id = ANY(:subscriptions))
ORDER BY id FOR UPDATE
""")

_LOCK_INSTALMENTS = text("SELECT FROM instalments WHERE subscription_id = ANY(:subscriptions) ORDER BY id FOR UPDATE")


def lock(db: Connection, codes: Sequence[str]) -> None:
    """Lock these memberships until the transaction ends, before anything is read that is decided on.

    From here on nobody charges, renews, settles or withdraws from them, and no customer is erased.
    """
    erasure.keep_out(db)
    asked = text("SELECT id FROM subscriptions WHERE code = ANY(:codes)")
    subscriptions = list(db.execute(asked, {"codes": list(codes)}).scalars())
    db.execute(_LOCK_MANDATES, {"subscriptions": subscriptions})
    subscription_status.lock(db, subscriptions)
    db.execute(_LOCK_INSTALMENTS, {"subscriptions": subscriptions})


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a run that waits for a person has asked for. `note` is personal, and empty when it waits no more."""

    note: str
    requested_at: datetime
    state: WithdrawalState


_AWAIT = text("""
INSERT INTO withdrawals (
    id, customer_id, withdrawn_on, action_type, operator, state, note, prefect_flow_run_id, requested_at, business_date,
    run_id)
SELECT :id, id, :on, :action_type, :operator, 'waiting', nullif(:note, ''), :prefect_id, :now, :day, :run_id
FROM customers WHERE code = :customer AND erased_on IS NULL
ON CONFLICT (prefect_flow_run_id) DO NOTHING
""")


def await_answer(db: Connection, request: Request, day: date, prefect_id: UUID, run_id: UUID, now: datetime) -> None:
    """Remember what this Prefect run asks for while it waits for a person: once, however often it is begun."""
    erasure.keep_out(db)
    asked = {
        "id": uuid4(),
        "customer": request.customer,
        "on": request.on,
        "action_type": request.action_type,
        "operator": request.operator,
        "note": request.note,
        "prefect_id": prefect_id,
        "now": now,
        "day": day,
        "run_id": run_id,
    }
    db.execute(_AWAIT, asked)


def remembered(db: Connection, prefect_id: UUID) -> Waiting | None:
    """What this Prefect run has asked for before it waited; None: nothing."""
    row = db.execute(
        text("""
        SELECT coalesce(note, '') AS note, requested_at, state FROM withdrawals
        WHERE prefect_flow_run_id = :prefect_id"""),
        {"prefect_id": prefect_id},
    ).one_or_none()
    return Waiting(row.note, row.requested_at, WithdrawalState(row.state)) if row else None


def waiting(db: Connection) -> list[tuple[UUID, datetime]]:
    """The Prefect runs whose withdrawals wait for a person, and when each was entered."""
    rows = db.execute(
        text("""
        SELECT prefect_flow_run_id, requested_at FROM withdrawals
        WHERE state = 'waiting' AND prefect_flow_run_id IS NOT NULL ORDER BY requested_at, id""")
    )
    return [(row.prefect_flow_run_id, row.requested_at) for row in rows]


def refuse(db: Connection, prefect_id: UUID) -> None:
    """What this Prefect run waits for is not to be done: the note is forgotten."""
    db.execute(
        text("""
        UPDATE withdrawals SET state = 'refused', note = NULL
        WHERE prefect_flow_run_id = :prefect_id AND state = 'waiting'"""),
        {"prefect_id": prefect_id},
    )


_ACT = text("""
INSERT INTO crm_actions (
    customer_id, action_type, operator, assigned_to, note, business_date, run_id, recorded_at)
SELECT id, :action_type, :operator, nullif(:assigned_to, ''), :note, :day, :run_id, :now
FROM customers WHERE code = :customer
RETURNING id, customer_id
""")

# Of the run that waits the row is there; only one that still waits is done.
_SETTLE = text("""
INSERT INTO withdrawals AS waiting (
    id, customer_id, withdrawn_on, action_type, operator, state, prefect_flow_run_id, requested_at, done_at,
    crm_action_id, business_date, run_id)
VALUES (:id, :customer, :on, :action_type, :operator, 'done', :prefect_id, :now, :now, :action, :day, :run_id)
ON CONFLICT (prefect_flow_run_id) DO UPDATE SET state = 'done', note = NULL, done_at = excluded.done_at,
    crm_action_id = excluded.crm_action_id, business_date = excluded.business_date, run_id = excluded.run_id
WHERE waiting.state = 'waiting'
RETURNING id
""")

_WITHDRAW = text("""
INSERT INTO withdrawn_memberships (
    subscription_id, withdrawal_id, former_expires_on, currency, owed, removed, to_be_refunded)
VALUES (:subscription, :withdrawal, :expires_on, :currency, :owed, :removed, :to_be_refunded)
""")

# A clock that was set back makes no version that counts less than the one it cuts.
_CUT = text("""
INSERT INTO terms (subscription_id, starts_on, expires_on, recorded_at)
SELECT subscription, starts_on, :on, greatest(:now, (
    SELECT max(recorded_at) + interval '1 microsecond' FROM terms
    WHERE terms.subscription_id = subscription AND terms.starts_on = cut.starts_on))
FROM unnest(cast(:subscriptions AS bigint[]), cast(:starts AS date[])) AS cut (subscription, starts_on)
""")

_CHANGE = text("UPDATE instalments SET status = :status WHERE id = ANY(:instalments)")

_END = text("UPDATE mandates SET ended_on = :day WHERE code = ANY(:mandates)")


# What is withheld has a key of its own, as every message that never leaves.
_ACKNOWLEDGE = text(f"""
WITH asked AS (
    SELECT withdrawals.id, email, name, customer_id, basis, missing
    FROM withdrawals
    JOIN customers ON customers.id = customer_id
    CROSS JOIN LATERAL {CONTRACTUAL} AS allowed
    WHERE withdrawals.id = :withdrawal
), written AS (
    INSERT INTO messages (
        key, kind, state, recipient, recipient_name, customer_id, business_date, run_id, facts, motive, basis)
    SELECT :kind || '/' || id || CASE :state WHEN 'withheld' THEN '/withheld' ELSE '' END, :kind, :state, email, name,
        customer_id, :day, :run_id, jsonb_build_object('withdrawal', id), 'contract', basis
    FROM asked WHERE email IS NOT NULL AND basis IS NOT NULL
)
SELECT CASE WHEN email IS NULL THEN 'no address to acknowledge to'
    ELSE coalesce('not acknowledged: ' || missing, 'acknowledgements ' || :state) END
FROM asked
""")


def record(
    db: Connection, request: Request, effects: Sequence[Effect], learned: Learned, prefect_id: UUID | None
) -> UUID | None:
    """Do what the effects say, and write it into the CRM history. `request` has a note.

    Returns the withdrawal's id. None: what this Prefect run waited for was refused; then the caller must roll back.
    """
    about = {
        "day": learned.day,
        "run_id": learned.run_id,
        "now": learned.now,
        "action_type": request.action_type,
        "operator": request.operator,
    }
    noted = {"customer": request.customer, "assigned_to": request.assigned_to, "note": request.note}
    action, customer = db.execute(_ACT, about | noted).one()
    settled = {"id": uuid4(), "customer": customer, "on": request.on, "prefect_id": prefect_id, "action": action}
    withdrawal: UUID | None = db.execute(_SETTLE, about | settled).scalar()
    if withdrawal is None:
        return None
    db.execute(_WITHDRAW, [{"withdrawal": withdrawal} | _ended(effect) for effect in effects])
    _cut(db, effects, request.on, learned)
    _change(db, InstalmentStatus.CANCELLED, (it for effect in effects for it in effect.removed))
    _change(db, InstalmentStatus.TO_BE_REFUNDED, (it for effect in effects for it in effect.to_be_refunded))
    if mandates := [effect.mandate for effect in effects if effect.mandate]:
        db.execute(_END, {"day": learned.day, "mandates": mandates})
    return withdrawal


def _ended(effect: Effect) -> dict[str, Any]:
    membership = effect.membership
    return {
        "subscription": membership.id,
        "expires_on": membership.expires_on,
        "currency": membership.currency,
        "owed": total(effect.owed),
        "removed": total(effect.removed),
        "to_be_refunded": total(effect.to_be_refunded),
    }


def _cut(db: Connection, effects: Sequence[Effect], on: date, learned: Learned) -> None:
    cut = [(effect.membership.id, term.starts_on) for effect in effects for term in effect.cut]
    if cut:
        subscriptions, starts = map(list, zip(*cut, strict=True))
        db.execute(_CUT, {"subscriptions": subscriptions, "starts": starts, "on": on, "now": learned.now})
        subscription_status.refresh(db, GIVEN, learned, sorted(set(subscriptions)))


def _change(db: Connection, status: InstalmentStatus, instalments: Iterable[Instalment]) -> None:
    if ids := [instalment.id for instalment in instalments]:
        db.execute(_CHANGE, {"status": status, "instalments": ids})


def acknowledge(db: Connection, withdrawal: UUID, state: State, learned: Learned) -> str:
    """Queue the mail that tells the customer of it, or record it as withheld. Returns what that came to, to count."""
    asked = {"withdrawal": withdrawal, "kind": ACKNOWLEDGEMENT, "state": state}
    came_to: str = db.execute(_ACKNOWLEDGE, asked | {"day": learned.day, "run_id": learned.run_id}).scalar_one()
    return came_to
