"""What the database itself refuses, whoever asks: contact without a basis, and change of what proves one."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

import pytest
from sqlalchemy import Connection, insert, text
from sqlalchemy.exc import DBAPIError

from lifecycle.persistence import tables
from tests import cast

DAY = date(2026, 3, 1)


@contextmanager
def refused(db: Connection, by: str) -> Iterator[None]:
    point = db.begin_nested()
    with pytest.raises(DBAPIError, match=by):
        yield
    point.rollback()


@pytest.fixture
def theirs(db: Connection) -> dict[str, int]:
    """Two customers, a reseller; a consent, an objection, a switch and a contact of the first one."""
    one, other = cast.customer(db, "ONE"), cast.customer(db, "OTHER")
    db.execute(
        text("""
        INSERT INTO consent_types (code, title, allows_bulk, allows_single, allows_contact)
        VALUES ('news', '', true, true, true)""")
    )
    consent: int = db.execute(
        text("""
        INSERT INTO consents (customer_id, consent_type_id, granted_on, evidence)
        SELECT :one, id, :day, 'signed by Paula' FROM consent_types RETURNING id"""),
        {"one": one, "day": DAY},
    ).scalar_one()
    db.execute(
        insert(tables.objections).values(customer_id=one, channel="bulk", objected_on=DAY, evidence="Paula called")
    )
    db.execute(insert(tables.switches).values(channel="bulk", asks=True, operator="op", business_date=DAY))
    contact = {"key": "call/1", "customer_id": one, "channel": "contact", "business_date": DAY}
    db.execute(insert(tables.contacts).values(**contact, basis="consent", consent_id=consent))
    return {"one": one, "other": other, "consent": consent, "reseller": cast.reseller(db, "R")}


MESSAGE = {
    "channel": "'mail'", "state": "'queued'", "customer_id": ":one", "reseller_id": "NULL", "motive": "NULL",
    "basis": "NULL", "consent_id": "NULL", "asked_on": "NULL",
}  # fmt: skip

WAYS = [
    ({}, "basis_found"),
    ({"state": "'sending'", "asked_on": ":day"}, "basis_found"),
    ({"state": "'sent'", "asked_on": ":day"}, "basis_found"),
    ({"state": "'failed'"}, "basis_found"),
    ({"channel": "'bulk'"}, "basis_found"),
    ({"reseller_id": ":reseller"}, "basis_found"),  # naming a reseller beside the customer helps nobody
    ({"customer_id": "NULL"}, "addressee_known"),  # to an address that is nobody's
    ({"customer_id": "NULL", "channel": "'bulk'", "reseller_id": ":reseller"}, "addressee_known"),
    ({"basis": "'whim'"}, "basis"),
    ({"basis": "'consent'"}, "basis_named"),
    ({"basis": "'consent'", "consent_id": ":consent", "customer_id": ":other"}, "consent_id_fkey"),
    ({"basis": "'duty'", "consent_id": ":consent", "motive": "'contract'"}, "basis_named"),
    ({"basis": "'duty'"}, "basis_named"),
    ({"basis": "'motive'"}, "basis_named"),
    ({"basis": "'motive'", "motive": "'whim'"}, "motive_fkey"),
    ({"basis": "'duty'", "motive": "'contract'", "channel": "'bulk'"}, "basis_named"),
    # What was not asked at the gate when it was begun.
    ({"basis": "'duty'", "motive": "'contract'", "state": "'sending'"}, "asked"),
    ({"basis": "'consent'", "consent_id": ":consent", "state": "'sent'", "channel": "'bulk'"}, "asked"),
    ({"basis": "'unasked'", "state": "'in_doubt'"}, "asked"),
]


def test_no_message_to_a_customer_is_written_without_a_basis(db: Connection, theirs: dict[str, int]) -> None:
    for way, by in WAYS:
        values = MESSAGE | way
        with refused(db, by):
            db.execute(
                text(f"""
                INSERT INTO messages (key, kind, recipient, recipient_name, business_date, {", ".join(values)})
                VALUES ('m', 'single', 'c@example.com', '', :day, {", ".join(values.values())})"""),
                theirs | {"day": DAY},
            )


CHANGES = [
    ("basis = NULL, consent_id = NULL", "basis_found"),
    ("state = 'sending', asked_on = '2026-03-01', basis = NULL, consent_id = NULL", "basis_found"),
    ("state = 'sending'", "asked"),
    ("state = 'sent'", "asked"),
    ("consent_id = NULL", "basis_named"),
    ("basis = 'duty', consent_id = NULL", "basis_named"),
    ("customer_id = :other", "consent_id_fkey"),
    ("customer_id = NULL", "addressee_known"),
]


def test_no_message_is_changed_into_one_without_a_basis(db: Connection, theirs: dict[str, int]) -> None:
    db.execute(
        text("""
        INSERT INTO messages (
            key, kind, state, recipient, recipient_name, business_date, customer_id, basis, consent_id)
        VALUES ('m', 'single', 'queued', 'c@example.com', '', :day, :one, 'consent', :consent)"""),
        theirs | {"day": DAY},
    )
    for change, by in CHANGES:
        with refused(db, by):
            db.execute(text(f"UPDATE messages SET {change}"), theirs)


UNFOUNDED = [
    ("'consent', NULL, NULL", "basis_named"),
    ("'duty', NULL, NULL", "basis_named"),
    ("'unasked', NULL, 'contract'", "basis_named"),
    ("'consent', :consent, NULL", "consent_id_fkey"),  # of another customer
]


def test_no_contact_is_logged_without_its_basis(db: Connection, theirs: dict[str, int]) -> None:
    for basis, by in UNFOUNDED:
        with refused(db, by):
            db.execute(
                text(f"""
                INSERT INTO contacts (key, customer_id, channel, business_date, basis, consent_id, motive)
                VALUES ('call/2', :other, 'contact', :day, {basis})"""),
                theirs | {"day": DAY},
            )


OTHERWISE = {
    "bigint": "coalesce({0}, 0) + 1",
    "boolean": "NOT {0}",
    "date": "coalesce({0}, '2020-01-01') + 1",
    "text": "'other'",
    "timestamp with time zone": "{0} + interval '1 day'",
    "uuid": "gen_random_uuid()",
}
PROOFS = ["consents", "objections", "switches", "contacts"]


@pytest.mark.parametrize("table", PROOFS)
def test_what_proves_a_contact_is_only_ever_added_to(db: Connection, theirs: dict[str, int], table: str) -> None:
    columns = [column.name for column in tables.metadata.tables[table].columns if column.name != "evidence"]
    kept = db.execute(text(f"SELECT * FROM {table}")).one()
    for column in columns:
        kind = db.execute(text(f"SELECT pg_typeof({column})::text FROM {table}")).scalar_one()
        other = OTHERWISE[kind].format(column)
        with refused(db, f"{table} is append-only|can only be updated to DEFAULT"):
            db.execute(text(f"UPDATE {table} SET {column} = {other}"))
    for way in (f"DELETE FROM {table}", f"TRUNCATE {table}", f"TRUNCATE {table} CASCADE"):
        with refused(db, "is append-only|cannot truncate"):
            db.execute(text(way))
    assert db.execute(text(f"SELECT * FROM {table}")).one() == kept


@pytest.mark.parametrize(
    ("table", "conflict", "change"),
    [
        ("consents", "(customer_id, consent_type_id, granted_on, recorded_at)", "withdrawn_on = '2026-12-31'"),
        ("objections", "(customer_id, channel, objected_on)", "channel = 'single'"),
        ("contacts", "(key)", "operator = 'somebody'"),
    ],
)
def test_nor_is_it_changed_by_adding(
    db: Connection, theirs: dict[str, int], table: str, conflict: str, change: str
) -> None:
    names = ", ".join(column.name for column in tables.metadata.tables[table].columns if column.name != "id")
    with refused(db, f"{table} is append-only"):
        db.execute(
            text(f"""
            INSERT INTO {table} ({names}) SELECT {names} FROM {table}
            ON CONFLICT {conflict} DO UPDATE SET {change}""")
        )


@pytest.mark.parametrize("table", ["consents", "objections"])
def test_evidence_can_be_blanked_and_not_be_rewritten(db: Connection, theirs: dict[str, int], table: str) -> None:
    with refused(db, f"{table} is append-only"):
        db.execute(text(f"UPDATE {table} SET evidence = 'signed by another'"))
    db.execute(text(f"UPDATE {table} SET evidence = NULL"))
    with refused(db, f"{table} is append-only"):
        db.execute(text(f"UPDATE {table} SET evidence = 'signed by another'"))
