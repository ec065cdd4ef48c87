"""Reseller reports: made for all resellers in one transaction, their mails queued in another."""

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from prefect import task
from prefect.cache_policies import NO_CACHE

from lifecycle.persistence import outbox, reseller_report
from lifecycle.persistence.database import transaction
from lifecycle.persistence.outbox import Message
from lifecycle.persistence.reseller_report import Addressee
from lifecycle.rules.findings import BadInput, Finding
from lifecycle.rules.outbox import State
from lifecycle.rules.reseller_report import KIND, Mail, Standing, mail_key
from lifecycle.settings import settings
from tasks.retries import transient


@dataclass(frozen=True, slots=True)
class Order:
    """Which reports: of the month that begins on `day`, from what was known at `known_at`. No codes: all resellers."""

    day: date
    known_at: datetime
    run_id: UUID
    resellers: list[str] | None
    today: date


@task(cache_policy=NO_CACHE, **transient)
def make(order: Order, *, dry_run: bool) -> tuple[int, list[Standing]]:
    """Store the missing reports; with `dry_run` take them back again. Returns how many, and how all of them stand."""
    with transaction() as db:
        if order.resellers and (unknown := reseller_report.unknown(db, order.resellers)):
            raise BadInput([Finding("resellers", f"{code!r} is no reseller's code", "codes") for code in unknown])
        policy = settings().policy
        made = reseller_report.make(
            db, order.day, order.known_at, order.run_id, policy.report_expired_from_months, order.resellers
        )
        standings = reseller_report.standings(db, order.day, order.resellers, settings().locale)
        if dry_run:
            db.rollback()
    return made, standings


@task(cache_policy=NO_CACHE, **transient)
def queue_mails(order: Order, todo: dict[int, Mail]) -> Counter[str]:
    """Queue the mails of these stored reports; each is written as it is sent. Returns counts by what was done."""
    with transaction() as db:
        addressees = reseller_report.addressees(db, list(todo))
        mails = [(todo[to.report], _message(order, to, todo[to.report])) for to in addressees]
        again = [message.key for mail, message in mails if mail is Mail.AGAIN]
        done = {
            *outbox.queue(db, [message for _, message in mails]),
            *outbox.resolve(db, again, State.QUEUED, [State.FAILED]),
        }
    return Counter(mail if message.key in done else Mail.ALREADY_THERE for mail, message in mails)


def _message(order: Order, to: Addressee, mail: Mail) -> Message:
    return Message(
        key=mail_key(to.reseller, order.day, order.today if mail is Mail.COPY else None),
        kind=KIND,
        recipient=to.email or "",
        recipient_name=to.name,
        business_date=order.day,
        run_id=order.run_id,
        withheld=mail is Mail.WITHHOLD,
        reseller_id=to.reseller_id,
    )
