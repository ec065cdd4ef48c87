"""A run's summary as Markdown, for the Prefect UI. Figures, codes and addresses of places; nobody's data."""

from base64 import b64encode
from collections.abc import Iterable

from lifecycle.rules.runs import Summary, Table


def markdown(summary: Summary, outcome: str) -> str:
    """The summary as an operator reads it: the outcome, figures by reason, tables, where to look."""
    title = f"## {summary.flow} {summary.business_date}: {outcome}"
    if summary.dry_run:
        title += " (dry run: nothing was recorded or sent)"
    counts = Table("Counts", ("what", "number"), sorted(summary.counts.items()))
    notes = (f"- {note}" for note in summary.notes)
    images = (_image(name, svg) for name, svg in summary.images)
    parts = [title, *notes, _table(counts), *images, *map(_table, summary.tables)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _image(title: str, svg: str) -> str:
    # The UI takes inline SVG out of Markdown and loads what is outside: an image has to come along as data.
    return f"![{title}](data:image/svg+xml;base64,{b64encode(svg.encode()).decode()})"


def _table(table: Table) -> str:
    if not table.rows:
        return ""
    rows = [table.header, ["---"] * len(table.header), *table.rows]
    return "\n".join([f"**{table.title}**", "", *map(_row, rows)])


def _row(cells: Iterable[str | int]) -> str:
    # Codes come from files: what would be markup or end the cell is taken literally.
    escaped = (str(cell).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;") for cell in cells)
    return f"| {' | '.join(escaped)} |"
