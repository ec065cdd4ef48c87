"""Imports CSV files: all of them or, where there is one error, nothing."""

from pathlib import Path

from prefect import flow
from prefect.runtime import flow_run

from flows.business_day import now, today
from lifecycle.rules.findings import BadInput, Finding
from lifecycle.rules.runs import Summary, Table
from tasks.choices import are_changed, refresh_choices
from tasks.import_records import import_files
from tasks.runs import recorded

SHOWN_FINDINGS = 500


def _run_name() -> str:
    return f"import-records {Path(flow_run.parameters['path']).absolute().name}"


@flow(name="import-records", flow_run_name=_run_name, result_serializer="json")
def import_records(path: str, dry_run: bool = False) -> Summary:
    """Import a CSV file, or a folder of them.

    - Everything that is wrong in any file is found at once; if anything is, nothing is imported.
    - Records that are there already are updated by their code; what is equal is left as it is.
    - Terms and associations are only ever added; what has no `recorded_at` is known from now on.
    - Motives, action types and operators that are new can be chosen in forms at once.

    Args:
        path: The file or folder, as the worker sees it.
        dry_run: Check everything, record nothing.
    """
    with recorded("import-records", today(), dry_run=dry_run) as summary:
        try:
            summary.counts.update(import_files(Path(path), now(), dry_run=dry_run))
        except BadInput as refused:
            describe_findings(summary, refused.findings, refused.total)
            raise
        if are_changed(summary.counts) and not dry_run:
            refresh_choices()
    return summary


def describe_findings(summary: Summary, findings: list[Finding], total: int) -> None:
    """Without the values: they can be personal, and Prefect keeps artifacts. The command line shows them."""
    rows = [(finding.place, finding.problem, finding.expected) for finding in findings[:SHOWN_FINDINGS]]
    summary.tables.append(Table("What is wrong", ("where", "problem", "expected"), [*rows]))
    summary.notes.append(f"{total} errors; the first {len(rows)} are listed")
