"""Which failures are worth another try: those of the moment, a lost connection or a deadlock."""

from typing import Any, TypedDict

from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task, exponential_backoff

from lifecycle.persistence.database import is_transient


class Retries(TypedDict):
    retries: int
    retry_delay_seconds: Any
    retry_jitter_factor: float
    retry_condition_fn: Any


def _is_transient(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    result = state.result(raise_on_failure=False)
    return isinstance(result, BaseException) and is_transient(result)


transient = Retries(
    retries=4,
    retry_delay_seconds=exponential_backoff(2),
    retry_jitter_factor=0.5,
    retry_condition_fn=_is_transient,
)
