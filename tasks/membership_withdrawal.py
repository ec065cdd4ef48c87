"""Withdrawal from memberships: shown, and then done in one transaction, once."""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import date, datetime
from uuid import UUID

from prefect import task
from prefect.cache_policies import NO_CACHE

from lifecycle.persistence import membership_withdrawal as withdrawals
from lifecycle.persistence.database import Transaction, transaction
from lifecycle.persistence.membership_withdrawal import Waiting
from lifecycle.persistence.subscription_status import Learned
from lifecycle.rendering.membership_withdrawal import automatic_note
from lifecycle.rules.findings import BadInput, Finding
from lifecycle.rules.membership_withdrawal import Effect, Request, digest, effects, wrong
from lifecycle.rules.outbox import State
from lifecycle.settings import settings
from tasks.gdpr_erasure_batch import has_ended
from tasks.provisioning import calls_on
from tasks.retries import transient


@dataclass(frozen=True, slots=True)
class Shown:
    """What a withdrawal does, in the order of the memberships' codes. `digest`: a confirmation is bound to it.

    `before`: exactly so it was done already; there are no effects.
    """

    request: Request
    effects: tuple[Effect, ...]
    digest: str
    before: bool


@task(cache_policy=NO_CACHE, **transient)
def look(request: Request, day: date) -> Shown:
    """What the withdrawal would do on `day`; nothing is changed. Raises BadInput with everything that is in the way."""
    with transaction() as db:
        return _look(db, request, day)


def _look(db: Transaction, request: Request, day: date) -> Shown:
    known = withdrawals.look(db, request)
    if findings := wrong(request, known):
        raise BadInput(findings)
    does = () if known.before else effects(known.memberships, request.on, day)
    return Shown(request, does, digest(request, does), known.before)


@task(cache_policy=NO_CACHE, **transient)
def await_answer(shown: Shown, day: date, prefect_id: UUID, run_id: UUID, now: datetime) -> None:
    """Remember, once, what this Prefect run asks for while it waits for a person: the note is nowhere else."""
    with transaction() as db:
        withdrawals.await_answer(db, shown.request, day, prefect_id, run_id, now)


@task(cache_policy=NO_CACHE, **transient)
def remembered(prefect_id: UUID) -> Waiting | None:
    """What this Prefect run has asked for before it waited; None: it has not."""
    with transaction() as db:
        return withdrawals.remembered(db, prefect_id)


def unanswered(entered_before: datetime) -> list[UUID]:
    """Prefect runs whose withdrawals nobody will confirm: the run has ended, or it was entered too long ago."""
    with transaction() as db:
        waiting = withdrawals.waiting(db)
    return [run for run, entered_at in waiting if entered_at < entered_before or has_ended(run)]


@task(cache_policy=NO_CACHE, **transient)
def refuse(prefect_id: UUID) -> None:
    """What this Prefect run waits for is not to be done: its note is forgotten."""
    with transaction() as db:
        withdrawals.refuse(db, prefect_id)


@task(cache_policy=NO_CACHE, **transient)
def withdraw(shown: Shown, day: date, run_id: UUID, now: datetime, prefect_id: UUID | None) -> Counter[str]:
    """Do what was shown, all of it or nothing. Returns counts; what was done exactly so before is not done again.

    `prefect_id`: the Prefect run that waited for a person, if one did. Raises BadInput where something is in the way
    by now, and where it would do anything else than was shown; then nothing is changed.
    """
    request, learned = shown.request, Learned(day, now, run_id, calls_on(day))
    with transaction() as db:
        withdrawals.lock(db, request.memberships)
        found = _look(db, request, day)
        if found.before:
            # Another run did it: what this one waited for is answered.
            if prefect_id:
                withdrawals.refuse(db, prefect_id)
            return Counter({"withdrawn before": len(request.memberships)})
        if found.digest != shown.digest:
            raise BadInput([Finding("confirm", "what it does is no longer what was shown", "a new look")])
        noted = replace(request, note=request.note.strip() or automatic_note(request.on, settings().locale))
        done = withdrawals.record(db, noted, found.effects, learned, prefect_id)
        if done is None:
            raise BadInput([Finding("confirm", "it was refused before", "a new run")])
        live = settings().go_live.is_live("customer_notice", day)
        acknowledged = withdrawals.acknowledge(db, done, State.QUEUED if live else State.WITHHELD, learned)
    return _counted(found.effects) + Counter({acknowledged: 1})


def _counted(does: tuple[Effect, ...]) -> Counter[str]:
    return +Counter(
        {
            "memberships withdrawn": len(does),
            "instalments removed": sum(len(effect.removed) for effect in does),
            "instalments owed": sum(len(effect.owed) for effect in does),
            "instalments to be refunded": sum(len(effect.to_be_refunded) for effect in does),
            "mandates ended": len({effect.mandate for effect in does if effect.mandate}),
        }
    )
