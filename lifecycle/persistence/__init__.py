"""Rows: the only place that knows SQL. Functions take a session and leave committing to their caller."""

from lifecycle.rules.findings import BadInput, Finding


class DatabaseOutdated(Exception):
    """The database's tables are not those of this program: an operator must migrate it."""


class DatabaseUnreachable(Exception):
    """The database does not answer, or not to us; the message says why, without the password."""


class DatabaseBusy(Exception):
    """Others hold what a migration needs; nothing is changed. The message says which lock, and who keeps it waiting."""


class NotPermitted(Exception):
    """The database role may not do this. The message is the server's: which table, and no values."""


class DatabaseRestored(Exception):
    """The database is older than the ledger of erasures: it would bring back whom we erased. An operator must act."""


class LedgerUnusable(Exception):
    """The ledger of erasures cannot be read or written, or is broken; the message says which, where and why."""


class ForeignEnvironment(BadInput):
    """The database is another installation's, or a copy of its: it sends and erases nothing.

    `owner` and `here` are an environment and a database's name each, as `environment/database`.
    """

    def __init__(self, owner: str, here: str) -> None:
        self.owner = owner
        self.here = here
        problem = f"it is that of {owner}, and this is {here}: a copy sends and erases nothing"
        adoption = f"`lifecycle adopt {owner}`, where it was moved or renamed for good"
        super().__init__([Finding("the database", problem, adoption)])


class RowRefused(Exception):
    """The database refused a row. Says by which constraint, never which row."""
