"""Delivery: hands what the outbox holds to the mail server or the mail folder."""

from collections import Counter
from typing import Annotated

from prefect import flow
from pydantic import Field

from flows.business_day import now, scheduled_day
from lifecycle.rules.runs import Summary
from tasks import provisioning
from tasks.delivery import FAILED, IN_DOUBT, UNREACHABLE, deliver, look, take_stock, where_mails_go
from tasks.provisioning import call
from tasks.runs import recorded

CONNECTIONS = 4


@flow(name="deliver-outbox", result_serializer="json")
def deliver_outbox(connections: Annotated[int, Field(ge=1, le=16)] = CONNECTIONS, dry_run: bool = False) -> Summary:
    """Deliver what is due.

    - Each message is sent once; where that cannot be known it is in doubt, and a person decides.
    - What failed for the moment is tried again with growing waits; what was refused is listed.
    - Where the mail server cannot be used the run fails, and everything waits.

    Args:
        connections: How many connections to the mail server deliver at once.
        dry_run: Only say what is waiting.
    """
    with recorded("deliver-outbox", scheduled_day(), dry_run=dry_run) as summary:
        if dry_run:
            describe_outbox(summary, look())
        else:
            summary.failed.update({UNREACHABLE, provisioning.UNREACHABLE})
            deliver_now(summary, connections)
    return summary


def deliver_now(summary: Summary, connections: int = CONNECTIONS) -> None:
    """Deliver what is due by now; the figures go into `summary`.

    A message that fails for good or is in doubt fails the run, so that somebody looks. A server that cannot be reached
    fails only the run whose work is delivery: the messages wait.
    """
    summary.failed.update({FAILED, IN_DOUBT, provisioning.FAILED})
    if take_stock()["queued"]:
        # Connections, not work: threads, whatever the task runner for portions is.
        delivering = deliver.map(range(connections), until=now())
        calling = call.map(range(connections), until=now())
        for done in [*delivering.result(), *calling.result()]:
            summary.counts.update(done)
    describe_outbox(summary, look())


def describe_outbox(summary: Summary, waiting: Counter[str]) -> None:
    summary.counts.update({f"outbox: {state}": number for state, number in waiting.items()})
    summary.notes.append(f"mails go to {where_mails_go()}")
