"""Billing cards, portion by portion: decided, numbered, drawn, stored and queued in one transaction each."""

import hashlib
import logging
import multiprocessing
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache, partial
from multiprocessing.process import parent_process
from multiprocessing.util import Finalize
from threading import Lock, Thread
from uuid import UUID

from prefect import task
from prefect.cache_policies import NO_CACHE

from lifecycle.persistence import billing_card, card_closing, card_documents, card_renewals, payments
from lifecycle.persistence.billing_card import Account, Run
from lifecycle.persistence.database import Transaction, transaction
from lifecycle.persistence.subscription_status import Learned
from lifecycle.rendering import billing_card as rendering
from lifecycle.rendering.templates import Issuer
from lifecycle.rules.billing_card import Card, Change, Payee, changes, from_credit, reminder_due
from lifecycle.rules.findings import BadInput, Finding
from lifecycle.rules.money import MOST
from lifecycle.rules.outbox import State
from lifecycle.settings import settings
from tasks.issuer import issuer, payee
from tasks.provisioning import calls_on, state_on
from tasks.retries import transient
from tasks.runs import blame

NOT_DRAWN = "cards that could not be drawn"
TOO_MUCH = "cards that cost more than can be recorded"
NO_ADDRESS = "left: no address to mail a card to"

DRAWN_HERE = 20
"""Up to so many documents are drawn by this process: starting others takes longer."""

log = logging.getLogger("lifecycle.billing")

_one_at_a_time = Lock()


@dataclass(frozen=True, slots=True)
class Order:
    """One run: the day it acts for. A dry run does everything and takes it back."""

    day: date
    now: datetime
    run_id: UUID
    dry_run: bool

    @property
    def until(self) -> date:
        """Services that expire up to this day are due."""
        return self.day + timedelta(days=settings().policy.card_lead_days)

    @property
    def live(self) -> bool:
        """Whether cards leave the house, or are made for trial."""
        return settings().go_live.is_live("billing_card", self.day)


Listed = tuple[str, str, str, Decimal, str]
"""A card in the summary: (number, "-" where none was made; customer's code; currency; total; what became of it)."""


@dataclass(slots=True)
class Billed:
    """What became of a portion: counts, totals by (what, currency), and each card."""

    counts: Counter[str] = field(default_factory=Counter)
    sums: dict[tuple[str, str], Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    cards: list[Listed] = field(default_factory=list)

    def add(self, other: "Billed") -> None:
        self.counts.update(other.counts)
        for of, amount in other.sums.items():
            self.sums[of] += amount
        self.cards += other.cards


@task(cache_policy=NO_CACHE, **transient)
def customers_due(order: Order, codes: Sequence[str] | None) -> list[int]:
    """The customers at whose cards the run must look; None: all, else those of them with these codes.

    Raises BadInput for codes that are nobody's, and where the settings do not say whom to pay.
    """
    payee()
    with transaction() as db:
        reminder_days = settings().policy.card_reminder_days
        due = billing_card.due(db, order.day, order.until, reminder_days, live=order.live)
        known = billing_card.ids(db, codes or [])
    if unknown := [code for code in codes or [] if code not in known]:
        raise BadInput([Finding("customers", f"{code!r} is no customer's code", "a code") for code in unknown])
    return due if codes is None else sorted(set(due) & set(known.values()))


@task(cache_policy=NO_CACHE, **transient)
def custom_due(order: Order) -> list[tuple[str, str, date]]:
    """Custom applications that fall due, for Accounting: (subscription's code, customer's code, expiry)."""
    with transaction() as db:
        return billing_card.custom_due(db, order.day, order.until)


@task(cache_policy=NO_CACHE, **transient)
def bill(customers: Sequence[int], order: Order) -> Billed:
    """Bring the cards of these customers up to date, with their documents and mails, in one transaction.

    A card that cannot be drawn or recorded costs nobody else theirs: its customer is left out, counted and listed, and
    the numbers of the others have no hole.
    """
    left_out: dict[int, Listed] = {}
    while True:
        try:
            billed = _bill([customer for customer in customers if customer not in left_out], order)
        except _LeftOut as found:
            left_out |= found.customers
        else:
            billed.counts.update(what for *_, what in left_out.values())
            billed.cards += left_out.values()
            return billed


class _LeftOut(Exception):
    """Customers by id, each with the card that none can be made of."""

    def __init__(self, customers: dict[int, Listed]) -> None:
        self.customers = customers
        super().__init__(f"{len(customers)} customers' cards")


def _bill(customers: Sequence[int], order: Order) -> Billed:
    run = Run(order.day, order.now, order.run_id, order.live, settings().policy.card_shows_vat)
    billed = Billed()
    with transaction() as db:
        accounts = billing_card.locked(db, customers, order.day, order.until)
        todo = [
            change
            for customer, account in accounts.items()
            for change in changes(customer, account.services, account.cards, run.day, live=run.live)
        ]
        if too_much := [change for change in todo if change.total > MOST]:
            raise _LeftOut({
                each.customer_id: ("-", accounts[each.customer_id].code, each.currency, each.total, TOO_MUCH)
                for each in too_much
            })  # fmt: skip
        void = [change.card.id for change in todo if change.card and not change.lines]
        card_closing.void(db, void, run.day, run.run_id, run.now)
        billed.counts["cards void"] += len(void)
        if made := [change for change in todo if change.lines]:
            _make(db, made, accounts, run, billed)
        _queue(db, accounts, todo, run, billed)
        if order.dry_run:
            db.rollback()
    return billed


def _make(db: Transaction, made: Sequence[Change], accounts: Mapping[int, Account], run: Run, billed: Billed) -> None:
    """New cards and new revisions, with their documents; those that credit pays in full renew at once."""
    ids = billing_card.record(db, made, run)
    if run.live:
        credit = payments.credit_of(db, list(accounts))
        billing_card.use_credit(db, _used_credit(made, ids, credit), run)
    cards = card_documents.read(db, ids, settings().locale, shows_vat=run.shows_vat)
    of_customer = {id_: change.customer_id for id_, change in zip(ids, made, strict=True)}
    card_documents.store(db, _documents(cards, of_customer), run)
    for id_, change in zip(ids, made, strict=True):
        card = cards[id_]
        what = ("cards revised" if change.card else "cards made") + (", trial" if card.trial else "")
        billed.counts[what] += 1
        billed.sums[what, card.currency] += card.total
        billed.cards.append((card.number, accounts[change.customer_id].code, card.currency, card.total, what))
    if run.live:
        learned = Learned(run.day, run.now, run.run_id, calls_on(run.day))
        settled = card_renewals.settle(db, ids, learned, state_on("billing_card", run.day))
        billed.counts["cards paid by credit"] += len(settled.paid)
        billed.counts["services renewed"] += settled.renewed
        billed.counts["services reactivated"] += settled.back


def _used_credit(
    made: Sequence[Change], ids: Sequence[int], credit: dict[tuple[int, str], Decimal]
) -> dict[int, Decimal]:
    """What each card takes from its customer's credit, older cards first."""
    used: dict[int, Decimal] = {}
    for id_, change in zip(ids, made, strict=True):
        of = change.customer_id, change.currency
        if amount := from_credit(credit.get(of, Decimal()), change.total, change.paid):
            used[id_] = amount
            credit[of] = credit.get(of, Decimal()) - amount
    return used


def _queue(db: Transaction, accounts: Mapping[int, Account], todo: Sequence[Change], run: Run, billed: Billed) -> None:
    """The mails of what is new, and reminders of what is not."""
    changed = {change.card.id for change in todo if change.card}
    days = settings().policy.card_reminder_days
    reminders = {
        card.id: due_on
        for account in accounts.values()
        for card in account.cards
        if card.id not in changed and (due_on := reminder_due(card, run.day, days))
    }
    for state, number in billing_card.queue_mails(db, list(accounts), run).items():
        billed.counts["cards withheld" if state is State.WITHHELD else "cards to mail"] += number
    for state, number in billing_card.queue_reminders(db, reminders, run).items():
        billed.counts["reminders withheld" if state is State.WITHHELD else "reminders to mail"] += number
    unreached = {change.customer_id for change in todo if change.lines and not accounts[change.customer_id].reachable}
    billed.counts[NO_ADDRESS] += len(unreached)


def _documents(cards: Mapping[int, Card], of_customer: Mapping[int, int]) -> list[tuple[int, Card, bytes, str]]:
    """The cards with their PDFs and the digests of these. Raises _LeftOut for those that could not be drawn."""
    drawn = dict(zip(cards, _drawn(list(cards.values())), strict=True))
    if failed := {id_: pdf for id_, pdf in drawn.items() if isinstance(pdf, str)}:
        for id_, reason in failed.items():
            log.error("card of customer %s cannot be drawn: %s", of_customer[id_], reason)
        raise _LeftOut({
            of_customer[id_]: ("-", cards[id_].payer.code, cards[id_].currency, cards[id_].total, NOT_DRAWN)
            for id_ in failed
        })  # fmt: skip
    return [
        (id_, cards[id_], pdf, hashlib.sha256(pdf).hexdigest()) for id_, pdf in drawn.items() if isinstance(pdf, bytes)
    ]


def _drawn(cards: Sequence[Card]) -> Iterable[bytes | str]:
    """Each card's PDF, or why there is none; many of them on all cores."""
    draw = partial(_draw, payee=payee(), issuer=issuer())
    # A worker of a Dask cluster may not start processes: there the portions are what spreads over the cores.
    if len(cards) <= DRAWN_HERE or multiprocessing.current_process().daemon:
        return map(draw, cards)
    try:
        return list(_processes().map(draw, cards, chunksize=max(1, len(cards) // (4 * _cores()))))
    except BrokenProcessPool:
        _pool.cache_clear()
        raise


def _draw(card: Card, payee: Payee, issuer: Issuer) -> bytes | str:
    try:
        return rendering.document(card, payee, issuer)
    except Exception as error:  # noqa: BLE001 - one card that cannot be drawn must not cost the others theirs
        return blame(error)


def _processes() -> ProcessPoolExecutor:
    with _one_at_a_time:  # portions that come first together would each start one
        return _pool()


@cache
def _pool() -> ProcessPoolExecutor:
    """Processes that draw, kept for the next portion; they have no connection, and end with this process."""
    pool = ProcessPoolExecutor(_cores(), multiprocessing.get_context("spawn"), initializer=_end_with_parent)
    # Where this is itself a process of a task runner, it would wait for them for ever before Python tells them to end;
    # and it must be told before its queues close, which is done at priority 10.
    Finalize(None, pool.shutdown, exitpriority=100)
    return pool


def _end_with_parent() -> None:
    """A process whose parent is killed would wait for work for ever."""
    Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    if parent := parent_process():
        parent.join()
        os._exit(1)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
