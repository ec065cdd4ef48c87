"""What customers allow and object to, and the switches: each recorded in one transaction, once."""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from prefect import task
from prefect.cache_policies import NO_CACHE

from lifecycle.persistence import consents
from lifecycle.persistence.contact import Asked, asking, at_the_gate
from lifecycle.persistence.database import Transaction, transaction
from lifecycle.rules.consents import NothingToWithdraw, Said, added, later, not_allowed, unusable
from lifecycle.rules.contact import Allowed, Basis, ContactChannel, gate
from lifecycle.rules.findings import BadInput, Finding
from tasks.operators import unknown
from tasks.retries import transient


@dataclass(frozen=True, slots=True)
class By:
    """Who records it, in which run, on which day, and when."""

    operator: str
    run_id: UUID
    day: date
    now: datetime


@task(cache_policy=NO_CACHE, **transient)
def record_consent(customer: str, consent_type: str, said: Said, by: By, *, dry_run: bool) -> tuple[int, list[str]]:
    """Record what was said of a consent type. Returns how many versions that added, and what one should know of it.

    Raises BadInput with everything that is wrong; then nothing is recorded.
    """
    findings = [*unusable(said.evidence), *said.wrong(by.day)]
    with transaction() as db:
        findings += unknown(db, by.operator)
        type_id = consents.consent_type(db, consent_type)
        if type_id is None:
            findings.append(Finding("consent_type", f"{consent_type!r} is no consent type's code", "a code"))
        asked = _asked(db, customer, by.day, findings)
        try:
            versions = added(consents.history(db, asked.id, type_id), said) if type_id else []
        except NothingToWithdraw:
            problem, expected = "there is no consent of this type to withdraw", "a day by which there was one"
            raise BadInput([Finding("withdrawn_on", problem, expected)]) from None
        if type_id:
            consents.record(db, asked.id, type_id, versions, by.operator, by.run_id, by.now)
        known = _asked(db, customer, by.day, []).customer
        if dry_run:
            db.rollback()
    told = [each for each in known.consents if (each.type.code, each.granted_on) == (consent_type, said.granted_on)]
    return len(versions), [note for consent in told for note in not_allowed(known, consent, by.day)]


@task(cache_policy=NO_CACHE, **transient)
def record_objection(
    customer: str, channel: ContactChannel, objected_on: date, evidence: str, by: By, *, dry_run: bool
) -> tuple[bool, list[str]]:
    """Record that the customer does not want the channel. Returns whether that is new, and what one should know of it.

    Raises BadInput with everything that is wrong; then nothing is recorded.
    """
    findings = unusable(evidence)
    if by.day < objected_on:
        findings.append(later("objected_on", objected_on, by.day))
    with transaction() as db:
        findings += unknown(db, by.operator)
        asked = _asked(db, customer, by.day, findings)
        is_new = consents.object_to(
            db, asked.id, channel, objected_on, evidence or None, by.operator, by.run_id, by.now
        )
        answer = gate(_asked(db, customer, by.day, []).customer, channel, by.day, None)
        if dry_run:
            db.rollback()
    lifted = isinstance(answer, Allowed) and answer.basis is Basis.CONSENT
    return is_new, ["a consent on a later day lifts it: withdraw that one if it is not meant"] if lifted else []


def _asked(db: Transaction, customer: str, day: date, findings: list[Finding]) -> Asked:
    """The customer, locked. Raises BadInput with `findings`, and where there is no such customer."""
    asked = at_the_gate(db, customer, day)
    if asked is None:
        findings = [*findings, Finding("customer", f"{customer!r} is no customer's code", "a code")]
    elif asked.customer.erased:
        findings = [*findings, Finding("customer", f"{customer!r} was erased", "one that was not")]
    if findings or asked is None:
        raise BadInput(findings)
    return asked


@task(cache_policy=NO_CACHE, **transient)
def set_switch(channel: ContactChannel, asks: bool, from_on: date, by: By, *, dry_run: bool) -> bool:
    """Let a channel ask for a consent from a day on, or no longer. Returns whether that changes what holds on that day.

    Raises BadInput, also for a past day: what was contacted then rested on what held then.
    """
    with transaction() as db:
        findings = unknown(db, by.operator)
        if from_on < by.day:
            findings.append(Finding("from_on", f"{from_on} is past", f"{by.day} or a later day"))
        if findings:
            raise BadInput(findings)
        consents.take_turns(db)
        changes = (channel in asking(db, from_on)) is not asks
        if changes and not dry_run:
            consents.switch(db, channel, asks, by.operator, from_on, by.run_id, by.now)
    return changes
