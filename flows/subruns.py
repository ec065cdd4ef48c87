"""Runs of another deployment, one for each of several periods, one after the other."""

import time
from collections.abc import Sequence
from datetime import date
from typing import cast
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, State, StateType, WorkPoolStatus
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.runtime import deployment
from prefect.utilities.urls import url_for

from lifecycle.rules.findings import BadInput, Finding
from lifecycle.rules.periods import PERIODIC
from lifecycle.rules.runs import Summary, Table

COMPLETED = "completed"
WAITS = "waiting for a person"
NOT_BEGUN = "not begun"

_POLL_SECONDS = 1.0
_UNDER_WAY = (StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.PAUSED)


def run_in_order(summary: Summary, flow: str, periods: Sequence[date], *, tag: str) -> None:
    """Run that flow's deployment once for each of `periods`, each after the one before it has ended.

    Where one does not complete, or waits for a person, those after it are not begun, and the summary's run fails.

    The runs carry `tag`. One that a former run under this tag has started for a period and that is still under way,
    since its parent died, is waited for instead of starting another: no two runs may use a tag at once.

    Runs of reports are subruns: where this run is cancelled, Prefect cancels the one under way within a minute.
    What acts may have to wait for a person, which Prefect refuses to subruns: such a run is beside this one, and goes
    on when this one is cancelled or killed. It is one run for all that is due, and can be cancelled by itself.

    Raises:
        BadInput: On the command line, where no worker would run them.
    """
    if not periods:
        return
    if not deployment.id:  # on the command line; a worker has started us otherwise
        _refuse_without_worker(flow)
    table = Table(f"Runs of {flow}", ("period", "outcome", "run"), [])
    summary.tables.append(table)
    progress = cast(UUID, create_progress_artifact(0.0, description=f"runs of {flow}"))
    under_way = _under_way(flow, tag)
    for number, period in enumerate(periods, start=1):
        argument = PERIODIC[flow].argument(period)
        run = _run(flow, argument, tag, under_way.get(argument))
        outcome = _outcome(run)
        summary.counts[outcome] += 1
        table.rows.append((argument, outcome, f"[{run.name}]({url_for(run)})"))
        if outcome != COMPLETED:
            summary.failed.add(outcome)
            summary.counts[NOT_BEGUN] += len(periods) - number
            summary.notes.append(_what_to_do(run.name, outcome))
            return
        update_progress_artifact(progress, 100 * number / len(periods))


def _refuse_without_worker(flow: str) -> None:
    with get_client(sync_client=True) as client:
        try:
            pool = client.read_deployment_by_name(f"{flow}/{flow}").work_pool_name
            ready = pool and client.read_work_pool(pool).status is WorkPoolStatus.READY
        except ObjectNotFound:
            ready = False
    if not ready:
        expected = "a Prefect server with the deployments and a worker that is up: `lifecycle up`"
        raise BadInput([Finding("flow", f"nobody would start the runs of {flow}", expected)])


def _under_way(flow: str, tag: str) -> dict[str, FlowRun]:
    """By period, what a former run under this tag has started and that has not ended since."""
    state = FlowRunFilterState(type=FlowRunFilterStateType(any_=list(_UNDER_WAY)))
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=[flow])),
            flow_run_filter=FlowRunFilter(tags=FlowRunFilterTags(all_=[tag]), state=state),
        )
    return {run.parameters[PERIODIC[flow].parameter]: run for run in runs}


def _run(flow: str, argument: str, tag: str, former: FlowRun | None) -> FlowRun:
    """The run for a period when it has ended, or waits for a person: `former`, else a new one."""
    if former:
        ended = _ended(former)
        if not cast(State, ended.state).is_cancelled():  # with its parent, some seconds after it
            return ended
    return _ended(_start(flow, argument, tag))


def _start(flow: str, argument: str, tag: str) -> FlowRun:
    return cast(
        FlowRun,
        run_deployment(
            f"{flow}/{flow}",
            parameters={PERIODIC[flow].parameter: argument},
            flow_run_name=f"{flow} {argument}",
            timeout=0,
            tags=[tag],
            as_subflow=not PERIODIC[flow].acts,
        ),
    )


def _ended(run: FlowRun) -> FlowRun:
    """The run as soon as it has ended, or waits for a person."""
    with get_client(sync_client=True) as client:
        while not (run.state and (run.state.is_final() or run.state.is_paused())):
            time.sleep(_POLL_SECONDS)
            run = client.read_flow_run(run.id)
    return run


def _outcome(run: FlowRun) -> str:
    state = cast(State, run.state)
    return WAITS if state.is_paused() else state.type.value.lower()


def _what_to_do(name: str, outcome: str) -> str:
    if outcome == WAITS:
        return f"`{name}` waits for a person: resume that run and decide, then run this again"
    return f"`{name}` {outcome}: see why, then run this again, and it goes on from there"
