"""Imports what the bank says was received, and matches it with billing cards."""

from datetime import date
from pathlib import Path
from uuid import UUID

from prefect import flow
from prefect.runtime import flow_run

from flows.business_day import now, scheduled_day
from flows.deliver_outbox import deliver_now
from flows.import_records import describe_findings
from lifecycle.rules.findings import BadInput, Finding
from lifecycle.rules.runs import Summary, Table
from tasks.payment_import import KINDS, Outcome, foresee_payments, import_payments
from tasks.runs import recorded

SHOWN_DECISIONS = 500


def _run_name() -> str:
    return f"payment-import {Path(flow_run.parameters['path']).absolute().name}"


@flow(name="payment-import", flow_run_name=_run_name, result_serializer="json")
def payment_import(path: str, dry_run: bool = False, business_date: date | None = None) -> Summary:
    """Import bank statements (camt.053) or lists of payments (CSV) and match them with billing cards.

    - A payment is matched by the card's creditor reference, or else by the card's number; nothing is guessed.
    - A card paid in full renews its services; part of it leaves it open; what is too much is the customer's credit.
    - One transfer that names several cards pays them if it is their exact sum, else none.
    - What the bank takes back opens the card again.
    - What is unassigned, and whatever else is unusual, is listed for a person: see `lifecycle payments`.
    - A file is imported as a whole or, where one entry is wrong, not at all. The same entries again change nothing.

    Args:
        path: A file ending in .xml or .csv, or a folder of them, as the worker sees it. Folders go by name.
        dry_run: Only say what would be matched.
        business_date: The day of the import. Empty: the day for which the run was scheduled.
    """
    day = business_date or scheduled_day()
    with recorded("payment-import", day, dry_run=dry_run) as summary:
        files = _files(Path(path))
        outcomes: list[Outcome | BadInput] = []
        try:
            if dry_run:
                outcomes += foresee_payments(files, day, now(), summary.run_id)
            else:
                outcomes.extend(_imported(file, day, summary.run_id) for file in files)
        finally:  # what was imported before something broke is said all the same
            _describe(summary, [each for each in outcomes if isinstance(each, Outcome)])
        refused = [each for each in outcomes if isinstance(each, BadInput)]
        if not dry_run:
            deliver_now(summary)
        if refused:
            summary.counts["files refused"] = len(refused)
            everything = [finding for error in refused for finding in error.findings]
            describe_findings(summary, everything, sum(error.total for error in refused))
            raise BadInput(everything, sum(error.total for error in refused))
    return summary


def _imported(file: Path, day: date, run_id: UUID) -> Outcome | BadInput:
    """A file that is wrong must not keep the others from being imported."""
    try:
        return import_payments(file, day, now(), run_id)
    except BadInput as refused:
        return refused


def _files(path: Path) -> list[Path]:
    """Hidden files, and those of other kinds, are passed over: folders are full of other programs' notes."""
    if not path.exists():
        raise BadInput([Finding("path", "is not there", "a file ending in .xml or .csv, or a folder of them")])
    if not path.is_dir():
        return [path]
    found = sorted(p for p in path.iterdir() if p.suffix.lower() in KINDS and not p.name.startswith("."))
    if not found:
        raise BadInput([Finding("path", "is a folder without bank files", "files ending in .xml or .csv")])
    return found


def _describe(summary: Summary, done: list[Outcome]) -> None:
    """Ids and numbers only: who paid, and what for, is shown by `lifecycle payments` on a terminal."""
    for outcome in done:
        summary.counts.update({"files imported": 1, **outcome.counts})
    undecided = [decision for outcome in done for decision in outcome.undecided]
    rows: list[tuple[str | int, ...]] = [
        # What a dry run would record has no id that anybody could ask for.
        ("-" if summary.dry_run else each.payment.id, str(each.payment.amount), each.payment.currency, each.verdict,
         " ".join(each.payment.numbers))
        for each in undecided[:SHOWN_DECISIONS]
    ]  # fmt: skip
    header = ("payment", "amount", "currency", "what", "cards")
    summary.tables.append(Table("For a person to look at", header, rows))
    if len(undecided) > len(rows):
        summary.notes.append(f"{len(undecided)} payments to look at; the first {len(rows)} are listed")
    otherwise = [line for outcome in done for line in outcome.otherwise]
    summary.counts["services not renewed: another expiry by now"] = len(otherwise)
    title = "Paid, and not renewed: the expiry is another by now"
    summary.tables.append(Table(title, ("card", "subscription"), [*otherwise[:SHOWN_DECISIONS]]))
