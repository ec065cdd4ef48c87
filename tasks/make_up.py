"""What no run has seen to, of the flows that run by a schedule: by Prefect's schedules and our own record of runs."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import DeploymentSchedule, StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound
from prefect.server.schemas.schedules import SCHEDULE_TYPES
from pydantic import TypeAdapter

from lifecycle.persistence import runs
from lifecycle.persistence.database import transaction
from lifecycle.rules.periods import PERIODIC, Ran, Which, given_up, superseded, to_run
from lifecycle.settings import settings
from tasks.retries import transient

LOOK_BACK = timedelta(days=400)
"""A year, and the month's report of a year ago. What is older nobody waits for."""

GRACE = timedelta(minutes=30)
"""What is due since less is Prefect's: its worker may be about to begin."""

_AT_ONCE = 500

# The server's own: what operators schedule in the UI need not be cron, and clocks change as they do for its runs.
_SCHEDULE: TypeAdapter[SCHEDULE_TYPES] = TypeAdapter(SCHEDULE_TYPES)


@dataclass(frozen=True, slots=True)
class Gap:
    """Periods of a flow that no run has seen to, in order: those to be run, and those tried in vain too often.

    `due_at` is the hour of its schedule, in the business time zone.
    """

    flow: str
    to_run: list[date]
    given_up: list[date]
    due_at: time


@dataclass(frozen=True, slots=True)
class Outlook:
    """Gaps, in the order of their hours; flows of which operators paused a schedule; flows that are not deployed."""

    gaps: list[Gap]
    paused: list[str]
    absent: list[str]


@task(cache_policy=NO_CACHE, **transient)
def look(now: datetime) -> Outlook:
    """What was due and is missing now."""
    outlook = Outlook([], [], [])
    with get_client(sync_client=True) as client:
        for flow in PERIODIC:
            try:
                deployment = client.read_deployment_by_name(f"{flow}/{flow}")
            except ObjectNotFound:
                outlook.absent.append(flow)
                continue
            if deployment.paused or not all(schedule.active for schedule in deployment.schedules):
                outlook.paused.append(flow)
            if not deployment.paused and (gap := _gap(client, flow, deployment, now)):
                outlook.gaps.append(gap)
    outlook.gaps.sort(key=lambda gap: gap.due_at)
    return outlook


def _gap(client: SyncPrefectClient, flow: str, deployment: DeploymentResponse, now: datetime) -> Gap | None:
    periodic, zone = PERIODIC[flow], settings().zone
    with transaction() as db:
        began = [moment for moment in (deployment.created, runs.first_started(db, flow)) if moment]
    due = sorted(due_moments(deployment.schedules, max(min(began), now - LOOK_BACK), now - GRACE))
    if not due:
        return None
    periods = {periodic.of(moment, zone) for moment in due}
    with transaction() as db:
        ran = runs.of_periods(db, flow, min(periods))
    missing = to_run(periodic, periods, ran + _with_prefect(client, flow, now), Which.MISSING)
    if not missing:
        return None
    left = given_up(missing, ran, now)
    return Gap(flow, [period for period in missing if period not in left], left, due[-1].astimezone(zone).time())


def due_moments(schedules: Sequence[DeploymentSchedule], first: datetime, last: datetime) -> Iterator[datetime]:
    """The moments for which schedules that are active have runs, from the first to the last; those of each in order."""
    for each in schedules:
        schedule, since = _SCHEDULE.validate_python(each.schedule.model_dump()), first
        while each.active and (moments := asyncio.run(schedule.get_dates(_AT_ONCE, since, last))):
            yield from moments
            since = moments[-1] + timedelta(seconds=1)


def _with_prefect(client: SyncPrefectClient, flow: str, now: datetime) -> list[Ran]:
    """Runs that Prefect has still to begin, or has begun only just, so that we have no record of them yet.

    What acts and comes too late will do nothing, and is not waited for; nor is what is on its way for a day.
    """
    on_their_way = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING]
    found = client.read_flow_runs(
        flow_filter=FlowFilter(name=FlowFilterName(any_=[flow])),
        flow_run_filter=FlowRunFilter(
            expected_start_time=FlowRunFilterExpectedStartTime(before_=now),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=on_their_way)),
        ),
    )
    periodic, zone = PERIODIC[flow], settings().zone
    return [
        Ran(periodic.of(scheduled, zone), "running", scheduled)
        for run in found
        if (scheduled := run.expected_start_time) and not run.parameters.get(periodic.parameter)
        if not superseded(scheduled, now, zone) or (not periodic.acts and run.state_type is StateType.SCHEDULED)
    ]
