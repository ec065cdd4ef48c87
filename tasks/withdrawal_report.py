"""The withdrawals of a period: read as of a day with the names of now, written as a spreadsheet, told in figures."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from lifecycle.persistence import erasure, withdrawal_report
from lifecycle.persistence.database import transaction
from lifecycle.rendering import chart
from lifecycle.rendering import withdrawal_report as rendering
from lifecycle.rules.calendar import SINCE_EVER
from lifecycle.rules.documents import Document
from lifecycle.rules.findings import BadInput, Finding
from lifecycle.rules.period import unfit
from lifecycle.rules.runs import Table
from lifecycle.rules.withdrawal_report import Group, Withdrawals
from lifecycle.settings import settings
from tasks.documents import kept
from tasks.retries import transient

MOST = 100_000
"""Memberships in one report: what a spreadsheet program opens in reasonable time."""

CHARTED_MONTHS = 24
SHOWN = 50


@dataclass(frozen=True, slots=True)
class Told:
    """What Prefect may know of the report: figures and codes, a chart as SVG. Names are at `path` alone."""

    path: Path
    counts: Counter[str]
    tables: list[Table]
    chart: str


@task(cache_policy=NO_CACHE, **transient)
def write_report(first: date, last: date, as_of: date, today: date) -> Told:
    """Write the spreadsheet of the period, both days included, as of the end of `as_of`, in place of an earlier one.

    Raises BadInput for a period that ends before it begins, days beyond reach, one that is yet to come as `as_of`, and
    more than MOST memberships.
    """
    _check(first, last, as_of, today)
    found, path = _write(first, last, as_of, MOST)
    picture = chart.monthly("Memberships withdrawn from, per month", found.last_months(CHARTED_MONTHS), as_of)
    return Told(path, _counts(found), _tables(found), picture)


def rewrite(first: date, last: date, as_of: date) -> None:
    """Write the spreadsheet anew, with the names of now: for who is erased after it was written."""
    _write(first, last, as_of, None)


def _write(first: date, last: date, as_of: date, most: int | None) -> tuple[Withdrawals, Path]:
    with transaction() as db:
        # Names that were read are not written once they have gone.
        erasure.keep_out(db)
        found = withdrawal_report.read(db, first, last, as_of, settings().zone, None if most is None else most + 1)
        if most is not None and len(found.listed) > most:
            wrong = f"from {first} to {last} there are more than {most:,} memberships withdrawn from"
            raise BadInput([Finding("to_date", wrong, "a shorter period")])
        path = kept(Document.WITHDRAWALS, rendering.workbook(found, settings().locale), first, last, as_of)
    return found, path


def _check(first: date, last: date, as_of: date, today: date) -> None:
    findings = unfit(first, last)
    if as_of < SINCE_EVER:
        findings.append(Finding("as_of", f"{as_of} is out of reach", f"a day from {SINCE_EVER} on"))
    if as_of > today:
        findings.append(Finding("as_of", f"{as_of} is yet to come", "today or a past day"))
    if findings:
        raise BadInput(findings)


def _counts(found: Withdrawals) -> Counter[str]:
    total = found.total
    return Counter({"withdrawals": total.withdrawals, "customers": total.customers, "memberships": total.memberships})


def _tables(found: Withdrawals) -> list[Table]:
    return [
        Table(
            "Withdrawals by month of the last day",
            ("month", "withdrawals", "customers", "memberships", "active on the 1st", "share"),
            [
                (
                    f"{it.first:%Y-%m}",
                    it.tally.withdrawals,
                    it.tally.customers,
                    it.tally.memberships,
                    "" if it.active is None else it.active,
                    "" if it.share is None else f"{float(it.share):.2%}",
                )
                for it in found.by_month
            ],
        ),
        _groups("Withdrawals by type", "type", found.by_type),
        _groups("Withdrawals by product", "product", found.by_product),
        Table(
            "Instalments, by currency",
            ("currency", "owed", "removed", "to be refunded"),
            [(it.currency, _money(it.owed), _money(it.removed), _money(it.to_be_refunded)) for it in found.sums],
        ),
    ]


def _groups(title: str, what: str, groups: Sequence[Group]) -> Table:
    more = f", the first {SHOWN} of {len(groups)}" if len(groups) > SHOWN else ""
    return Table(
        title + more,
        (what, "withdrawals", "customers", "memberships"),
        [(it.code, it.tally.withdrawals, it.tally.customers, it.tally.memberships) for it in groups[:SHOWN]],
    )


def _money(amount: Decimal) -> str:
    return f"{amount:.2f}"
