"""The embedded server's life, as long as somebody uses it."""

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from lifecycle.persistence import DatabaseOutdated, RowRefused, database, tables

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
    database.configured().dispose()
    database.engine.cache_clear()
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
