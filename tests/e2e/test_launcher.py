"""Starting and stopping everything on one machine, as a person or an init system does it."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.request import urlopen
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.states import Running

from deployments import deploy, launcher
from lifecycle.settings import Settings


def up(home: Path, port: int, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "from deployments.cli import main; main()", "up", "--port", str(port)],
        env=os.environ | {"LIFECYCLE_HOME": str(home)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def processes_of(home: Path) -> list[int]:
    """Whatever runs under that home, found by what it was started with."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"LIFECYCLE_HOME={home}".encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
    return found


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    for left in processes_of(tmp_path):
        os.kill(left, signal.SIGKILL)


@pytest.fixture
def migrated_home(home: Path, running: launcher.Running, server_home: Path) -> Path:
    """A home whose Prefect database exists already: making it takes ten seconds."""
    (home / "prefect").mkdir()
    with (
        closing(sqlite3.connect(server_home / "prefect" / "prefect.db")) as source,
        closing(sqlite3.connect(home / "prefect" / "prefect.db")) as copy,
    ):
        source.backup(copy)
    return home


def run_of(client: SyncPrefectClient, worker: str) -> UUID:
    """A run that a worker of that name has taken."""
    deployment = client.read_deployment_by_name("import-records/import-records")
    run = client.create_flow_run_from_deployment(deployment.id, parameters={"path": "absent"}, state=Running())
    client.update_flow_run_labels(run.id, {"prefect.worker.name": worker})
    return run.id


@pytest.fixture
def abandoned_run(client: SyncPrefectClient) -> Iterator[UUID]:
    """A run that its worker left behind when it was stopped."""
    run = run_of(client, socket.gethostname())
    yield run
    client.delete_flow_run(run)


def test_a_worker_that_starts_again_says_of_its_own_dead_runs_alone_that_they_crashed(
    client: SyncPrefectClient, prefect_api: str
) -> None:
    dead, alive, others = (run_of(client, name) for name in ("mine", "mine", "theirs"))
    with subprocess.Popen(["sleep", "60"], env={"PREFECT__FLOW_RUN_ID": str(alive)}) as outlived:
        deploy.crash_abandoned_runs(prefect_api, "mine")
        outlived.kill()
    states = [client.read_flow_run(run).state_name for run in (dead, alive, others)]
    for run in (dead, alive, others):
        client.delete_flow_run(run)
    assert states == ["Crashed", "Running", "Running"]


def test_a_name_is_one_workers_on_this_machine(tmp_path: Path) -> None:
    settings, host = Settings(home=tmp_path), socket.gethostname()
    with launcher.named(settings, None) as first, launcher.named(settings, None) as second:
        assert (first, second) == (host, f"{host}-2")
        with pytest.raises(launcher.StartError, match="runs here already"), launcher.named(settings, host):
            pass
    with launcher.named(settings, None) as again:
        assert again == host


def test_everything_starts_is_found_by_other_shells_and_leaves_no_process_at_sigterm(
    abandoned_run: UUID, migrated_home: Path, server_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PREFECT_API_URL")
    port = launcher.free_port()
    with up(migrated_home, port, LIFECYCLE_ERASURE_LEDGER=str(server_home / "erasures.ledger")) as started:
        assert started.stdout
        assert started.stdout.readline() == f"Prefect: http://127.0.0.1:{port}/v2\n"
        settings = Settings(home=migrated_home)
        assert launcher.running_api(settings) == f"http://127.0.0.1:{port}/api"
        with (
            pytest.raises(launcher.StartError, match="it runs already"),
            launcher.running(settings, launcher.free_port()),
        ):
            pass
        assert len(processes_of(migrated_home)) >= 3
        with urlopen(f"http://127.0.0.1:{port}/api/flow_runs/{abandoned_run}") as answer:
            assert json.load(answer)["state"]["type"] == "CRASHED"

        started.terminate()

        assert started.wait(60) == 0
    assert processes_of(migrated_home) == []
    assert launcher.running_api(settings) is None


def test_a_start_that_is_stopped_half_way_leaves_no_process(home: Path) -> None:
    with up(home, launcher.free_port()) as started:
        deadline = time.monotonic() + 30
        while len(processes_of(home)) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        started.terminate()
        assert started.wait(60) == 0
    assert processes_of(home) == []


def test_a_server_that_does_not_start_is_reported_with_its_log(home: Path) -> None:
    nowhere = f"postgresql+asyncpg://127.0.0.1:{launcher.free_port()}/absent"
    with up(home, launcher.free_port(), PREFECT_SERVER_DATABASE_CONNECTION_URL=nowhere) as started:
        output, _ = started.communicate(timeout=120)
    assert started.returncode == 1
    assert str(home / "logs" / "server.log") in output
    assert processes_of(home) == []


def test_a_taken_port_is_refused(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        taken = pytest.raises(launcher.StartError, match=f"port {port} is taken")
        with taken, launcher.running(Settings(home=tmp_path), port):
            pass


def test_another_homes_server_on_the_recorded_port_is_not_believed(running: launcher.Running, tmp_path: Path) -> None:
    (tmp_path / "server.url").write_text(running.api)
    assert launcher.running_api(Settings(home=tmp_path)) is None


def test_what_the_user_set_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_WORKER_QUERY_SECONDS", "60")
    assert launcher.environment(Settings(home=tmp_path), 4200)["PREFECT_WORKER_QUERY_SECONDS"] == "60"


def test_only_this_machine_reaches_the_server(running: launcher.Running) -> None:
    with urlopen(f"{running.api}/admin/settings") as answer:
        assert b'"host":"127.0.0.1"' in answer.read().replace(b" ", b"")
