"""Mailings, portion by portion: whom they go to is decided, queued and listed in one transaction each."""

import csv
import shutil
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from tempfile import NamedTemporaryFile
from uuid import UUID

from prefect import task
from prefect.cache_policies import NO_CACHE

from lifecycle.persistence import erasure, segment
from lifecycle.persistence import mailing as persistence
from lifecycle.persistence.database import transaction
from lifecycle.persistence.mailing import Looked, Selection
from lifecycle.rendering import mailing as rendering
from lifecycle.rendering.mailing import Mailing
from lifecycle.rules.documents import Document
from lifecycle.rules.findings import BadInput, Finding
from lifecycle.rules.languages import LOCALES
from lifecycle.rules.mailing import Outcome
from lifecycle.rules.records import start_of_day
from lifecycle.rules.segment import Segment
from lifecycle.settings import settings
from tasks.documents import place
from tasks.issuer import unsubscribing
from tasks.retries import transient

PORTION = 5_000
"""Customers that are looked at in one transaction."""

SHOWN_CODES = 20


@dataclass(frozen=True, slots=True)
class Order:
    """One run of a mailing: the segment it goes to, and the day it acts for."""

    mailing: str
    segment: Segment
    day: date
    run_id: UUID
    dry_run: bool

    @property
    def selection(self) -> Selection:
        zone, locale = settings().zone, settings().locale
        end_of_day = start_of_day(self.day + timedelta(days=1), zone)
        return Selection(self.mailing, self.segment, self.day, end_of_day, locale, self.run_id)

    @property
    def list(self) -> Path:
        """Where all of the segment are listed: each one's code, and what became of it."""
        return place(Document.MAILING_LIST, self.mailing, self.day, self.run_id.hex[:8])


@dataclass(slots=True)
class Outcomes:
    """What became of customers: how many by outcome, how many mails by language, and the first codes of each reason."""

    counts: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    skipped: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, other: "Outcomes") -> None:
        self.counts.update(other.counts)
        self.languages.update(other.languages)
        for reason, codes in other.skipped.items():
            self.skipped[reason] = sorted(self.skipped[reason] + codes)[:SHOWN_CODES]


@task(cache_policy=NO_CACHE, **transient)
def begin(order: Order) -> list[str]:
    """Check everything and, but in a dry run, keep the texts. Returns the languages that the mailing has no text in.

    Raises BadInput with all that is wrong: in the texts, in the segment, in the settings; where the mailing was begun
    with other texts.
    """
    findings: list[Finding] = []
    try:
        unsubscribing(0)
    except BadInput as error:
        findings += error.findings
    with transaction() as db:
        findings += [
            Finding("segment", f"{name} {value!r} is not known", f"a {name} on record")
            for name, value in segment.unknown(db, order.segment)
        ]
        try:
            mailing = rendering.read(settings().home / "mailings", order.mailing, settings().locale)
        except BadInput as error:
            raise BadInput(findings + error.findings) from None
        if not findings and not order.dry_run:
            persistence.begin(db, mailing.name, mailing.digest, mailing.as_json(), order.run_id)
        findings += _other_texts(mailing, persistence.begun(db, mailing.name))
        if findings:
            raise BadInput(findings)
    return [locale for locale in LOCALES if locale not in mailing.sources]


def _other_texts(mailing: Mailing, begun: persistence.Begun | None) -> list[Finding]:
    if begun is None or begun.digest == mailing.digest:
        return []
    expected = "those it was begun with; give the new ones a new name"
    return [Finding("mailing", f"{mailing.name} was begun with other texts on {begun.day}", expected)]


@task(cache_policy=NO_CACHE, **transient)
def cut() -> list[tuple[int, int]]:
    """All customers, as ranges of ids with PORTION of them each."""
    with transaction() as db:
        return persistence.ranges(db, PORTION)


@task(cache_policy=NO_CACHE, **transient)
def queue(portion: tuple[int, int], order: Order) -> Outcomes:
    """Queue the mails to those of the portion's customers that are in the segment and may get it; list them all."""
    look = persistence.foresee if order.dry_run else persistence.queue
    with transaction() as db:
        erasure.keep_out(db)
        found = look(db, order.selection, *portion)
        _write(_part(order, portion), found)
    outcomes = Outcomes()
    for customer in found:
        outcomes.counts[customer.outcome] += 1
        if customer.outcome == Outcome.QUEUED:
            outcomes.languages[customer.locale] += 1
        elif len(outcomes.skipped[customer.outcome]) < SHOWN_CODES:
            outcomes.skipped[customer.outcome].append(customer.customer)
    return outcomes


def _part(order: Order, portion: tuple[int, int]) -> Path:
    return order.list.with_suffix(f".{portion[0]}.part")


def _write(path: Path, found: Sequence[Looked]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows((one.customer, one.outcome) for one in found)


@task(cache_policy=NO_CACHE)
def join_lists(order: Order, portions: Sequence[tuple[int, int]]) -> Path:
    """Make one list of the portions' lists, readable for its owner only. Returns where it is."""
    order.list.parent.mkdir(parents=True, exist_ok=True)
    parts = [_part(order, portion) for portion in portions]
    with NamedTemporaryFile(dir=order.list.parent, delete=False) as draft:  # made with mode 0600
        draft.write(b"customer,outcome\n")
        for part in parts:
            with part.open("rb") as lines:
                shutil.copyfileobj(lines, draft)
    Path(draft.name).replace(order.list)
    for part in parts:
        part.unlink()
    return order.list
