"""The portions of a run, spread over the configured task runner."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar, cast
from uuid import UUID

from prefect import Task, unmapped
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.futures import as_completed
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner

from lifecycle.rules.findings import BadInput, Finding
from lifecycle.settings import settings

WORKERS = 4

Done = TypeVar("Done")


def counted(
    task: Task[..., Counter[str]], over: str, portions: Iterable[Any], what: str, **common: Any
) -> Counter[str]:
    """Run `task` once for each of `portions`, and add up what it counts; see `done`."""
    counts: Counter[str] = Counter()
    for portion in done(task, over, portions, what, **common):
        counts.update(portion)
    return counts


def done(task: Task[..., Done], over: str, portions: Iterable[Any], what: str, **common: Any) -> Iterator[Done]:
    """Run `task` once for each of `portions`, its parameter `over`, and give what it returns as each is done.

    The UI shows how far it is, as `what`. The first portion that fails for good ends the run; the others are done.
    """
    cut = list(portions)
    progress = cast(UUID, create_progress_artifact(0.0, description=what)) if len(cut) > 1 else None
    with _runner() as runner:
        parameters = {over: cut, **{name: unmapped(value) for name, value in common.items()}}
        for number, future in enumerate(as_completed(runner.map(cast(Any, task), parameters)), start=1):
            yield future.result()
            if progress:
                update_progress_artifact(progress, 100 * number / len(cut))


def codes_in(listed: str, parameter: str) -> list[str] | None:
    """The codes that an operator lists by commas; None for "all". Raises BadInput, naming the flow's parameter."""
    codes = [code.strip() for code in listed.split(",")]
    if codes == ["all"]:
        return None
    if not all(codes):
        raise BadInput([Finding(parameter, "a code is empty", 'codes separated by commas, or "all"')])
    return codes


def _runner() -> TaskRunner[Any]:
    if settings().task_runner == "processes":
        return ProcessPoolTaskRunner(max_workers=WORKERS)
    return ThreadPoolTaskRunner(max_workers=WORKERS)
