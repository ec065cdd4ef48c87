"""One Prefect server, with deployments and a worker, for all tests that need one."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments import launcher
from lifecycle.settings import Settings


@pytest.fixture(scope="session")
def server_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="session")
def running(server_home: Path) -> Iterator[launcher.Running]:
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("PREFECT_API_URL", raising=False)
        environment.setenv("LIFECYCLE_TIMEZONE", "Europe/Rome")
        # By default the server looks 100 days ahead: less than from one change of the clocks to the next.
        environment.setenv("PREFECT_SERVER_SERVICES_SCHEDULER_MIN_RUNS", "13")
        environment.setenv("PREFECT_SERVER_SERVICES_SCHEDULER_MAX_SCHEDULED_TIME", "P400D")
        with launcher.running(Settings(home=server_home), launcher.free_port()) as running:
            yield running


@pytest.fixture
def prefect_api(running: launcher.Running, monkeypatch: pytest.MonkeyPatch) -> str:
    """The API address, which processes that the test starts find in their environment."""
    monkeypatch.setenv("PREFECT_API_URL", running.api)
    return running.api


@pytest.fixture
def client(prefect_api: str) -> Iterator[SyncPrefectClient]:
    with temporary_settings({PREFECT_API_URL: prefect_api}), get_client(sync_client=True) as client:
        yield client


@pytest.fixture(scope="session")
def chromium() -> str:
    if path := shutil.which("chromium"):
        return path
    if os.environ.get("CI") == "true":
        pytest.fail("chromium is not installed")
    pytest.skip("chromium is not installed")
