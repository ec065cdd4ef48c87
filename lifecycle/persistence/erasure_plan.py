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


OUTSIDE: dict[str, str] = {
    "Copies that people made of documents, or gave another name": (
        "Out of reach: whoever made them removes them. A run that finds one under the home says so."
    ),
    "Mail folder, where mails are delivered into one": (
        "Mails to the customer, and reports to resellers that named it, are removed. A mail that a mail server took "
        "is out of reach: it is with whom it was sent to."
    ),
    "Inbox of answers to mailings": (
        "An answer is removed from the inbox when what it asks for is recorded. One that asks for nothing known stays "
        "for a person to read, and to remove."
    ),
    "Prefect: parameters, logs, artifacts, results and inputs of runs": (
        "They hold codes and figures. Texts that a person types for one customer are blanked in the run's parameters "
        "as the run begins; wherever they are left, when the customer is erased. What is scheduled about it is "
        "cancelled. The preview of an erasure, the one thing that shows names, is removed when its run ends, however "
        "it ends."
    ),
    "Import files and bank statements": (
        "None is kept: they are read where they lie, and whoever put them there removes them. Imported again they do "
        "not bring back who was erased."
    ),
    "Payments that nobody assigned to a customer": (
        "They stay as they came, for a person to assign or to refund: nothing says whose they are. So do texts of a "
        "payment that arrives after its customer was erased."
    ),
    "Other systems: provisioning, the bank, Accounting": (
        "They are not changed. What provisioning is told names subscriptions and customers by their codes; the "
        "bank and the payment provider keep the files by which they were told to charge."
    ),
    "Backups of the database": (
        "Out of reach: they hold the customer until they are removed, by the rules of whoever keeps them. The ledger "
        "of erasures, a file outside of the database, holds a random number for each that was shown or erased: "
        "a database that is older than it is refused until `lifecycle erasure reapply` has erased them again."
    ),
    "The database server's own files: its log, old versions of rows, the planner's statistics": (
        "The log repeats no values; `lifecycle check` says where a server is set otherwise. Old versions of rows are "
        "given up when an erasure ends; of columns that it empties no statistics are kept. The space of both, and what "
        "the server wrote ahead (WAL), is written over by and by; WAL that is archived is a backup."
    ),
}
"""What lies outside of the tables, and what becomes of it."""
