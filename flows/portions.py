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


def done(
    task: Task[..., Done], over: str, portions: Iterable[Any], what: str, *, here: bool = False, **common: Any
) -> Iterator[Done]:
    """Run `task` once for each of `portions`, its parameter `over`, and give what it returns as each is done.

    The UI shows how far it is, as `what`. The first portion that fails for good ends the run; the others are done.

    With `here` all of them are done on this machine: those that write files, which the others would look for here.
    """
    cut = list(portions)
    progress = cast(UUID, create_progress_artifact(0.0, description=what)) if len(cut) > 1 else None
    with _runner("threads" if here and settings().task_runner == "dask" else settings().task_runner) as runner:
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


def _runner(kind: str) -> TaskRunner[Any]:
    if kind == "processes":
        return ProcessPoolTaskRunner(max_workers=WORKERS)
    if kind == "dask":
        from prefect_dask.task_runners import DaskTaskRunner  # an extra, which not everybody has

        return DaskTaskRunner(address=settings().dask_address)
    return ThreadPoolTaskRunner(max_workers=WORKERS)
