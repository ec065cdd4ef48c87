"""The embedded server's life, as long as somebody uses it."""

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from lifecycle.persistence import DatabaseOutdated, RowRefused, database, tables
from tests.acting import disconnect

JOIN = "import os, sys; from lifecycle.persistence.database import embedded_url; from pathlib import Path; "


def use(home: Path, then: str) -> None:
    join = f"{JOIN}embedded_url(Path(sys.argv[1])); {then}"
    subprocess.run([sys.executable, "-c", join, str(home)], check=True, timeout=60)


def test_the_embedded_server_stops_with_its_last_user_even_if_others_were_killed(tmp_path: Path) -> None:
    use(tmp_path, "os._exit(0)")
    assert (tmp_path / "postgres" / "postmaster.pid").exists()
    use(tmp_path, "pass")
    assert not (tmp_path / "postgres" / "postmaster.pid").exists()


def test_a_database_that_is_newer_than_the_program_is_left_alone(home: Path, database_url: str) -> None:
    with database.transaction() as db:
        db.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    disconnect()
    with pytest.raises(DatabaseOutdated, match="too old"):
        database.engine(database_url, home)
    reached = database.connect(database_url)
    with pytest.raises(DatabaseOutdated, match="too old"):
        database.migrate(reached)
    reached.dispose()


def test_a_refused_row_is_not_repeated_in_the_error(home: Path) -> None:
    row = {"code": "C1", "kind": "alien", "name": "Mario Rossi"}
    with pytest.raises(RowRefused, match="customers_kind_check") as refused, database.transaction() as db:
        db.execute(tables.customers.insert().values(row))
    assert "Rossi" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_server_whose_log_would_repeat_rows_is_told_apart(home: Path) -> None:
    with database.transaction() as db:
        assert database.talkative(db) == ["log_error_verbosity = terse", "log_parameter_max_length = 0"]
        db.execute(text("SET LOCAL log_error_verbosity = terse"))
        db.execute(text("SET LOCAL log_parameter_max_length = 0"))
        assert database.talkative(db) == []


REFUSED = """
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from lifecycle.persistence.database import engine
db = engine(None, Path(sys.argv[1])).connect().execution_options(isolation_level="AUTOCOMMIT")
row = "INSERT INTO customers (code, kind, name) VALUES (:code, :kind, :name)"
for statement, kind in ((row, "person"), (row, "person"), (row, "alien"), ("SELECT cast(:name AS date)", "")):
    try:
        db.execute(text(statement), {"code": "C-Rossi", "kind": kind, "name": "Mario Rossi"})
    except DBAPIError:
        continue
try:
    with db.connection.driver_connection.cursor().copy("COPY customers (code, kind, name) FROM STDIN") as copy:
        copy.write("C-Rossi\\tperson\\tMario Rossi\\n")
except Exception:
    db.invalidate()
"""


def test_the_embedded_servers_log_repeats_no_row_and_what_it_said_before_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIFECYCLE_HOME", str(tmp_path))
    use(tmp_path, REFUSED)
    said = (tmp_path / "postgres" / "log").read_text()
    assert "Rossi" not in said
    assert "starting PostgreSQL" not in said
    assert "database system is shut down" in said
