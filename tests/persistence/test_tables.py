import pytest
from alembic import command
from sqlalchemy import Column, Connection

from lifecycle.persistence import database
from lifecycle.persistence.tables import metadata
from lifecycle.rules.erasure import Fate


@pytest.mark.parametrize("column", [c for t in metadata.sorted_tables for c in t.columns], ids=str)
def test_every_column_says_whether_it_can_hold_personal_data(column: Column[object]) -> None:
    assert column.info.get("personal") in {True, False}
    assert isinstance(column.info.get("fate"), Fate)


def test_migrations_make_exactly_these_tables(db: Connection) -> None:
    command.check(database.alembic_config(db))
