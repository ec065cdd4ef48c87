"""`make bench`: what the program does in a time, beside what the same work costs without it, in one table.

It shows; it judges nothing and never fails for being slow.
"""

import argparse
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.measuring import Figure, measured

BENCHMARKS = sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py") if path.stem != "measuring")


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    options.add_argument("names", nargs="*", metavar="NAME", help=f"only these: {', '.join(BENCHMARKS)}")
    options.add_argument("--scale", type=float, default=1.0, help="share of the full sizes; for a quick look 0.02")
    chosen = options.parse_args()
    if unknown := set(chosen.names) - set(BENCHMARKS):
        options.error(f"unknown: {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    # A process for each: one does not raise another's peak of memory, nor leave it its settings.
    figures: list[Figure] = []
    for name in chosen.names or BENCHMARKS:
        with (
            TemporaryDirectory(prefix="lifecycle-bench-") as home,
            ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process,
        ):
            figures += process.submit(measured, name, chosen.scale, home).result()
    print(table(figures))


def table(figures: Iterable[Figure]) -> str:
    lines = [("what", "figure", "", "ratio", "to")]
    for figure in figures:
        ratio = "" if figure.against is None else f"{figure.value / figure.against:.2f}"
        lines.append((figure.name, _number(figure.value), figure.unit, ratio, figure.reference))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in {1, 3} else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    main()
