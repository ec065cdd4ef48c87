"""What an operator sees of a run in the Prefect UI."""

from base64 import b64decode
from datetime import date
from uuid import UUID

from lifecycle.rendering.run_summary import markdown
from lifecycle.rules.runs import Summary, Table


def test_images_come_along_as_data_between_counts_and_tables() -> None:
    summary = Summary("daily-expiry-sweep", date(2019, 9, 1), dry_run=False, run_id=UUID(int=1))
    summary.counts["warned"] = 3
    summary.tables.append(Table("Without address", ("customer",), [("C-1",)]))
    summary.images.append(("Expiries per month", "<svg>è</svg>"))
    counts, rest = markdown(summary, "completed").split("![Expiries per month](data:image/svg+xml;base64,")
    image, tables = rest.split(")\n\n")
    assert counts.endswith("| warned | 3 |\n\n")
    assert b64decode(image).decode() == "<svg>è</svg>"
    assert tables.startswith("**Without address**")
