import pytest
from alembic import command
from sqlalchemy import Column, Connection, Table, Text, text

from lifecycle.persistence import database
from lifecycle.persistence.erasure_plan import NOT_CUSTOMERS
from lifecycle.persistence.tables import metadata
from lifecycle.rules.erasure import Fate

TABLES = metadata.sorted_tables
COLUMNS = [column for table in TABLES for column in table.columns]


@pytest.mark.parametrize("column", COLUMNS, ids=str)
def test_every_column_says_whether_it_can_hold_personal_data_and_what_becomes_of_it(column: Column[object]) -> None:
    assert column.info.get("personal") in {True, False}
    fate = column.info.get("fate")
    assert isinstance(fate, Fate)
    if column.info["personal"]:
        assert (fate is Fate.KEPT) == (column.table.name in NOT_CUSTOMERS)
    if fate is Fate.BLANKED:
        assert column.nullable
    if fate is Fate.REPLACED:  # by an empty text
        assert isinstance(column.type, Text)
        assert not column.nullable
    if fate is not Fate.KEPT:
        assert "rows" in column.table.info
        assert (fate is Fate.REMOVED) == column.table.info["removed"]


@pytest.mark.parametrize("table", TABLES, ids=str)
def test_a_table_says_in_words_and_in_sql_whose_the_rows_are_of_which_something_goes(table: Table) -> None:
    fates = {column.info["fate"] for column in table.columns}
    assert set(table.info) == (set() if fates == {Fate.KEPT} else {"whose", "rows", "removed"})
    if table.info.get("removed"):
        assert fates == {Fate.REMOVED}


def test_the_rows_that_something_goes_of_are_found(db: Connection) -> None:
    db.execute(text("CREATE TEMPORARY TABLE erasing (customer_id bigint)"))
    for table in TABLES:
        if rows := table.info.get("rows"):
            assert db.execute(text(f"SELECT count(*) FROM {table.name} WHERE {rows}")).scalar() == 0


@pytest.mark.parametrize("name", NOT_CUSTOMERS)
def test_a_table_of_people_who_are_not_customers_says_who_they_are(name: str) -> None:
    assert metadata.tables[name].comment


def test_migrations_make_exactly_these_tables(db: Connection) -> None:
    command.check(database.alembic_config(db))


def test_the_planner_keeps_no_samples_of_what_an_erasure_takes(db: Connection) -> None:
    rows = db.execute(text("SELECT attrelid::regclass::text, attname FROM pg_attribute WHERE attstattarget = 0"))
    unsampled = set(rows.tuples())
    columns = (column for table in metadata.sorted_tables for column in table.columns)
    values = {Fate.BLANKED, Fate.REPLACED}
    taken = [c for c in columns if c.info["fate"] in values or (c.info["personal"] and c.info["fate"] is Fate.REMOVED)]
    assert [str(column) for column in taken if (column.table.name, column.name) not in unsampled] == []
