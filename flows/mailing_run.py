"""A mailing: queued for those of a segment who allow it; the others are counted and listed."""

from datetime import date
from typing import Annotated, Any

from prefect import flow
from prefect.runtime import flow_run
from pydantic import BeforeValidator

from flows.business_day import refuse_ahead, scheduled_day
from flows.portions import done
from lifecycle.rules.mailing import Outcome
from lifecycle.rules.runs import Summary, Table
from lifecycle.rules.segment import Segment, parts_of
from lifecycle.settings import settings
from tasks.mailing import SHOWN_CODES, Order, Outcomes, begin, cut, join_lists, queue
from tasks.runs import recorded


def _typed(given: Any) -> Any:
    return parts_of(given) if isinstance(given, str) else given


def _run_name() -> str:
    return f"mailing-run {flow_run.parameters['mailing']}"


@flow(name="mailing-run", flow_run_name=_run_name, result_serializer="json")
def mailing_run(
    mailing: str,
    segment: Annotated[Segment, BeforeValidator(_typed)] = Segment(),  # noqa: B008 - it cannot be changed
    dry_run: bool = False,
    business_date: date | None = None,
) -> Summary:
    """Queue a mailing for the customers of a segment who allow bulk mail; `deliver-outbox` sends it at its own pace.

    - A mailing goes to a customer once, whatever is run again and for whichever segment.
    - Everybody gets the texts with which it was begun; others under the same name are refused.
    - It goes to those with a valid consent that allows bulk mail; with that switch off, to all who have not objected.
    - All others are skipped, counted and listed with the reason; nothing about them is changed.
    - Each one is asked again at the moment its mail is sent.
    - Killed and run again, it goes on; two runs beside each other queue nobody twice.
    - A dry run lists exactly what the run would then do.
    - Texts, codes and settings that are wrong are refused, all at once, before anybody is queued.
    - A day more than one ahead of today is refused, except as a dry run.

    Args:
        mailing: Its name: that of a folder in the installation's `mailings`.
        segment: To whom: all that is given must be true; nothing given: to all. On the command line for example
            "policy=licence status=expired,disabled language=it"; there are reseller, product and country too.
        dry_run: Only say who would get it, and who not and why.
        business_date: The day to act for. Empty: the day for which the run was scheduled.
    """
    day = business_date or scheduled_day()
    with recorded("mailing-run", day, dry_run=dry_run) as summary:
        if not dry_run:
            refuse_ahead(day)
        order = Order(mailing, segment, day, summary.run_id, dry_run)
        lacking = begin(order)
        portions, outcomes = cut(), Outcomes()
        # Each writes its part of the list, a file.
        for portion in done(queue, "portion", portions, "customers looked at", here=True, order=order):
            outcomes.add(portion)
        _describe(summary, outcomes)
        if lacking:
            summary.notes.append(f"no text in {', '.join(lacking)}: who reads that gets it in {settings().locale}")
        summary.notes.append(f"all of the segment, with what became of each: `{join_lists(order, portions)}`")
    return summary


def _describe(summary: Summary, outcomes: Outcomes) -> None:
    queued, pace = outcomes.counts[Outcome.QUEUED], settings().policy.bulk_per_minute
    summary.counts["in the segment"] = outcomes.counts.total()
    summary.counts[Outcome.QUEUED] = queued
    skipped = [(reason, outcomes.counts[reason], codes) for reason, codes in sorted(outcomes.skipped.items())]
    summary.counts.update({f"skipped: {reason}": number for reason, number, _ in skipped})
    summary.notes.append(f"deliver-outbox sends what is queued, at most {pace} a minute")
    summary.tables += [
        Table("Queued, by language", ("language", "mails"), [*sorted(outcomes.languages.items())]),
        Table(
            f"Skipped, the first {SHOWN_CODES} of each",
            ("why", "customers", "which"),
            [(reason, number, ", ".join(codes)) for reason, number, codes in skipped],
        ),
    ]
