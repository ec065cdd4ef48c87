"""What the benchmarks share: where they run, a stopwatch, and a figure as the table shows it."""

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from time import perf_counter


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. `reference` names what was measured beside it in the same run, `against` is its value."""

    name: str
    value: float
    unit: str
    reference: str = ""
    against: float | None = None


def measured(name: str, scale: float, home: str) -> list[Figure]:
    """The figures of one benchmark, at `scale` of its full size, in a new installation under `home`.

    It has a PostgreSQL cluster of its own, as durable as one in use, that ends with this process.
    """
    os.environ["LIFECYCLE_HOME"] = home
    os.environ.pop("LIFECYCLE_DATABASE_URL", None)
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


def peak_memory() -> float:
    """The most memory that this process has had resident, in MB."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 2**20 if sys.platform == "darwin" else most / 2**10
