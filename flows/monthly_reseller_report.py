"""The monthly reseller report: one mail per reseller with the three lists of its customers' licences."""

from collections import Counter, defaultdict

from prefect import flow
from prefect.runtime import flow_run

from flows.business_day import Month, now, scheduled_day, today
from flows.deliver_outbox import deliver_now
from flows.portions import codes_in
from lifecycle.rules.calendar import first_of_month, month_of, scheduled_moment
from lifecycle.rules.findings import BadInput, Finding
from lifecycle.rules.reseller_report import Mail, Standing, Wish, mail_for
from lifecycle.rules.runs import Summary, Table
from lifecycle.settings import settings
from tasks.reseller_report import Order, make, queue_mails
from tasks.runs import recorded


def _run_name() -> str:
    return f"monthly-reseller-report {flow_run.parameters['month'] or format(scheduled_day(), '%Y-%m')}"


@flow(name="monthly-reseller-report", flow_run_name=_run_name, result_serializer="json")
def monthly_reseller_report(
    month: Month = "",
    resellers: str = "all",
    deliver: bool = False,
    skip_empty: bool = False,
    resend: bool = False,
    dry_run: bool = False,
) -> Summary:
    """One mail per reseller: which of its customers' licences expire, have expired or are disabled on the 1st.

    - Every reseller has one report per month, whatever is run again; what is missing is made up.
    - A past month is reported as it was known at its scheduled moment, and sent only when asked for.
    - A month to come is refused, except as a dry run.
    - Before the stream's go-live date mails are withheld, and never sent later.

    Args:
        month: The month to report, as YYYY-MM, say 2026-10. Empty: the month for which the run was scheduled.
        resellers: Codes separated by commas, or "all".
        deliver: Send the reports of a past month too. The current month's are always sent.
        skip_empty: Do not send a report whose three lists are empty.
        resend: Send a copy of what was sent before, marked as one, at most one a day; try again what failed.
        dry_run: Only say what would be reported and sent; nothing is recorded.
    """
    day = month_of(month) if month else first_of_month(scheduled_day())
    this_month = first_of_month(today())
    with recorded("monthly-reseller-report", day, dry_run=dry_run, whole=resellers.strip() == "all") as summary:
        if day > this_month and not dry_run:
            raise BadInput([Finding("month", f"{day:%Y-%m} is yet to come", "a month that has begun, or a dry run")])
        order = Order(
            day=day,
            known_at=scheduled_moment(day, settings().zone) if day < this_month else now(),
            run_id=summary.run_id,
            resellers=codes_in(resellers, "resellers"),
            today=today(),
        )
        wish = Wish(
            deliver=deliver or day >= this_month,
            live=settings().go_live.is_live("reseller_report", day),
            skip_empty=skip_empty,
            resend=resend,
        )
        made, standings = make(order, dry_run=dry_run)
        todo = {report.id: mail_for(report, wish) for report in standings}
        summary.counts["reports made"] = made
        summary.counts["reports there before"] = len(standings) - made
        _describe(summary, standings, todo)
        if dry_run:
            summary.counts.update(todo.values())
            return summary
        summary.counts.update(mail for mail in todo.values() if mail not in _QUEUED)
        summary.counts.update(queue_mails(order, {report: mail for report, mail in todo.items() if mail in _QUEUED}))
        deliver_now(summary)
    return summary


_QUEUED = {Mail.QUEUE, Mail.COPY, Mail.AGAIN, Mail.WITHHOLD}


def _describe(summary: Summary, standings: list[Standing], todo: dict[int, Mail]) -> None:
    """Lines by list and language, and the resellers that get no mail, by reason."""
    by_language: dict[str, Counter[str]] = defaultdict(Counter)
    for report in standings:
        figures = {"reports": 1, "expiring": report.expiring, "open": report.open, "disabled": report.disabled}
        by_language[report.locale].update(figures)
        summary.counts.update({k: v for k, v in figures.items() if k != "reports"})
    columns = ("reports", "expiring", "open", "disabled")
    rows: list[tuple[str | int, ...]] = [
        (locale, *(figures[c] for c in columns)) for locale, figures in sorted(by_language.items())
    ]
    summary.tables.append(Table("Licences by list and language", ("language", *columns), rows))
    for reason in (Mail.NO_ADDRESS, Mail.EMPTY):
        codes: list[tuple[str | int, ...]] = [(r.reseller,) for r in standings if todo[r.id] is reason]
        summary.tables.append(Table(f"Resellers {reason}", ("reseller",), codes))
