"""Prefect's command line as a server runs it: `python -m deployments.prefect_server server start`.

Under a Python before 3.12 a server on SQLite would stand still for a minute now and then. There, a cursor whose
statement failed, as "database is locked", holds that statement until it is collected as garbage. By then another
statement of the same connection may wait for SQLite's write lock, for up to a minute, and giving back the first one
waits for that: in the thread of the event loop, on which whoever has the write lock waits in turn.
"""

import sqlite3
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from aiosqlite import Cursor
from prefect.cli import app


async def _execute(cursor: Cursor, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """As aiosqlite does it, and what failed is given back at once, in the connection's own thread."""
    return await cursor._conn._execute(  # type: ignore[no-untyped-call]
        partial(_closed_when_it_fails, cursor._cursor, function, *args, **kwargs)
    )


def _closed_when_it_fails(cursor: sqlite3.Cursor, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    try:
        return function(*args, **kwargs)
    except sqlite3.Error:
        cursor.close()
        raise


if sys.version_info < (3, 12):
    Cursor._execute = _execute  # type: ignore[assignment,method-assign]

if __name__ == "__main__":
    app()
