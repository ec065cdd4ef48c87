"""Running deployments as an operator does, and looking at what they leave behind."""

import csv
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.client.schemas.objects import Artifact, FlowRun, Log
from prefect.deployments import run_deployment
from sqlalchemy import Engine, text

ENDED = {"Completed", "Failed", "Crashed", "Cancelled"}


def run(flow: str, /, **parameters: Any) -> FlowRun:
    """Run a deployment and wait for its end."""
    done: Any = run_deployment(
        f"{flow}/{flow}", parameters=parameters, timeout=240, poll_interval=0.5, as_subflow=False
    )
    assert done.state
    return done  # type: ignore[no-any-return]


def start(client: SyncPrefectClient, flow: str, /, **parameters: Any) -> UUID:
    """Start a run of a deployment, which then goes on by itself."""
    deployment = client.read_deployment_by_name(f"{flow}/{flow}")
    return client.create_flow_run_from_deployment(deployment.id, parameters=parameters).id


def state_reached(client: SyncPrefectClient, run_id: UUID, *, suspended: bool = False, seconds: int = 120) -> str:
    """The state in which a run ends or, with `suspended`, waits for a person."""
    awaited = ENDED | ({"Suspended"} if suspended else set())
    deadline = time.monotonic() + seconds
    while (name := client.read_flow_run(run_id).state_name) not in awaited and time.monotonic() < deadline:
        time.sleep(0.3)
    return name or ""


def eventually(condition: Callable[[], object], seconds: int = 90) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@contextmanager
def held_up(tables: Engine, table: str) -> Iterator[Callable[[], int]]:
    """Inside the block, who writes to the table waits in the middle of it. Yields how many do."""
    waits = (
        "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted AND relation = CAST(:table AS regclass)"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    with tables.begin() as db:
        db.execute(text(f"LOCK TABLE {table} IN SHARE MODE"))
        yield lambda: int(db.execute(text(waits), {"table": table}).scalar_one())


def summary_artifacts(client: SyncPrefectClient, run_id: UUID) -> list[Artifact]:
    """The summaries that a run left, in order."""
    found = client.read_artifacts(artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id])))
    return sorted((one for one in found if one.type == "markdown"), key=lambda one: str(one.created))


def summaries(client: SyncPrefectClient, run_id: UUID) -> list[str]:
    """What they say."""
    return [str(artifact.data) for artifact in summary_artifacts(client, run_id)]


def log_of(client: SyncPrefectClient, run_id: UUID, until: str, seconds: int = 30) -> list[Log]:
    """What the run's log in the UI says, once a line holds `until`: lines come there some seconds late."""
    mine = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run_id]))
    deadline = time.monotonic() + seconds
    while True:
        lines = client.read_logs(mine)
        if any(until in line.message for line in lines):
            return lines
        assert time.monotonic() < deadline, f"no line holds {until!r}"
        time.sleep(0.3)


def personal_values_in_prefect(server_home: Path, business: Path, known: str) -> set[str]:
    """Names, addresses and telephone numbers of the business that Prefect's database, files or logs hold.

    `known` is a run's name, which must be there: we look in the right place.
    """
    values: set[str] = set()
    for file in ("customers.csv", "resellers.csv"):
        with (business / file).open(newline="", encoding="utf-8") as lines:
            for row in csv.DictReader(lines):
                values |= {row["name"], row["email"], row.get("phone", ""), row.get("street", "")}
    kept = [*(server_home / "prefect").glob("prefect.db*"), *(server_home / "prefect" / "storage").glob("*")]
    stored = b"".join(path.read_bytes() for path in [*kept, *(server_home / "logs").glob("*.log")])
    assert known.encode() in stored
    has = cache(stored.__contains__)

    def held(value: str) -> bool:
        forms = (value.encode(), json.dumps(value)[1:-1].encode())
        # Most have a beginning or an end in common: thousands of searches become hundreds.
        return any(has(form[:6]) and has(form[-6:]) and form in stored for form in forms)

    return {value for value in values if len(value) > 6 and held(value)}
