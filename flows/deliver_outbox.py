"""Delivery: hands what the outbox holds to the mail server or the mail folder."""

from collections import Counter
from time import monotonic
from typing import Annotated

from prefect import flow
from pydantic import Field

from flows.business_day import now, scheduled_day, scheduled_minute
from lifecycle.rules.outbox import State
from lifecycle.rules.runs import Summary
from tasks import provisioning
from tasks.delivery import (
    BULK,
    FAILED,
    IN_DOUBT,
    UNREACHABLE,
    deliver,
    deliver_bulk,
    foreign,
    look,
    take_stock,
    where_mails_go,
)
from tasks.provisioning import call
from tasks.runs import recorded

CONNECTIONS = 4

BULK_UNTIL = 240
"""Seconds from a run's start for which it sends mailings: the next run, a minute later, begins with what is urgent."""


def _run_name() -> str:
    return f"deliver-outbox {scheduled_minute()}"


@flow(name="deliver-outbox", flow_run_name=_run_name, result_serializer="json")
def deliver_outbox(connections: Annotated[int, Field(ge=1, le=16)] = CONNECTIONS, dry_run: bool = False) -> Summary:
    """Deliver what is due.

    - Each message is sent once; where that cannot be known it is in doubt, and a person decides.
    - What failed for the moment is tried again with growing waits; what was refused is listed.
    - Where the mail server cannot be used the run fails, and everything waits.
    - Mailings come last: at most `bulk_per_minute`, evenly spaced, by one run at a time, for about four minutes.
    - Who may not be contacted any more is not, and is counted with the reason.
    - A recipient of a mailing whom the server refuses is listed, and does not fail the run.
    - In a copy of another installation's database nothing leaves: it is counted, and stays queued.

    Args:
        connections: How many connections to the mail server deliver at once.
        dry_run: Only say what is waiting.
    """
    end = monotonic() + BULK_UNTIL
    with recorded("deliver-outbox", scheduled_day(), dry_run=dry_run) as summary:
        if not dry_run and not _is_copy(summary):
            summary.failed |= {UNREACHABLE, provisioning.UNREACHABLE, BULK + UNREACHABLE, BULK + IN_DOUBT}
            _deliver(summary, connections)
            if look()[State.QUEUED]:
                summary.counts.update(deliver_bulk(now(), end - monotonic()))
        describe_outbox(summary, look())
    return summary


def deliver_now(summary: Summary, connections: int = CONNECTIONS) -> None:
    """Deliver what is due by now, but for mailings; the figures go into `summary`.

    A message that fails for good or is in doubt fails the run, so that somebody looks. A server that cannot be reached
    fails only the run whose work is delivery: the messages wait.
    """
    if not _is_copy(summary):
        _deliver(summary, connections)
    describe_outbox(summary, look())


def _is_copy(summary: Summary) -> bool:
    if fact := foreign():
        summary.counts[f"kept back: a copy of {fact.owner}"] = look()[State.QUEUED]
        summary.notes.append(str(fact))
    return fact is not None


def _deliver(summary: Summary, connections: int) -> None:
    summary.failed.update({FAILED, IN_DOUBT, provisioning.FAILED})
    if take_stock()["queued"]:
        # Connections, not work: threads, whatever the task runner for portions is.
        delivering = deliver.map(range(connections), until=now())
        calling = call.map(range(connections), until=now())
        for done in [*delivering.result(), *calling.result()]:
            summary.counts.update(done)


def describe_outbox(summary: Summary, waiting: Counter[str]) -> None:
    summary.counts.update({f"outbox: {state}": number for state, number in waiting.items()})
    summary.notes.append(f"mails go to {where_mails_go()}")
    if any("not sent: " in reason for reason in summary.counts):
        summary.notes.append("what was not sent: `lifecycle outbox --state cancelled`")
    if summary.counts[BULK + FAILED]:
        summary.notes.append("what was refused: `lifecycle outbox --state failed`")
