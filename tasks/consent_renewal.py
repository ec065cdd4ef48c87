"""Consents that lapse soon: their customers asked, portion by portion, each portion in one transaction."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

from prefect import task
from prefect.cache_policies import NO_CACHE

from lifecycle.persistence import consent_renewal as persistence
from lifecycle.persistence import erasure
from lifecycle.persistence.consent_renewal import Due
from lifecycle.persistence.contact import said
from lifecycle.persistence.database import transaction
from lifecycle.rules.consent_renewal import Outcome, channel, left
from tasks.issuer import unsubscribing
from tasks.retries import transient

_MAILED = {Outcome.BULK, Outcome.SINGLE, Outcome.BEFORE}


@dataclass(frozen=True, slots=True)
class Order:
    """What a run does: consents that lapse within `days` of `day` are asked about."""

    day: date
    days: int
    run_id: UUID
    dry_run: bool


Listed = tuple[str, str, str, str]
"""A consent that nobody was asked about by mail: (its last day, customer's code, type's code, what becomes of it)."""


@dataclass(slots=True)
class Asked:
    """What became of consents: how many by outcome, and those that are left to a person."""

    counts: Counter[str] = field(default_factory=Counter)
    listed: list[Listed] = field(default_factory=list)

    def add(self, other: "Asked") -> None:
        self.counts.update(other.counts)
        self.listed += other.listed


@task(cache_policy=NO_CACHE, **transient)
def find(order: Order) -> list[Due]:
    """The consents that lapse soon and were not asked about.

    Raises BadInput where one would be asked about by bulk mail and the settings do not say how to unsubscribe.
    """
    with transaction() as db:
        found = persistence.due(db, order.day, order.days)
    if any(due.allows_bulk for due in found):
        unsubscribing(0)
    return found


@task(cache_policy=NO_CACHE, **transient)
def ask(portion: Sequence[Due], order: Order) -> Asked:
    """Queue the questions about these consents, but for those of which something speaks against it."""
    asked = Asked()
    with transaction() as db:
        erasure.keep_out(db)
        customers = said(db, {due.customer_id for due in portion}, order.day)
        questions = []
        for due in portion:
            customer = customers[due.customer_id]
            consent = customer.consent(due.consent_type, due.granted_on)
            if why := left(customer, consent, order.day):
                asked.counts[f"not asked: it {why}"] += 1
            else:
                questions.append((due, channel(consent.type)))
        outcomes = persistence.ask(db, questions, order.day, order.run_id)
        if order.dry_run:
            db.rollback()
    for (due, _), outcome in zip(questions, outcomes, strict=True):
        asked.counts[outcome if outcome in _MAILED else f"not asked: {outcome}"] += 1
        if outcome not in _MAILED:
            asked.listed.append((str(due.last_day), due.customer, due.consent_type, outcome))
    return asked
