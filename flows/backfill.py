"""Runs of past months or days that nobody made, or that failed: made now, one after the other."""

from collections.abc import Sequence
from datetime import date
from typing import Literal

from prefect import flow
from prefect.runtime import flow_run

from flows.business_day import Month, now, scheduled_day, today
from flows.subruns import run_in_order
from lifecycle.rules.backfill import Wish, periods, unfit
from lifecycle.rules.findings import BadInput
from lifecycle.rules.periods import PERIODIC, Which
from lifecycle.rules.runs import Summary, Table
from tasks.backfill import Choice, choose
from tasks.runs import recorded, settle

Periodic = Literal[
    "monthly-reseller-report",
    "open-cards-report",
    "consent-report",
    "daily-expiry-sweep",
    "billing-card-run",
    "charge-run",
    "consent-renewal",
]


def _run_name() -> str:
    given = flow_run.parameters
    first, last = given["from_month"] or given["from_date"], given["to_month"] or given["to_date"]
    return f"backfill {given['flow']} from {first}" + (f" to {last}" if last else "")


@flow(name="backfill", flow_run_name=_run_name, result_serializer="json")
def backfill(
    flow: Periodic,
    from_month: Month = "",
    to_month: Month = "",
    from_date: date | None = None,
    to_date: date | None = None,
    which: Which = Which.MISSING,
    dry_run: bool = False,
) -> Summary:
    """Run another flow for each past month or day of a time that is missing, or failed, in order.

    - What was run is decided by our own record of runs; first those whose process died are recognised as such.
    - A report is made for each period, as it was known then. None is sent: that is up to its own flow, with `deliver`.
    - What acts (sweep, card run, charges, consent renewal) does all that is due up to its day: one run, of the last of
      the days, makes up those before it; none is needed where a later day has been run.
    - The first run that does not complete, or waits for a person, is the last: this one then fails. Run it again, and
      it goes on from there. A period that is being run, or waits for a person, is left to that run.
    - Cancel this run, and the report under way is cancelled with it within a minute; what acts goes on, and can be
      cancelled by itself. Killed, it leaves the run under way to itself; run again, it starts no second one.

    Args:
        flow: What to run.
        from_month: The first month, as YYYY-MM, of a flow that runs by the month.
        to_month: The last month. Empty: the month before this one.
        from_date: The first day, of a flow that runs by the day.
        to_date: The last day. Empty: yesterday.
        which: Periods without a successful run (missing), those whose runs failed or died (failed), or all of them,
            for what acts only in a dry run.
        dry_run: Only list what would be run, and how the last runs of these periods ended.
    """
    wish = Wish(flow, from_month, to_month, from_date, to_date, which, dry_run)
    with recorded("backfill", scheduled_day(), dry_run=dry_run) as summary:
        if findings := unfit(wish, today()):
            raise BadInput(findings)
        summary.counts["runs found dead"] = settle(now()).total()
        asked = periods(wish, today())
        choice = choose(flow, asked, which)
        summary.counts["periods asked for"] = len(asked)
        summary.counts["periods to run"] = len(choice.to_run)
        if dry_run:
            _list(summary, flow, asked, choice)
        else:
            run_in_order(summary, flow, choice.to_run, tag="backfill")
    return summary


def _list(summary: Summary, flow: str, asked: Sequence[date], choice: Choice) -> None:
    rows: list[tuple[str | int, ...]] = []
    for period in asked:
        last = choice.last.get(period)
        ended = (last.outcome, f"{last.started_at:%Y-%m-%d %H:%M} UTC") if last else ("never run", "")
        rows.append((PERIODIC[flow].argument(period), "to run" if period in choice.to_run else "", *ended))
    summary.tables.append(Table(f"Periods of {flow}", ("period", "this run", "its last run", "begun"), rows))
