"""Reseller reports: made for all resellers in one transaction, their mails rendered and queued portion by portion."""

import logging
from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from prefect import task
from prefect.cache_policies import NO_CACHE

from lifecycle.persistence import outbox, reseller_report
from lifecycle.persistence.database import transaction
from lifecycle.persistence.outbox import Body, Message
from lifecycle.persistence.reseller_report import Stored
from lifecycle.rendering import reseller_report as rendering
from lifecycle.rules.findings import BadInput, Finding
from lifecycle.rules.outbox import State
from lifecycle.rules.reseller_report import Mail, Standing
from lifecycle.settings import settings
from tasks.issuer import issuer
from tasks.retries import transient
from tasks.runs import blame

NOT_RENDERED = "report cannot be rendered"

log = logging.getLogger("lifecycle.reseller_report")


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
def queue_mails(order: Order, portion: dict[int, Mail]) -> Counter[str]:
    """Render the mails of one portion of stored reports and queue them. Returns counts by what was done.

    Rendering holds no lock: two runs may both render a mail, one of them gets to queue it.
    """
    with transaction() as db:
        reports = reseller_report.read(db, list(portion), settings().locale)
    counts: Counter[str] = Counter()
    messages: dict[str, tuple[Mail, Message]] = {}
    for stored in reports:
        mail = portion[stored.id]
        try:
            message = _message(order, stored, mail)
        except Exception as error:  # noqa: BLE001 - one report that cannot be rendered must not hold up the others
            log.error("report %s cannot be rendered: %s", stored.id, blame(error))
            counts[NOT_RENDERED] += 1
        else:
            messages[message.key] = mail, message
    again = [key for key, (mail, _) in messages.items() if mail is Mail.AGAIN]
    with transaction() as db:
        queued = outbox.queue(db, [message for _, message in messages.values()])
        queued += outbox.resolve(db, again, State.QUEUED, [State.FAILED])
    counts.update(messages[key][0] for key in queued)
    counts[Mail.ALREADY_THERE] += len(messages) - len(queued)
    return +counts


def _message(order: Order, stored: Stored, mail: Mail) -> Message:
    report = stored.report
    key = f"reseller-report/{report.reseller}/{order.day:%Y-%m}"
    if mail is Mail.COPY:
        key = f"{key}/copy/{order.today}"
    return Message(
        key=key,
        kind="reseller-report",
        recipient=stored.email or "",
        recipient_name=report.reseller_name,
        business_date=order.day,
        run_id=order.run_id,
        body=None if mail is Mail.WITHHOLD else _body(stored, copy=mail is Mail.COPY),
        reseller_id=stored.reseller_id,
    )


def _body(stored: Stored, *, copy: bool) -> Body:
    report = stored.report
    content = rendering.content(report, issuer(), copy=copy)
    attachment = rendering.attachment_name(report), rendering.XLSX, rendering.workbook(report)
    return Body(content.subject, content.text, content.html, attachment)
