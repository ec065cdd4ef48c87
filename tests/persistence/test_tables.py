from typing import Any

from alembic import command
from sqlalchemy import Column, Connection, MetaData, Table, Text, text

from lifecycle.persistence import database
from lifecycle.persistence.erasure_plan import NOT_CUSTOMERS
from lifecycle.persistence.tables import metadata
from lifecycle.rules.erasure import Fate

TABLES = metadata.sorted_tables
COLUMNS = [column for table in TABLES for column in table.columns]


def wrong(column: Column[Any]) -> list[str]:
    """What the column says wrongly of whether it can hold personal data, and of what becomes of it."""
    personal, fate = column.info.get("personal"), column.info.get("fate")
    if personal not in {True, False} or not isinstance(fate, Fate):
        return [f"{column} says nothing"]
    removed = column.table.info.get("removed")
    holds = {
        "what is personal goes, but of people who are not customers": not personal
        or (fate is Fate.KEPT) == (column.table.name in NOT_CUSTOMERS),
        "what is blanked can be null": fate is not Fate.BLANKED or column.nullable,
        "what is replaced is a text": fate is not Fate.REPLACED
        or (isinstance(column.type, Text) and not column.nullable),
        "of what goes the table says whose it is": fate is Fate.KEPT or removed is (fate is Fate.REMOVED),
    }
    return [f"{column}: {rule}" for rule, followed in holds.items() if not followed]


def test_every_column_says_whether_it_can_hold_personal_data_and_what_becomes_of_it() -> None:
    assert [each for column in COLUMNS for each in wrong(column)] == []


def test_a_column_that_says_nothing_or_what_cannot_be_is_told() -> None:
    """Else the test above would hold of anything."""
    undeclared, kept = Column("a", Text), Column("b", Text, info={"personal": True, "fate": Fate.KEPT})
    blanked = Column("c", Text, nullable=False, info={"personal": False, "fate": Fate.BLANKED})
    Table("t", MetaData(), undeclared, kept, blanked)
    assert [each for column in (undeclared, kept, blanked) for each in wrong(column)] == [
        "t.a says nothing",
        "t.b: what is personal goes, but of people who are not customers",
        "t.c: what is blanked can be null",
        "t.c: of what goes the table says whose it is",
    ]


def test_a_table_says_in_words_and_in_sql_whose_the_rows_are_of_which_something_goes() -> None:
    for table in TABLES:
        fates = {column.info["fate"] for column in table.columns}
        assert set(table.info) == (set() if fates == {Fate.KEPT} else {"whose", "rows", "removed"}), table
        assert not table.info.get("removed") or fates == {Fate.REMOVED}, table


def test_the_rows_that_something_goes_of_are_found(db: Connection) -> None:
    db.execute(text("CREATE TEMPORARY TABLE erasing (customer_id bigint)"))
    for table in TABLES:
        if rows := table.info.get("rows"):
            assert db.execute(text(f"SELECT count(*) FROM {table.name} WHERE {rows}")).scalar() == 0


def test_tables_of_people_who_are_not_customers_say_who_they_are() -> None:
    assert [name for name in NOT_CUSTOMERS if not metadata.tables[name].comment] == []


def test_migrations_make_exactly_these_tables(db: Connection) -> None:
    command.check(database.alembic_config(db))


def test_the_planner_keeps_no_samples_of_what_an_erasure_takes(db: Connection) -> None:
    rows = db.execute(text("SELECT attrelid::regclass::text, attname FROM pg_attribute WHERE attstattarget = 0"))
    unsampled = set(rows.tuples())
    columns = (column for table in metadata.sorted_tables for column in table.columns)
    values = {Fate.BLANKED, Fate.REPLACED}
    taken = [c for c in columns if c.info["fate"] in values or (c.info["personal"] and c.info["fate"] is Fate.REMOVED)]
    assert [str(column) for column in taken if (column.table.name, column.name) not in unsampled] == []
