"""What each database role may do: declared for every table, granted by the migration, enough for its work, no more."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from deployments import show
from deployments.check import findings
from lifecycle.persistence import NotPermitted, database, roles, runs
from lifecycle.persistence.database import transaction
from lifecycle.persistence.roles import DECLARED, Role
from lifecycle.persistence.tables import metadata
from lifecycle.settings import settings
from tests import billing, cast, erasing, sweeping
from tests.acting import as_role, login
from tests.importing import bring

DAY = date(2026, 3, 1)

RECORDING = """
INSERT INTO consents (customer_id, consent_type_id, granted_on)
SELECT customers.id, consent_types.id, '2026-01-01' FROM customers, consent_types"""


def test_every_table_says_what_each_role_may_do_with_it() -> None:
    assert set(DECLARED) == set(metadata.tables)


def test_what_is_declared_names_columns_that_there_are() -> None:
    for name, declared in DECLARED.items():
        columns = set(metadata.tables[name].columns.keys())
        assert [each for may in declared for each in (*may.but, *may.changes) if each not in columns] == []


def test_what_is_granted_is_what_is_declared_and_what_is_not_is_revoked(database_url: str) -> None:
    owner = database.connect(database_url)
    with owner.begin() as db:
        assert roles.standing(db) == ([], set(), set())
        db.execute(text("GRANT ALL ON consents TO lifecycle_reader"))
        db.execute(text("GRANT UPDATE (evidence) ON consents TO lifecycle_deliverer"))
        db.execute(text("REVOKE INSERT ON runs FROM lifecycle_deliverer"))
        stands = roles.standing(db)
    assert {(each.role, each.table, each.privilege) for each in stands.lacking} == {(Role.DELIVERER, "runs", "INSERT")}
    assert (Role.DELIVERER, "consents", "UPDATE", "evidence") in stands.excessive
    database.migrate(owner)
    with owner.begin() as db:
        assert roles.standing(db) == ([], set(), set())
    owner.dispose()


@pytest.fixture(autouse=True)
def payee(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFECYCLE_ISSUER__IBAN", cast.IBAN)


@pytest.fixture
def business(home: Path) -> None:
    """A customer with a card that waits to be mailed, with a call to be made, and with a consent type."""
    billing.hold("ANNA", {"S1": date(2026, 3, 20)})
    with transaction() as db:
        cast.consent_type(db, "news")
    billing.run(DAY)


def refused(db: Connection, statement: str) -> bool:
    savepoint = db.begin_nested()
    try:
        db.execute(text(statement))
    except DBAPIError as error:  # what it is not allowed to do is refused before anything else is looked at
        return isinstance(error.orig, InsufficientPrivilege)
    finally:
        savepoint.rollback()
    return False


def writing(table: str) -> Iterator[str]:
    column = next(iter(metadata.tables[table].columns)).name
    yield f"INSERT INTO {table} DEFAULT VALUES"
    yield f"UPDATE {table} SET {column} = {column}"
    yield f"DELETE FROM {table}"
    yield f"TRUNCATE {table}"


def allowed(db: Connection) -> set[str]:
    """What of all that writes the database does not refuse."""
    return {each for table in metadata.tables for each in writing(table) if not refused(db, each)}


@pytest.mark.usefixtures("business")
def test_the_reader_reads_what_there_is_to_show_and_writes_nothing(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with as_role(database_url, Role.READER, monkeypatch):
        show.customer("ANNA", DAY, as_json=False)
        show.card("PF-2026-000001", None)
        show.open_cards_on(DAY, None)
        show.reports("2026-03")
        show.collections()
        said = capsys.readouterr().out
        with transaction() as db:
            assert roles.of(db) == [Role.READER]
            assert allowed(db) == set()
            assert refused(db, "CREATE TABLE mine (id int)")
            assert refused(db, "SELECT secret FROM enrolments")
            assert refused(db, "SELECT FROM message_bodies")
            assert not refused(db, "SELECT operator_id FROM enrolments")
        with pytest.raises(NotPermitted, match="permission denied for table runs"):
            sweeping.started("open-cards-report", DAY)
    assert "Customer ANNA" in said
    assert "PF-2026-000001" in said


@pytest.mark.usefixtures("business")
def test_the_deliverer_delivers_and_does_nothing_else(
    home: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with as_role(database_url, Role.DELIVERER, monkeypatch):
        run_id = sweeping.started("deliver-outbox", DAY)
        assert sweeping.deliver_now() == {"sent": 1}
        with transaction() as db:
            runs.crash(db, [run_id])
            assert roles.of(db) == [Role.DELIVERER]
            may_add = {f"INSERT INTO {table} DEFAULT VALUES" for table in ("contacts", "message_attempts", "runs")}
            assert allowed(db) == may_add | {"DELETE FROM message_bodies"}
            for statement in (
                RECORDING,
                "INSERT INTO customers (code, kind, name) VALUES ('C', 'person', 'C')",
                "UPDATE customers SET name = '', erased_on = '2026-01-01'",
                "UPDATE messages SET recipient_name = ''",
                "UPDATE erasures SET state = 'approved'",
                "SELECT iban FROM mandates",
                "SELECT secret FROM enrolments",
                "CREATE TABLE mine (id int)",
            ):
                assert refused(db, statement), statement
    assert len(list((home / "mail" / "new").iterdir())) == 1
    assert billing.rows("SELECT state, basis FROM messages WHERE channel = 'mail'") == [("sent", "duty")]
    assert billing.rows("SELECT count(*) FROM contacts") == [(1,)]


def test_the_operator_imports_bills_sweeps_and_erases_and_changes_neither_tables_nor_the_past(
    home: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with as_role(database_url, Role.OPERATOR, monkeypatch):
        billing.hold("ANNA", {"S1": date(2026, 3, 20)})
        assert billing.run(DAY)
        assert sweeping.deliver_now() == {"sent": 1}
        assert sweeping.sweep(date(2026, 3, 28)) == {"service suspended": 1}
        assert bring(home, {"motives": "code,title,duty\nm,M,false\n"})["motives new"] == 1
        erasing.inactive("BERT")
        erasing.erase_portion(erasing.approved())
        assert erasing.write() == 1
        with transaction() as db:
            assert db.execute(text("SELECT name FROM customers WHERE code = 'BERT'")).scalar() == ""
            for statement in (
                "UPDATE consents SET granted_on = granted_on",
                "DELETE FROM customers",
                "DELETE FROM terms",
                "TRUNCATE runs",
                "ALTER TABLE runs ADD COLUMN mine int",
                "CREATE TABLE mine (id int)",
            ):
                assert refused(db, statement), statement


def test_the_check_says_in_which_role_it_is_and_what_an_administrator_has_to_do(
    home: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said() -> list[tuple[str, bool]]:
        return [(fact, usable) for what, fact, usable in findings(settings()) if what in {"role", "database"}][-1:]

    assert said() == [("postgres: owner", True)]
    with transaction() as db:
        db.execute(text("REVOKE SELECT ON runs FROM lifecycle_reader"))
    lacking = "what roles may do is not as declared: `lifecycle migrate`"
    assert said() == [(f"postgres: owner; {lacking}", True)]
    with as_role(database_url, Role.READER, monkeypatch):
        assert said() == [
            (f"lifecycle_reader_login: lifecycle_reader; {lacking} by the owner", False),
        ]
    stranger = login(database_url, Role.READER).replace(f"{Role.READER}_login", "stranger")
    with transaction() as db:
        db.execute(text("CREATE ROLE stranger LOGIN"))
    reached = database.connect(stranger)
    with pytest.raises(NotPermitted, match="alembic_version"):
        database.migrate(reached)
    reached.dispose()
    with transaction() as db:
        db.execute(text("DROP ROLE stranger"))
