"""Accounting's view of open cards: read as of a day, written as a spreadsheet, told in figures."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from lifecycle.persistence import erasure, open_cards
from lifecycle.persistence.database import transaction
from lifecycle.rendering import open_cards as rendering
from lifecycle.rules.documents import Document
from lifecycle.rules.open_cards import Age, OpenCards
from lifecycle.rules.runs import Table
from lifecycle.settings import settings
from tasks.documents import kept
from tasks.retries import transient

SHOWN = 50


@dataclass(frozen=True, slots=True)
class Told:
    """What Prefect may know of the report: figures and codes. Names are in the spreadsheet at `path` alone."""

    path: Path
    counts: Counter[str]
    tables: list[Table] = field(default_factory=list)


@task(cache_policy=NO_CACHE, **transient)
def write_report(day: date) -> Told:
    """Write the spreadsheet of `day` under the home, readable for its owner only, in place of an earlier one."""
    with transaction() as db:
        erasure.keep_out(db)
        found = open_cards.read(db, day)
        path = kept(Document.OPEN_CARDS, rendering.workbook(found, settings().locale), day)
    return Told(path, _counts(found), _tables(found))


def _counts(found: OpenCards) -> Counter[str]:
    owed = found.owed
    return Counter(
        {
            "open cards": len(owed),
            "open cards, paid in part": sum(debt.paid > 0 for debt in owed),
            "open cards, overdue": sum(found.age(debt) is not Age.NOT_DUE for debt in owed),
            "open cards of the trial time": len(found.debts) - len(owed),
            "customers with credit": len({credit.customer for credit in found.credits}),
            "suspended services": len(found.suspended),
            "unassigned payments": len(found.unassigned),
        }
    )


def _tables(found: OpenCards) -> list[Table]:
    by_age: list[tuple[str | int, ...]] = [
        (line.currency, line.age or "total", line.cards, _money(line.total), _money(line.paid), _money(line.open))
        for line in found.by_age()
    ]
    sums: list[tuple[str | int, ...]] = [
        (what, currency, number, _money(amount)) for what, currency, number, amount in found.sums()
    ]
    return [
        Table(
            "Open cards by currency and age after the expiry",
            ("currency", "age", "cards", "total", "paid", "open"),
            by_age,
        ),
        Table("In all, by currency", ("what", "currency", "number", "amount"), sums),
        _first(
            "Credits",
            ("customer", "currency", "credit"),
            [(it.customer, it.currency, _money(it.amount)) for it in found.credits],
        ),
        _first(
            "Suspended services",
            ("service", "since", "card", "currency", "open on the card"),
            [
                (
                    it.code,
                    str(it.since),
                    it.card or "none",
                    it.currency or "",
                    "" if it.open is None else _money(it.open),
                )
                for it in found.suspended
            ],
        ),
        _first(
            "Unassigned payments",
            ("payment", "received", "currency", "unassigned"),
            [(it.id, str(it.received_on), it.currency, _money(it.left)) for it in found.unassigned],
        ),
    ]


def _first(title: str, header: tuple[str, ...], rows: list[tuple[str | int, ...]]) -> Table:
    more = f", the first {SHOWN} of {len(rows)}" if len(rows) > SHOWN else ""
    return Table(title + more, header, rows[:SHOWN])


def _money(amount: Decimal) -> str:
    return f"{amount:.2f}"
