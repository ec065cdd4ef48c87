"""Runs that should have been, and were not: made now, whatever kept them from it."""

from collections.abc import Sequence
from datetime import date

from prefect import flow
from prefect.runtime import flow_run

from flows.business_day import now, today
from flows.subruns import run_in_order
from lifecycle.rules.calendar import first_of_month
from lifecycle.rules.periods import PERIODIC, TRIES
from lifecycle.rules.runs import Summary, Table
from tasks.make_up import Outlook, look
from tasks.runs import recorded, settle

REPORT = "monthly-reseller-report"
MISSING = "periods to make up"
GIVEN_UP = f"left to a person: failed {TRIES} times within a day"
PAUSED = "paused by operators"
ABSENT = "not deployed"


def _run_name() -> str:
    return f"make-up {today()}" + (" (dry run)" if flow_run.parameters["dry_run"] else "")


@flow(name="make-up", flow_run_name=_run_name, result_serializer="json")
def make_up(dry_run: bool = False) -> Summary:
    """Run what was due by a schedule and has no successful run: nobody began it, it failed, or its process died.

    - What was due is decided by the schedules as they are now, back to the flow's first run or deployment, for 400 days
      at most; what was run, by our own record of runs. First, runs whose process died are recorded as crashed.
    - What acts (sweep, charges, cards, consent renewal) does all that is due: one run, of the last of the missing days.
    - Each month's report that is missing is made, in order. That of the current month is sent, as ever; one of a past
      month is not: to send it, run `monthly-reseller-report` with `month` and `deliver`.
    - What became due within 30 minutes, waits for a worker, is being run or waits for a person, is left to that run.
    - What operators paused is not made up, as long as it is paused.
    - A flow whose run fails keeps no other from being made up; this run fails at the end.
    - What was tried in vain three times within a day is left to a person: this run fails, and says so.

    Args:
        dry_run: Start nothing; list what would be run.
    """
    with recorded("make-up", today(), dry_run=dry_run) as summary:
        summary.counts["runs whose process died"] = settle(now()).total()
        outlook = look(now())
        _describe(summary, outlook)
        if not dry_run:
            for gap in outlook.gaps:
                run_in_order(summary, gap.flow, gap.to_run, tag="make-up")
    return summary


def _listed(flow: str, periods: Sequence[date]) -> str:
    return ", ".join(map(PERIODIC[flow].argument, periods))


def _describe(summary: Summary, outlook: Outlook) -> None:
    summary.counts[MISSING] = sum(len(gap.to_run) for gap in outlook.gaps)
    summary.counts[GIVEN_UP] = sum(len(gap.given_up) for gap in outlook.gaps)
    summary.counts[PAUSED], summary.counts[ABSENT] = len(outlook.paused), len(outlook.absent)
    summary.failed |= {GIVEN_UP, ABSENT}
    rows = [(gap.flow, _listed(gap.flow, gap.to_run), "to be run") for gap in outlook.gaps if gap.to_run]
    rows += [(gap.flow, _listed(gap.flow, gap.given_up), GIVEN_UP) for gap in outlook.gaps if gap.given_up]
    rows += [(flow, "", what) for what, flows in ((PAUSED, outlook.paused), (ABSENT, outlook.absent)) for flow in flows]
    summary.tables.append(Table("Missing", ("flow", "periods", "what"), [*rows]))
    if any(gap.flow == REPORT and gap.to_run and gap.to_run[0] < first_of_month(today()) for gap in outlook.gaps):
        summary.notes.append(f"reports of past months are made, not sent: for that, run `{REPORT}` with `deliver`")
