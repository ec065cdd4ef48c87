"""Says whether a person is needed, and for what."""

from datetime import datetime

from prefect import flow

from flows.business_day import now, scheduled_day
from lifecycle.rules.health import Call
from lifecycle.rules.runs import Summary, Table
from lifecycle.settings import settings
from tasks.health import FLOW, missed, sizes, waiting
from tasks.runs import recorded


def _run_name() -> str:
    return f"{FLOW} {scheduled_day()}"


@flow(name=FLOW, flow_run_name=_run_name, result_serializer="json")
def health() -> Summary:
    """Fail where a person is needed, and say why, since when, and what to do.

    - Messages that do not leave, are in doubt or failed. What is withheld, retried or paced is in good order.
    - Plans that the brake holds, withdrawals, erasures and payments on which somebody must decide.
    - Flows that have not completed for too long, and runs that do not end. What an operator has paused is only told.
    - Databases that doubled within a week, and a disk that is nearly full.
    - It looks at how things are now, whatever day it was scheduled for, and changes nothing: there is no dry run.
    """
    moment = now()
    with recorded(FLOW, scheduled_day(), dry_run=False) as summary:
        calls: list[Call] = []
        for found in (waiting(moment), missed(moment), sizes(moment)):
            calls += found.calls
            summary.counts.update(found.figures)
            summary.tables += found.tables
            summary.notes += found.notes
        for call in calls:
            summary.counts[call.matter] += call.number
            summary.failed.add(call.matter)
        rows = [(call.what, call.number, _told(call), call.to_do) for call in calls]
        summary.tables.insert(0, Table("For a person", ("what", "how many", "since", "what to do"), [*rows]))
        if not calls:
            summary.notes.insert(0, "nobody is needed")
    return summary


def _told(call: Call) -> str:
    """Since when, in the business time zone."""
    if isinstance(call.since, datetime):
        return f"{call.since.astimezone(settings().zone):%Y-%m-%d %H:%M}"
    return str(call.since or "")
