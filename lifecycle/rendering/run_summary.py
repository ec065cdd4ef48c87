"""A run's summary as Markdown, for the Prefect UI. Figures, codes and addresses of places; nobody's data."""

from collections.abc import Iterable

from lifecycle.rules.runs import Summary, Table


def markdown(summary: Summary, outcome: str) -> str:
    """The summary as an operator reads it: the outcome, figures by reason, tables, where to look."""
    title = f"## {summary.flow} {summary.business_date}: {outcome}"
    if summary.dry_run:
        title += " (dry run: nothing was recorded or sent)"
    counts = Table("Counts", ("what", "number"), sorted(summary.counts.items()))
    parts = [title, *(f"- {note}" for note in summary.notes), *map(_table, [counts, *summary.tables])]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(table: Table) -> str:
    if not table.rows:
        return ""
    rows = [table.header, ["---"] * len(table.header), *table.rows]
    return "\n".join([f"**{table.title}**", "", *map(_row, rows)])


def _row(cells: Iterable[str | int]) -> str:
    # Codes come from files: what would be markup or end the cell is taken literally.
    escaped = (str(cell).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;") for cell in cells)
    return f"| {' | '.join(escaped)} |"
