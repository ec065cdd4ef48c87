"""Charge runs, file by file: decided, written, stored and marked as submitted in one transaction each.

Safety case. Nobody is charged twice: an instalment is locked, looked at once more, and submitted in the transaction
that stores its file. Nobody is charged who has withdrawn. The file among the documents is a copy of what is stored: a
kill before it is there leaves that to the next run, and no copy is made again that somebody has taken away.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from uuid import UUID, uuid4

from prefect import task
from prefect.cache_policies import NO_CACHE

from lifecycle.persistence import charge_run as persistence
from lifecycle.persistence import erasure
from lifecycle.persistence.database import transaction
from lifecycle.rendering import card_charges, direct_debit
from lifecycle.rendering.direct_debit import RefusedDebits
from lifecycle.rules import charge_run as rules
from lifecycle.rules.charge_run import Collection, Debit, Figures, Reason
from lifecycle.rules.documents import Document
from lifecycle.rules.subscriptions import ChargeMethod
from lifecycle.settings import settings
from tasks.documents import kept
from tasks.issuer import creditor
from tasks.retries import transient

log = logging.getLogger("lifecycle.charges")


@dataclass(frozen=True, slots=True)
class Order:
    """One run: the day it acts for. A dry run does everything and takes it back."""

    day: date
    now: datetime
    run_id: UUID
    dry_run: bool

    @property
    def live(self) -> bool:
        return settings().go_live.is_live("membership", self.day)

    @property
    def submits(self) -> bool:
        """Whether anything remains of the run."""
        return self.live and not self.dry_run

    @property
    def made_at(self) -> datetime:
        """Now, in the business time zone."""
        return self.now.astimezone(settings().zone)

    @property
    def made_on(self) -> date:
        """The day from which a bank's lead days count: a run that comes late must not ask for money of the past."""
        return max(self.day, self.made_at.date())


@dataclass(slots=True)
class Due:
    """What there is to charge: portions of instalments, each of one kind and currency; and counts of all others."""

    portions: list[list[int]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


@task(cache_policy=NO_CACHE, **transient)
def look(order: Order) -> Due:
    """Find what is due on the run's day.

    Raises BadInput where there is something to collect by SEPA and the settings do not say who collects.
    """
    with transaction() as db:
        found = persistence.owed(db, order.day)
    due = Due()
    for owed in found:
        if owed.method is ChargeMethod.TRANSFER:
            due.counts[rules.TRANSFER] += owed.number
        elif owed.is_withdrawn:
            due.counts[f"left: {Reason.WITHDRAWN}"] += owed.number
        elif owed.method is ChargeMethod.SEPA:
            creditor()
        due.portions += [owed.ids[start : start + rules.MOST] for start in range(0, len(owed.ids), rules.MOST)]
    return due


@dataclass(slots=True)
class Charged:
    """What became of a portion: its file, unless nothing was to be charged; codes of who is left out, by reason."""

    file: Figures | None = None
    left_out: dict[Reason, list[str]] = field(default_factory=lambda: defaultdict(list))


@task(cache_policy=NO_CACHE, **transient)
def charge(instalments: Sequence[int], order: Order) -> Charged:
    """Submit those of the instalments that can be charged, as one file.

    What the bank's schema refuses is left out. Raises InvalidDocument where it refuses the file's header.
    """
    charged = Charged()
    with transaction() as db:
        erasure.keep_out(db)
        charges = persistence.locked(db, instalments, order.day)
        for each in charges:
            if reason := rules.reason_against(each, order.day):
                charged.left_out[reason].append(each.subscription)
        if drawn := _drawn(tuple(rules.debits(charges, order.day)), order, charged.left_out):
            collection, document = drawn
            persistence.store(db, collection, document, order.day, order.run_id, order.now)
            charged.file = collection.figures
        if not order.submits:
            db.rollback()
    return charged


def _drawn(
    debits: tuple[Debit, ...], order: Order, left_out: dict[Reason, list[str]]
) -> tuple[Collection, bytes] | None:
    """The file of the debits without those that its schema refuses; None: there are no others."""
    while debits:
        collection = _collection(debits, order)
        try:
            return collection, _document(collection, order)
        except RefusedDebits as refused:
            log.error("the bank's schema refuses %s", refused)
            left_out[Reason.REFUSED] += [
                debit.charge.subscription for debit in debits if debit.charge.end_to_end_id in refused.places
            ]
            debits = tuple(debit for debit in debits if debit.charge.end_to_end_id not in refused.places)
    return None


def _collection(debits: tuple[Debit, ...], order: Order) -> Collection:
    kind, currency = debits[0].charge.method, debits[0].charge.currency
    collect_on = rules.collect_on(kind, order.made_on, settings().policy.debit_lead_days)
    return Collection(rules.message_id(kind, order.day, uuid4()), kind, currency, collect_on, debits)


def _document(collection: Collection, order: Order) -> bytes:
    if collection.kind is ChargeMethod.CARD:
        return card_charges.document(collection)
    return direct_debit.document(collection, creditor(), settings().policy.debit_schema, order.made_at)


@task(cache_policy=NO_CACHE, **transient)
def put_files(now: datetime) -> list[Path]:
    """Put stored files among the documents that are not there yet, of this run or of one that was killed.

    Returns where they are.
    """
    put = []
    while path := _put_next(now):
        put.append(path)
    return put


def _put_next(now: datetime) -> Path | None:
    with transaction() as db:
        erasure.keep_out(db)
        file = persistence.unfiled(db)
        if file is None:
            return None
        path = kept(Document.COLLECTION, file.document, file.name)
        persistence.filed(db, file.message_id, now)
    return path


def stored() -> set[str]:
    """The names of the files that may be among the documents."""
    with transaction() as db:
        return persistence.stored(db)
