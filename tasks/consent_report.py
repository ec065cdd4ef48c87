"""How consents stand: read as of a day, written as a spreadsheet, told in figures."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from lifecycle.persistence import consent_report, erasure
from lifecycle.persistence.database import transaction
from lifecycle.rendering import chart
from lifecycle.rendering import consent_report as rendering
from lifecycle.rules.calendar import SINCE_EVER
from lifecycle.rules.consent_report import LAPSING_DAYS, ConsentReport
from lifecycle.rules.documents import Document
from lifecycle.rules.findings import BadInput, Finding
from lifecycle.rules.records import start_of_day
from lifecycle.rules.runs import Table
from lifecycle.settings import settings
from tasks.documents import kept
from tasks.retries import transient

SHOWN = 50
FARTHEST = date(2999, 12, 31)


@dataclass(frozen=True, slots=True)
class Told:
    """What Prefect may know of the report: figures and codes, and a chart as SVG. All of it is at `path`."""

    path: Path
    counts: Counter[str]
    tables: list[Table]
    chart: str


@task(cache_policy=NO_CACHE, **transient)
def write_report(day: date) -> Told:
    """Write the spreadsheet of `day`, by what was recorded until its end, in place of an earlier one.

    Raises BadInput for a day whose months before and after are beyond what dates can say.
    """
    if not SINCE_EVER <= day <= FARTHEST:
        raise BadInput([Finding("on", f"{day} is out of reach", f"a day from {SINCE_EVER} to {FARTHEST}")])
    until = start_of_day(day + timedelta(days=1), settings().zone)
    with transaction() as db:
        erasure.keep_out(db)
        found = consent_report.read(db, day, until)
        path = kept(Document.CONSENTS, rendering.workbook(found, settings().locale), day)
    picture = chart.monthly("Consents that end, per month", found.ending, day)
    return Told(path, _counts(found), _tables(found), picture)


def _counts(found: ConsentReport) -> Counter[str]:
    return Counter(
        {
            "consents valid": sum(it.valid for it in found.types),
            f"consents lapsing in the next {LAPSING_DAYS} days": sum(it.lapsing for it in found.types),
            "consents lapsed": sum(it.lapsed for it in found.types),
            "consents withdrawn": sum(it.withdrawn for it in found.types),
            **{f"customers objecting: {it.channel}": it.objecting for it in found.channels},
        }
    )


def _tables(found: ConsentReport) -> list[Table]:
    more = f", the first {SHOWN} of {len(found.lapsing)}" if len(found.lapsing) > SHOWN else ""
    return [
        Table(
            "Customers by consent type",
            ("type", "gave it", "valid", f"of these lapsing in {LAPSING_DAYS} days", "lapsed", "withdrawn"),
            [(it.code, it.given, it.valid, it.lapsing, it.lapsed, it.withdrawn) for it in found.types],
        ),
        Table(
            "Channels",
            ("channel", "asks", "set by", "since", "with a consent", "ever objected", "objecting"),
            [
                (
                    it.channel,
                    "yes" if it.asks else "NO",
                    it.operator or "nobody yet",
                    str(it.since or ""),
                    it.consenting,
                    it.objected,
                    it.objecting,
                )
                for it in found.channels
            ],
        ),
        Table(
            f"Lapsing in the next {LAPSING_DAYS} days{more}",
            ("customer", "type", "last day"),
            [(it.customer, it.consent_type, str(it.last_day)) for it in found.lapsing[:SHOWN]],
        ),
        Table(
            "Motives used, by operator and month",
            ("month", "operator", "motive", "channel", "contacts"),
            _by_month((it.month, it.operator or "a rule", it.motive, it.channel, it.contacts) for it in found.motives),
        ),
        Table(
            "Contacts by basis and month",
            ("month", "channel", "basis", "contacts"),
            _by_month((it.month, it.channel, it.basis, it.contacts) for it in found.bases),
        ),
    ]


def _by_month(rows: Iterable[tuple[date, *tuple[str | int, ...]]]) -> list[tuple[str | int, ...]]:
    return [(f"{month:%Y-%m}", *rest) for month, *rest in rows]
