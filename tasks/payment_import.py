"""Payments: one bank file in one transaction, recorded and matched as a whole or refused as a whole."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path
from uuid import UUID

from prefect import task
from prefect.cache_policies import NO_CACHE

from lifecycle.persistence import card_renewals, payments
from lifecycle.persistence.database import Transaction, transaction
from lifecycle.persistence.subscription_status import Learned
from lifecycle.reading import bank_statement
from lifecycle.rules.billing_card import CardState
from lifecycle.rules.findings import BadInput, Finding, Findings
from lifecycle.rules.payment import Decision, Entry, listed, match
from lifecycle.rules.records import PAYMENTS, read
from tasks.provisioning import calls_on, state_on
from tasks.retries import transient

KINDS = {".csv", ".xml"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a bank file did: figures by verdict, and the payments that a person must look at.

    `otherwise` are services of paid cards, each with its card's number, that have another expiry by now.
    """

    counts: Counter[str] = field(default_factory=Counter)
    undecided: list[Decision] = field(default_factory=list)
    otherwise: list[tuple[str, str]] = field(default_factory=list)


@task(cache_policy=NO_CACHE, **transient)
def import_payments(path: Path, day: date, now: datetime, run_id: UUID) -> Outcome:
    """Record the payments of a bank statement (camt.053, ``.xml``) or list (``.csv``) and match them with cards.

    Raises BadInput with everything that is wrong in the file; then nothing is recorded.
    """
    with transaction() as db:
        return _imported(db, path, Learned(day, now, run_id, calls_on(day)))


@task(cache_policy=NO_CACHE, **transient)
def foresee_payments(paths: list[Path], day: date, now: datetime, run_id: UUID) -> list[Outcome | BadInput]:
    """What importing the files one after the other would do, each seeing what those before it leave; none recorded."""
    outcomes: list[Outcome | BadInput] = []
    with transaction() as db:
        for path in paths:
            try:
                with db.begin_nested():
                    outcomes.append(_imported(db, path, Learned(day, now, run_id, calls_on(day))))
            except BadInput as refused:
                outcomes.append(refused)
        db.rollback()
    return outcomes


def _imported(db: Transaction, path: Path, learned: Learned) -> Outcome:
    findings, skipped = Findings(), Counter[str]()
    given = staged(db, path, findings, skipped)
    if findings.total:
        raise BadInput(findings.kept, findings.total)
    outcome = matched(db, given, learned)
    outcome.counts.update(skipped)
    return outcome


def staged(db: Transaction, path: Path, findings: Findings, skipped: Counter[str]) -> int:
    """Wait for others that match money, then stage the file's entries and check them. Returns how many there are."""
    payments.take_turn(db)
    given = payments.stage(db, _entries(path, findings, skipped))
    payments.check(db, path.name, findings)
    return given


def matched(db: Transaction, given: int, learned: Learned) -> Outcome:
    """Record and match the staged entries, of which there are `given`."""
    new = payments.record(db, learned)
    earlier = payments.originals(db, new)
    touched = {part.card_id for each in earlier for part in each.allocations if part.card_id is not None}
    cards = payments.locked(db, {number for each in [*new, *earlier] for number in each.numbers}, touched)
    decisions, afterwards = match(new, cards, earlier)
    payments.allocate(db, decisions, learned)
    now_open = [c.id for n, c in afterwards.items() if (cards[n].state, c.state) == (CardState.PAID, CardState.OPEN)]
    now_paid = [c.id for n, c in afterwards.items() if (cards[n].state, c.state) == (CardState.OPEN, CardState.PAID)]
    payments.reopen(db, now_open)
    settled = card_renewals.settle(db, now_paid, learned, state_on("billing_card", learned.day))
    counts = Counter(str(decision.verdict) for decision in decisions)
    counts.update({"imported before": given - len(new), "cards opened again": len(now_open)})
    counts.update({"services renewed": settled.renewed, "services reactivated": settled.back})
    undecided = [decision for decision in decisions if not decision.verdict.is_settled]
    return Outcome(+counts, undecided, settled.otherwise)


def _entries(path: Path, findings: Findings, skipped: Counter[str]) -> Iterator[tuple[int, Entry]]:
    if path.suffix.lower() not in KINDS or not path.is_file():
        findings.add([Finding(path.name, "is no bank file", "a file ending in .xml (camt.053) or .csv")])
    elif path.suffix.lower() == ".xml":
        with path.open("rb") as file:
            yield from bank_statement.entries(file, path.name, findings, skipped)
    else:
        yield from _rows(path, findings)


def _rows(path: Path, findings: Findings) -> Iterator[tuple[int, Entry]]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
        for block in read(replace(PAYMENTS, name=path.stem), lines):
            findings.add(block.findings)
            yield from listed(block)
