"""What is kept for a time only: counted, and removed in portions, in our tables and in Prefect.

Safety case for Prefect. Only runs that ended before a moment go, which the server itself asks in the transaction that
removes them: what waits, or has been resumed since, stays. A run's artifacts go first, since Prefect leaves them
behind; its task runs and inputs go with it, its logs right after. Killed in between, the next run goes on.
"""

import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime
from uuid import UUID

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import TERMINAL_STATES
from prefect.settings import get_current_settings

from lifecycle.persistence import housekeeping
from lifecycle.persistence.database import transaction
from lifecycle.rules.runs import Table
from tasks.retries import transient

PORTION = 10_000

PREFECT_PAGE = 50
"""So many runs Prefect removes at once, at the most."""

PREFECT_MOST = 5_000
"""In one run of ours, so that it ends; a day has a few hundred."""

PREFECT_ARTIFACTS = 200
"""Prefect's page."""

ATTEMPTS = "tries to deliver"
RUNS = "records of runs"
PREFECT_RUNS = "runs in Prefect"


@task(cache_policy=NO_CACHE, **transient)
def clear_attempts(before: datetime, *, dry_run: bool) -> Counter[str]:
    """Remove tries from before that moment of messages that are settled. Returns how many, or would be."""
    with transaction() as db:
        ids = housekeeping.attempts_from_before(db, before)
        if dry_run:
            return Counter({ATTEMPTS: housekeeping.old_attempts(db, before, ids)})
    removed = 0
    for first in ids[::PORTION]:
        with transaction() as db:
            portion = range(first, min(first + PORTION, ids.stop))
            removed += housekeeping.remove_attempts(db, before, portion)
    return Counter({ATTEMPTS: removed})


@task(cache_policy=NO_CACHE, **transient)
def clear_runs(before: datetime, *, dry_run: bool) -> Counter[str]:
    """Remove records of runs from before that moment on which nothing rests. Returns how many, or would be."""
    if dry_run:
        with transaction() as db:
            return Counter({RUNS: housekeeping.old_runs(db, before)})
    removed, last = 0, PORTION
    while last == PORTION:
        with transaction() as db:
            last = housekeeping.remove_runs(db, before, PORTION)
        removed += last
    return Counter({RUNS: removed})


@task(cache_policy=NO_CACHE)
def clear_prefect(before: datetime, *, dry_run: bool) -> Counter[str]:
    """Remove what Prefect keeps of runs that ended before that moment. Returns how many runs, or would be."""
    ended = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=sorted(TERMINAL_STATES))),
        end_time=FlowRunFilterEndTime(before_=before),
    )
    with get_client(sync_client=True) as client:
        if dry_run:
            return Counter({PREFECT_RUNS: min(client.count_flow_runs(flow_run_filter=ended), PREFECT_MOST)})
        removed = 0
        while removed < PREFECT_MOST:
            page = client.read_flow_runs(flow_run_filter=ended, limit=PREFECT_PAGE)
            gone = _remove(client, ended, [run.id for run in page]) if page else 0
            if not gone:
                break
            removed += gone
    return Counter({PREFECT_RUNS: removed})


def _remove(client: SyncPrefectClient, ended: FlowRunFilter, runs: list[UUID]) -> int:
    theirs = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=runs))
    while artifacts := client.read_artifacts(artifact_filter=theirs, limit=PREFECT_ARTIFACTS):
        for artifact in artifacts:
            client.delete_artifact(artifact.id)
    chosen = ended.model_copy(update={"id": FlowRunFilterId(any_=runs)})
    answer = client.request(
        "POST",
        "/flow_runs/bulk_delete",  # type: ignore[arg-type] # the client's list of paths lacks it
        json={"flow_runs": chosen.model_dump(mode="json", exclude_unset=True), "limit": PREFECT_PAGE},
    )
    return len(answer.json()["deleted"])


@task(cache_policy=NO_CACHE)
def stock() -> Mapping[str, tuple[int | str, int | str]]:
    """What there is now: of each store, rows (of tables by estimate) and MB; empty: not to be seen from here."""
    with transaction() as db:
        tables = housekeeping.stock(db)
    with get_client(sync_client=True) as client:
        runs = client.count_flow_runs()
    size, free = prefect_database() or ("", "")
    return {**tables, "Prefect, runs": (runs, size), "Prefect, free for reuse": ("", free)}


def prefect_database() -> tuple[int, int] | None:
    """How many MB Prefect's database takes and how many of them are free in it; None: it is not on this machine.

    SQLite does not give back to the disk what is free. VACUUM would, and meanwhile the server could not write.
    """
    path = get_current_settings().home / "prefect.db"
    if not path.exists():
        return None
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        (page,), (pages,), (free,) = (
            db.execute(f"PRAGMA {what}").fetchone() for what in ("page_size", "page_count", "freelist_count")
        )
    return page * pages // 1_000_000, page * free // 1_000_000


def compared(
    before: Mapping[str, tuple[int | str, int | str]], after: Mapping[str, tuple[int | str, int | str]]
) -> Table:
    """What each store had, and has."""
    rows = [(store, *before[store], *after[store]) for store in before]
    return Table("Sizes", ("store", "rows before", "MB before", "rows after", "MB after"), [*rows])
