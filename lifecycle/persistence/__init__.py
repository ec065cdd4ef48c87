"""Rows: the only place that knows SQL. Functions take a session and leave committing to their caller."""


class DatabaseOutdated(Exception):
    """The database's tables are not those of this program: an operator must migrate it."""


class DatabaseUnreachable(Exception):
    """The database does not answer, or not to us; the message says why, without the password."""


class RowRefused(Exception):
    """The database refused a row. Says by which constraint, never which row."""
