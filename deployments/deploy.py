"""Applies ``prefect.yaml``: as often as one likes, and what the file no longer names goes.

``prefect deploy`` alone leaves a removed schedule active, unpauses what an operator paused and, once an operator adds a
schedule without a slug, makes all schedules of that deployment anew.
"""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import psutil
import yaml

from lifecycle.settings import Settings

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.responses import DeploymentResponse

ROOT = Path(__file__).resolve().parent.parent
POOL = "lifecycle"
TAG = "lifecycle"
DEPLOY_SECONDS = 600


class DeployError(Exception):
    """Prefect refused the deployments; the message is what it printed."""


def installation() -> dict[str, str]:
    """What ``prefect.yaml`` calls ``lifecycle.…``: a build step of ``prefect deploy``."""
    return {"directory": str(ROOT), "timezone": Settings().timezone, "version": version("lifecycle")}


def apply(environment: Mapping[str, str], file: Path = ROOT / "prefect.yaml") -> None:
    """Make the server's deployments equal to the file's.

    What operators paused stays paused, deployments and schedules. What the file does not name is removed: schedules of
    its deployments, and deployments with our tag. What forms offer to choose from is in this process's database.

    Args:
        environment: Of the ``prefect`` command; its PREFECT_API_URL says which server.
        file: Entrypoints in it are relative to the project.

    Raises:
        DeployError: Prefect refused; some deployments may have been applied.
        DatabaseUnreachable, DatabaseOutdated: it knows what forms offer to choose from.
    """
    from deployments import automations
    from tasks.choices import offer_choices

    with _client(environment["PREFECT_API_URL"]) as client:
        _ensure_pool(client)
        before, switched_off = _ours(client), _switched_off(client)
        _prefect_deploy(environment, file)
        _show_calendars(client)
        offer_choices(client)
        _prune(client, file)
        _pause_again(client, before)
        _switch_off_again(client, switched_off)
        automations.apply(client, Settings().alarm_url)


def offer_choices(api: str) -> None:
    """Let the forms on that server offer what is in this process's database."""
    from tasks.choices import offer_choices

    with _client(api) as client:
        offer_choices(client)


def worker_is_ready(api: str, name: str, since: datetime) -> bool:
    """Whether the worker of that name has reported to our pool since then."""
    with _client(api) as client:
        workers = client.read_workers_for_work_pool(POOL)
    return any(
        worker.name == name and worker.last_heartbeat_time and worker.last_heartbeat_time >= since for worker in workers
    )


def has_pool(api: str) -> bool:
    """Whether our pool is there: it comes with the deployments."""
    from prefect.exceptions import ObjectNotFound

    with _client(api) as client, suppress(ObjectNotFound):
        return bool(client.read_work_pool(POOL))
    return False


def limit_runs(api: str, at_once: int) -> None:
    """Let our pool's workers, as many as report to it now, run so many at once, each on average.

    The limit is the pool's because a worker that has one of its own ends as soon as a run is resumed whose former
    process is still on its way out.
    """
    from prefect.client.schemas.actions import WorkPoolUpdate
    from prefect.client.schemas.objects import WorkerStatus

    with _client(api) as client:
        workers = [w for w in client.read_workers_for_work_pool(POOL) if w.status is WorkerStatus.ONLINE]
        client.update_work_pool(POOL, WorkPoolUpdate(concurrency_limit=at_once * len(workers)))


def crash_abandoned_runs(api: str, worker: str) -> None:
    """Say of runs that the worker of that name left behind on this machine that they crashed, before it starts again.

    They would be shown as running for ever, and hold their deployment's only slot for five more minutes. Runs of other
    workers are not touched, nor are those whose process goes on: it outlives a worker that is killed.
    """
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
        WorkPoolFilter,
        WorkPoolFilterName,
    )
    from prefect.client.schemas.objects import StateType
    from prefect.states import Crashed

    begun = FlowRunFilterStateType(any_=[StateType.PENDING, StateType.RUNNING, StateType.CANCELLING])
    with _client(api) as client:
        for run in client.read_flow_runs(
            flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=begun)),
            work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[POOL])),
        ):
            if run.labels.get("prefect.worker.name") == worker and not _is_alive(run.id):
                client.set_flow_run_state(run.id, Crashed(message="its worker was stopped"))


def _is_alive(run: UUID) -> bool:
    """Whether a process of that run is on this machine. Its number, all that Prefect keeps, may be another's by now."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("PREFECT__FLOW_RUN_ID") == str(run):
                return True
    return False


@contextmanager
def _client(api: str) -> "Iterator[SyncPrefectClient]":
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: api}), get_client(sync_client=True) as client:
        yield client


def _ensure_pool(client: "SyncPrefectClient") -> None:
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists
    from prefect.workers.process import ProcessWorker

    template = ProcessWorker.get_default_base_job_template()
    with suppress(ObjectAlreadyExists):
        client.create_work_pool(WorkPoolCreate(name=POOL, type=ProcessWorker.type, base_job_template=template))


def _prefect_deploy(environment: Mapping[str, str], file: Path) -> None:
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(file)]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and file
            command,
            cwd=ROOT,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=DEPLOY_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise DeployError(f"`prefect deploy` has not ended after {DEPLOY_SECONDS} s; is the server well?") from None
    if done.returncode:
        raise DeployError(done.stdout)


def _ours(client: "SyncPrefectClient") -> "dict[str, DeploymentResponse]":
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags

    tagged = DeploymentFilter(tags=DeploymentFilterTags(all_=[TAG]))
    return {deployment.name: deployment for deployment in client.read_deployments(deployment_filter=tagged)}


def _show_calendars(client: "SyncPrefectClient") -> None:
    """Let forms show a day that can be left out as a calendar alone: for "a day or nothing" they show two tabs.

    What is not required and has no default may be empty, on the command line too.
    """
    from prefect.client.schemas.actions import DeploymentUpdate

    for deployment in _ours(client).values():
        schema = deployment.parameter_openapi_schema or {"properties": {}}
        days = [about for about in schema["properties"].values() if {"type": "null"} in about.get("anyOf", [])]
        for about in days:
            [day, _] = about.pop("anyOf")
            about.pop("default")
            about |= day
        if days:
            client.update_deployment(deployment.id, DeploymentUpdate(parameter_openapi_schema=schema))


def _prune(client: "SyncPrefectClient", file: Path) -> None:
    named = {
        deployment["name"]: {schedule["slug"] for schedule in deployment.get("schedules", [])}
        for deployment in yaml.safe_load(file.read_text())["deployments"]
    }
    for name, deployment in _ours(client).items():
        if name not in named:
            client.delete_deployment(deployment.id)
            continue
        for schedule in deployment.schedules:
            if schedule.slug not in named[name]:
                client.delete_deployment_schedule(deployment.id, schedule.id)


def _pause_again(client: "SyncPrefectClient", before: "dict[str, DeploymentResponse]") -> None:
    for name, deployment in _ours(client).items():
        if name not in before:
            continue
        if before[name].paused and not deployment.paused:
            client.pause_deployment(deployment.id)
        inactive = {schedule.slug for schedule in before[name].schedules if not schedule.active}
        for schedule in deployment.schedules:
            if schedule.active and schedule.slug in inactive:
                client.update_deployment_schedule(deployment.id, schedule.id, active=False)


def _switched_off(client: "SyncPrefectClient") -> set[str]:
    return {automation.name for automation in client.read_automations() if not automation.enabled}


def _switch_off_again(client: "SyncPrefectClient", names: set[str]) -> None:
    """Prefect makes the triggers of deployments anew, switched on."""
    for automation in client.read_automations():
        if automation.enabled and automation.name in names:
            client.pause_automation(automation.id)
