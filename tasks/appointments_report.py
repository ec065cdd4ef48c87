"""The appointments of a period: read with the names of now, written as a spreadsheet, told in figures."""

from collections import Counter
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from lifecycle.persistence import appointments, erasure
from lifecycle.persistence.database import transaction
from lifecycle.rendering import appointments as rendering
from lifecycle.rendering import chart
from lifecycle.rules.appointments import Appointments, AppointmentStatus
from lifecycle.rules.documents import Document
from lifecycle.rules.findings import BadInput, Finding
from lifecycle.rules.period import unfit
from lifecycle.rules.runs import Table
from lifecycle.settings import settings
from tasks.documents import kept
from tasks.retries import transient

MOST = 250_000
"""Appointments in one report: what a spreadsheet program opens in reasonable time."""

CHARTED_MONTHS = 24


@dataclass(frozen=True, slots=True)
class Told:
    """What Prefect may know of the report: figures, a chart as SVG. Names are in the spreadsheet at `path` alone."""

    path: Path
    counts: Counter[str]
    tables: list[Table]
    chart: str


@task(cache_policy=NO_CACHE, **transient)
def write_report(first: date, last: date, today: date) -> Told:
    """Write the spreadsheet of the period, both days included, in place of an earlier one.

    `today` is marked in the chart. Raises BadInput for a period that ends before it begins, or is beyond reach, or has
    more than MOST appointments.
    """
    if findings := unfit(first, last):
        raise BadInput(findings)
    found, path = _write(first, last, MOST)
    picture = chart.monthly("Appointments per month", found.last_months(CHARTED_MONTHS), today)
    return Told(path, _counts(found), [_table(found)], picture)


def rewrite(first: date, last: date) -> None:
    """Write the spreadsheet of the period anew, with the names of now: for who is erased after it was written."""
    _write(first, last, None)


def _write(first: date, last: date, most: int | None) -> tuple[Appointments, Path]:
    with transaction() as db:
        # Names that were read are not written once they have gone.
        erasure.keep_out(db)
        found = appointments.read(db, first, last, settings().zone, None if most is None else most + 1)
        if most is not None and len(found.listed) > most:
            wrong = f"from {first} to {last} there are more than {most:,} appointments"
            raise BadInput([Finding("to_date", wrong, "a shorter period")])
        return found, kept(Document.APPOINTMENTS, rendering.workbook(found, settings().locale), first, last)


def _counts(found: Appointments) -> Counter[str]:
    by_status = found.by_status
    return Counter(
        {
            "appointments": by_status.total(),
            **{f"appointments, {_word(status)}": by_status[status] for status in AppointmentStatus},
            "customers with appointments": found.customers,
        }
    )


def _table(found: Appointments) -> Table:
    return Table(
        "Appointments by month and status",
        ("month", *map(_word, AppointmentStatus), "total"),
        [
            (f"{month:%Y-%m}", *(counted[status] for status in AppointmentStatus), counted.total())
            for month, counted in found.by_month
        ],
    )


def _word(status: AppointmentStatus) -> str:
    return status.replace("_", " ")
