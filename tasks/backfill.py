"""Which periods of a flow a backfill runs, and how their last runs ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from prefect import task
from prefect.cache_policies import NO_CACHE

from lifecycle.persistence import runs
from lifecycle.persistence.database import transaction
from lifecycle.rules.periods import PERIODIC, Ran, Which, to_run
from tasks.retries import transient


@dataclass(frozen=True, slots=True)
class Choice:
    """The periods that are to be run, in order, and the last run of each period that has ever had one."""

    to_run: list[date]
    last: dict[date, Ran]


@task(cache_policy=NO_CACHE, **transient)
def choose(flow: str, periods: Sequence[date], which: Which) -> Choice:
    """Which of `periods`, of which there is at least one, are to be run by our own record of runs."""
    with transaction() as db:
        ran = runs.of_periods(db, flow, min(periods))
    return Choice(to_run(PERIODIC[flow], periods, ran, which), {run.period: run for run in ran})
