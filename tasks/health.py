"""Measures what `lifecycle.rules.health` judges: the tables, the disk, Prefect."""

import shutil
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client

from lifecycle.persistence import health as persistence
from lifecycle.persistence.database import transaction
from lifecycle.rules import health as rules
from lifecycle.rules.health import FREQUENT, Call, Matter, Store
from lifecycle.rules.outbox import State
from lifecycle.rules.periods import PERIODIC
from lifecycle.rules.runs import Table
from lifecycle.settings import settings
from tasks.delivery import BULK, foreign
from tasks.housekeeping import prefect_database
from tasks.retries import transient

FLOW = "health"
WEEK = timedelta(days=7)
TABLES = 5
DATABASE, PREFECT_DATABASE, FREE = "database, MB", "Prefect's database, MB", "free on the disk, MB"


@dataclass(slots=True)
class Found:
    """Why a person is called, figures by what they are of, the largest tables, what is to be told besides."""

    calls: list[Call]
    figures: dict[str, int] = field(default_factory=dict)
    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@task(cache_policy=NO_CACHE, **transient)
def waiting(now: datetime) -> Found:
    """What waits for longer than it may; of a copy of another installation's database nothing is to leave."""
    with transaction() as db:
        there = persistence.standing(db, now, f"{BULK}{State.SENT}")
    if (fact := foreign()) is None:
        return Found(rules.standing(there, now))
    ours = {matter: there[matter] for matter in there.keys() - {Matter.OVERDUE, Matter.MAILINGS}}
    return Found(rules.standing(ours, now), notes=[str(fact)])


@task(cache_policy=NO_CACHE, **transient)
def missed(now: datetime) -> Found:
    """Flows that do not run. What an operator has paused is told, and nobody is called for it."""
    expected = {flow for flow, periodic in PERIODIC.items() if periodic.acts or periodic.monthly} | set(FREQUENT)
    if settings().unsubscribe_inbox is None:
        expected.discard("process-unsubscribes")
    paused = expected & _paused()
    with transaction() as db:
        last, installed = persistence.last_runs(db), persistence.installed_at(db)
    zone = settings().zone
    today = now.astimezone(zone).date()
    calls = rules.missed(sorted(expected - paused), last, installed.astimezone(zone), now, today)
    return Found(calls, notes=[f"paused: `{flow}`" for flow in sorted(paused)])


def _paused() -> set[str]:
    with get_client(sync_client=True) as client:
        return {
            each.name
            for each in client.read_deployments()
            if each.paused or not any(schedule.active for schedule in each.schedules)
        }


@task(cache_policy=NO_CACHE, **transient)
def sizes(now: datetime) -> Found:
    """What the databases take, and what is left on the disk; against the run of a week ago."""
    with transaction() as db:
        there, before = persistence.sizes(db, TABLES), persistence.counted_before(db, FLOW, now, WEEK)
    figures = {DATABASE: there.database, FREE: shutil.disk_usage(settings().home).free // 1_000_000}
    figures |= {f"{DATABASE}: {name}": size for name, size, _ in there.tables}
    if prefect := prefect_database():
        figures[PREFECT_DATABASE], _ = prefect
    stores = [Store(name, figures[name], before.get(name)) for name in (DATABASE, PREFECT_DATABASE) if name in figures]
    largest = [(name, number, size, before.get(f"{DATABASE}: {name}", "")) for name, size, number in there.tables]
    table = Table("Largest tables", ("table", "rows, about", "MB", "MB a week ago"), [*largest])
    return Found([*rules.outgrown(stores), *rules.short_of_space(figures[FREE])], figures, [table])
