"""The portions of a run, spread over the configured task runner."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, cast
from uuid import UUID

from prefect import Task, unmapped
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.futures import as_completed
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner

from lifecycle.settings import settings

WORKERS = 4


def counted(
    task: Task[..., Counter[str]], over: str, portions: Iterable[Any], what: str, **common: Any
) -> Counter[str]:
    """Run `task` once for each of `portions`, its parameter `over`, and add up what it counts.

    The UI shows how far it is, as `what`. The first portion that fails for good ends the run; the others are done.
    """
    cut = list(portions)
    counts: Counter[str] = Counter()
    progress = cast(UUID, create_progress_artifact(0.0, description=what)) if len(cut) > 1 else None
    with _runner() as runner:
        parameters = {over: cut, **{name: unmapped(value) for name, value in common.items()}}
        for done, future in enumerate(as_completed(runner.map(cast(Any, task), parameters)), start=1):
            counts.update(future.result())
            if progress:
                update_progress_artifact(progress, 100 * done / len(cut))
    return counts


def _runner() -> TaskRunner[Any]:
    if settings().task_runner == "processes":
        return ProcessPoolTaskRunner(max_workers=WORKERS)
    return ThreadPoolTaskRunner(max_workers=WORKERS)
