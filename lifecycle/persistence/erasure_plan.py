"""The plan of erasure in words, from the tables' own declarations: for whoever answers for data protection.

What the tables say of their columns is what erasing does, and a test holds that each says it. So this cannot promise
what is not done.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Column, Table

from lifecycle.persistence.tables import metadata
from lifecycle.rules.erasure import Fate

_ORDER = (Fate.BLANKED, Fate.REPLACED, Fate.REMOVED, Fate.KEPT)

NOT_CUSTOMERS = ("resellers", "operators")
"""Tables of people who are not customers: their comments say who they are."""


@dataclass(frozen=True, slots=True)
class TableFate:
    """What becomes of a table's columns; `about` is whose its rows are, or what it holds."""

    name: str
    about: str
    columns: dict[Fate, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Plan:
    """All tables. Something goes of those `erased`; of all others everything is kept."""

    erased: list[TableFate]
    of_customers: list[TableFate]
    """They refer to customers, directly or through others, and name nobody."""
    not_customers: list[TableFate]
    unrelated: list[TableFate]
    """They have nothing to do with a customer."""


def plan() -> Plan:
    tables = list(metadata.tables.values())
    reaching = _referring_to_customers(tables)
    kept = [table for table in tables if "rows" not in table.info and table.name not in NOT_CUSTOMERS]
    return Plan(
        erased=[_fate(table, table.info["whose"]) for table in tables if "rows" in table.info],
        of_customers=[_fate(table, table.comment or "") for table in kept if table.name in reaching],
        not_customers=[_fate(metadata.tables[name], metadata.tables[name].comment or "") for name in NOT_CUSTOMERS],
        unrelated=[_fate(table, table.comment or "") for table in kept if table.name not in reaching],
    )


def _referring_to_customers(tables: Sequence[Table]) -> set[str]:
    """Names of the tables with a path of foreign keys to the customers."""
    reaching = {"customers"}
    while more := {
        table.name
        for table in tables
        if table.name not in reaching and any(key.column.table.name in reaching for key in table.foreign_keys)
    }:
        reaching |= more
    return reaching


def _fate(table: Table, about: str) -> TableFate:
    fates = {fate: tuple(_named(column) for column in table.columns if column.info["fate"] is fate) for fate in _ORDER}
    return TableFate(table.name, about, {fate: columns for fate, columns in fates.items() if columns})


def _named(column: Column[object]) -> str:
    """The column's name, and of one that is blanked what it held, where its name does not say it."""
    held = (column.comment or "").partition(";")[0]
    return f"{column.name} ({held})" if held and column.info["fate"] is Fate.BLANKED else column.name


OUTSIDE: tuple[tuple[str, str], ...] = (
    (
        "Documents that the program wrote: files under the home, readable for their owner only",
        "x",
    ),
)
"""What lies outside of the tables and could hold personal data, and what becomes of it."""
