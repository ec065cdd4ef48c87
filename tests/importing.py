"""Imports of files whose contents a test names."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tasks.import_records import import_files

NOW = datetime(2026, 6, 1, 10, tzinfo=UTC)
LATER = NOW + timedelta(days=1)


def bring(home: Path, contents: dict[str, str], now: datetime = NOW, *, dry_run: bool = False) -> dict[str, int]:
    """Import files with these contents, which are named without ``.csv``. Returns the counts that are not zero."""
    folder = home / "import"
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for name, content in contents.items():
        (folder / f"{name}.csv").write_text(content, "utf-8", newline="")
    counts = import_files.fn(folder, now, dry_run=dry_run)
    return {what: number for what, number in counts.items() if number}
