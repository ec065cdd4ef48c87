"""The charge run: instalments that are due are submitted to the bank and the payment provider, in files."""

from collections import Counter, defaultdict
from datetime import date
from decimal import Decimal

from prefect import flow
from prefect.runtime import flow_run

from flows.business_day import now, refuse_ahead, scheduled_day, superseded
from flows.portions import done
from lifecycle.rules.charge_run import Figures, Reason
from lifecycle.rules.plans import Held
from lifecycle.rules.runs import Summary, Table
from tasks.charge_run import Order, charge, look, put_files
from tasks.runs import recorded

SHOWN = 200


def _run_name() -> str:
    return f"charge-run {flow_run.parameters['business_date'] or scheduled_day()}"


@flow(name="charge-run", flow_run_name=_run_name, result_serializer="json")
def charge_run(business_date: date | None = None, dry_run: bool = False) -> Summary:
    """Charge what is due of memberships: by SEPA direct debit in files for the bank, by card in lists for the provider.

    - Each instalment is submitted once, in one file, and marked so in the transaction that stores the file.
    - Nothing is charged of a membership that somebody withdrew from, whatever is owed under it.
    - What cannot be charged is left out, counted and listed with its reason.
    - What the bank's schema refuses is left out likewise: the others are charged, and the run ends as failed.
    - Money is collected on the first bank day that the bank's lead days allow, counted from today at the earliest.
    - The files are among the documents of the installation; one that a kill kept from being there, the next run puts.
    - Before the stream's go-live date everything is shown, nothing is submitted.
    - A day more than one ahead of today is refused, except as a dry run.
    - A scheduled run that begins more than a day late leaves everything to the run of a later day.

    Args:
        business_date: The day to act for. Empty: the day for which the run was scheduled.
        dry_run: Do everything, list it, and take it back.
    """
    day = business_date or scheduled_day()
    with recorded("charge-run", day, dry_run=dry_run) as summary:
        if business_date is None and superseded(summary):
            return summary
        if not dry_run:
            refuse_ahead(day)
        order = Order(day, now(), summary.run_id, dry_run)
        try:
            _charge(summary, order)
        finally:
            if not dry_run:
                _put_files(summary, order)
    return summary


def _charge(summary: Summary, order: Order) -> None:
    due = look(order)
    files: list[Figures] = []
    left_out: defaultdict[str, list[str]] = defaultdict(list)
    for charged in done(charge, "instalments", due.portions, "instalments charged", order=order):
        files += [charged.file] if charged.file else []
        for reason, codes in charged.left_out.items():
            left_out[reason] += codes
    summary.counts.update(due.counts)
    for file in files:
        what = f"charged by {file.kind}" if order.live else f"left: {Held.NOT_LIVE}"
        summary.counts[what] += file.number
    summary.counts.update({f"left: {reason}": len(codes) for reason, codes in left_out.items()})
    summary.failed.add(f"left: {Reason.REFUSED}")
    _describe(summary, order, files, left_out)


def _describe(summary: Summary, order: Order, files: list[Figures], left_out: dict[str, list[str]]) -> None:
    numbers, sums = Counter[tuple[str, str]](), defaultdict[tuple[str, str], Decimal](Decimal)
    for file in files:
        numbers[file.kind, file.currency] += file.number
        sums[file.kind, file.currency] += file.total
    totals = [(*of, numbers[of], str(total)) for of, total in sorted(sums.items())]
    summary.tables.append(Table("Charged", ("by", "currency", "instalments", "sum"), [*totals]))
    listed = [
        # What is taken back has no name: the file of the next run has another one.
        (
            file.message_id if order.submits else "new",
            *(file.kind, file.currency, file.number, str(file.total), str(file.collect_on)),
        )
        for file in sorted(files, key=lambda file: file.message_id)
    ]
    summary.tables.append(
        Table("Files", ("file", "by", "currency", "instalments", "sum", "to be collected on"), [*listed])
    )
    rows = [
        (reason, len(codes), ", ".join(sorted(codes)[:SHOWN]) + (" …" if len(codes) > SHOWN else ""))
        for reason, codes in sorted(left_out.items())
    ]
    summary.tables.append(Table("Left out", ("why", "instalments", "of memberships"), [*rows]))


def _put_files(summary: Summary, order: Order) -> None:
    put = put_files(order.now)
    summary.counts["files put among the documents"] = len(put)
    summary.notes += [f"file: `{path}`" for path in put]
