"""The command line, killed (-9) before its n-th statement or commit: ``python -m tests.faults.killed N run FLOW …``.

With N = 0 nothing is killed, and the number of statements and commits is printed on standard error.
"""

import os
import signal
import sys
from typing import Any
from unittest.mock import patch

import psycopg
from sqlalchemy import Engine, event

from deployments.cli import main

places = 0


def reached(*_: Any) -> None:
    global places
    places += 1
    if places == deadly:
        os.kill(os.getpid(), signal.SIGKILL)


execute = psycopg.Cursor.execute


def reached_then_execute(*args: Any, **options: Any) -> Any:
    reached()
    return execute(*args, **options)


if __name__ == "__main__":
    deadly = int(sys.argv.pop(1))
    event.listen(Engine, "commit", reached)
    try:
        # The driver's own: not all statements go through SQLAlchemy.
        with patch.object(psycopg.Cursor, "execute", reached_then_execute):
            main()
    finally:
        print(f"places: {places}", file=sys.stderr)
