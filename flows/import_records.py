"""Imports CSV files: all of them or, where there is one error, nothing."""

from prefect import flow


@flow(name="import-records")
def import_records(path: str, dry_run: bool = False) -> None:
    """Import a CSV file, or a folder of them.

    Args:
        path: The file or folder, as the worker sees it.
        dry_run: Check everything, record nothing.
    """
    raise NotImplementedError
