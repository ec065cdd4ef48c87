"""Whom one may contact: `lifecycle.rules.contact`'s gate over many customers at once, and what it decides on.

Every statement that writes a message to a customer joins `gate`, and so does the one that begins to send it: the table
of messages refuses one without a basis.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from sqlalchemy import Connection, text

from lifecycle.rules.contact import Consent, ConsentType, ContactChannel, Customer

_ALLOWS = " ".join(f"WHEN '{channel}' THEN allows_{channel}" for channel in ContactChannel)


def gate(customer: str, channel: str, motive: str, day: str) -> str:
    """A row of basis, consent_id and missing, to be joined LATERAL: `basis` is null where something is missing.

    The arguments are SQL: the customer's id, the contact channel, the motive's code or null, and the day.
    """
    return f"""(
    SELECT CASE
        WHEN erased_on IS NOT NULL THEN NULL
        WHEN duty THEN 'duty'
        WHEN said.valid IS NOT NULL THEN 'consent'
        WHEN objected_on IS NOT NULL THEN NULL
        WHEN NOT coalesce(asks, true) THEN 'unasked'
        WHEN duty IS NOT NULL THEN 'motive' END AS basis,
        CASE WHEN erased_on IS NULL THEN said.valid END AS consent_id,
        CASE
        WHEN erased_on IS NOT NULL THEN 'erased'
        WHEN duty OR said.valid IS NOT NULL THEN NULL
        WHEN objected_on IS NOT NULL THEN 'objected'
        WHEN NOT coalesce(asks, true) OR duty IS NOT NULL THEN NULL
        WHEN said.withdrawn THEN 'consent withdrawn'
        WHEN said.lapsed THEN 'consent lapsed'
        ELSE 'no consent' END AS missing
    FROM customers AS asked
    LEFT JOIN motives AS why ON why.code = {motive} AND {channel} <> 'bulk'
    LEFT JOIN LATERAL (
        SELECT max(objected_on) AS objected_on FROM objections
        WHERE objections.customer_id = asked.id AND objections.channel = {channel} AND objected_on <= {day}
    ) AS objection ON NOT coalesce(duty, false)
    LEFT JOIN LATERAL (
        SELECT asks FROM switches WHERE switches.channel = {channel} AND switches.business_date <= {day}
        ORDER BY switches.business_date DESC, switches.id DESC LIMIT 1
    ) AS switch ON NOT coalesce(duty, false)
    LEFT JOIN LATERAL (
        SELECT (array_agg(version.id ORDER BY granted_on DESC, version.id DESC) FILTER (
                WHERE NOT coalesce(withdrawn_on <= {day} OR granted_on < last_withdrawal, false)
                    AND coalesce({day} < granted_on + valid_days, true)
                    AND coalesce(granted_on > objected_on, true)))[1] AS valid,
            bool_or(coalesce(withdrawn_on <= {day} OR granted_on < last_withdrawal, false)) AS withdrawn,
            count(*) > 0 AS lapsed
        FROM (
            SELECT *, max(withdrawn_on) FILTER (WHERE withdrawn_on <= {day}) OVER (PARTITION BY consent_type_id)
                AS last_withdrawal
            FROM (
                SELECT DISTINCT ON (consent_type_id, granted_on)
                    consents.id, consent_type_id, granted_on, withdrawn_on, valid_days
                FROM consents JOIN consent_types ON consent_types.id = consent_type_id
                WHERE consents.customer_id = asked.id AND granted_on <= {day} AND CASE {channel} {_ALLOWS} END
                ORDER BY consent_type_id, granted_on, consents.recorded_at DESC, consents.id DESC
            ) AS last_version
        ) AS version
    ) AS said ON NOT coalesce(duty, false)
    WHERE asked.id = {customer})"""


CONTRACTUAL = gate("customer_id", "'single'", "'contract'", ":day")
"""The gate for what rests on the contract: `customer_id` and `:day` are the statement's."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A customer at the gate: what it has said by the day, and the channels whose switch is on."""

    id: int
    customer: Customer
    asks: frozenset[ContactChannel]


_CONSENTS = text("""
SELECT DISTINCT ON (customer_id, consent_type_id, granted_on)
    customer_id, consents.id, granted_on, withdrawn_on, code, valid_days, allows_bulk, allows_single, allows_contact
FROM consents JOIN consent_types ON consent_types.id = consent_type_id
WHERE customer_id = ANY(:customers)
ORDER BY customer_id, consent_type_id, granted_on, consents.recorded_at DESC, consents.id DESC""")

_OBJECTIONS = text("""
SELECT customer_id, channel, max(objected_on) AS objected_on FROM objections
WHERE customer_id = ANY(:customers) AND objected_on <= :day GROUP BY customer_id, channel""")

_SWITCHES = text("""
SELECT DISTINCT ON (channel) channel, asks FROM switches WHERE business_date <= :day
ORDER BY channel, business_date DESC, id DESC""")


def at_the_gate(db: Connection, code: str, day: date) -> Asked | None:
    """The customer with this code as the gate's rule wants it; None: there is none. Locked until the transaction ends.

    So nobody is erased, and nothing recorded about it, between the decision and what follows from it.
    """
    row = db.execute(text("SELECT id, erased_on FROM customers WHERE code = :code FOR UPDATE"), {"code": code}).first()
    if row is None:
        return None
    customer = said(db, [row.id], day)[row.id]
    return Asked(row.id, replace(customer, erased=row.erased_on is not None), asking(db, day))


def said(db: Connection, customers: Collection[int], day: date) -> dict[int, Customer]:
    """What these customers have said, by id: all their consents, and what they objected to by `day`."""
    asked = {"customers": list(customers), "day": day}
    consents: dict[int, list[Consent]] = {customer: [] for customer in customers}
    for row in db.execute(_CONSENTS, asked):
        consents[row.customer_id].append(Consent(row.id, _type(row._mapping), row.granted_on, row.withdrawn_on))
    objections: dict[int, dict[ContactChannel, date]] = {customer: {} for customer in customers}
    for row in db.execute(_OBJECTIONS, asked):
        objections[row.customer_id][ContactChannel(row.channel)] = row.objected_on
    return {id_: Customer(tuple(consents[id_]), objections[id_]) for id_ in consents}


def _type(row: Mapping[Any, Any]) -> ConsentType:
    channels = frozenset(channel for channel in ContactChannel if row[f"allows_{channel}"])
    return ConsentType(row["code"], row["valid_days"], channels)


def asking(db: Connection, day: date) -> frozenset[ContactChannel]:
    """The channels whose switch is on, on `day`."""
    off = {row.channel for row in db.execute(_SWITCHES, {"day": day}) if not row.asks}
    return frozenset(channel for channel in ContactChannel if channel not in off)
