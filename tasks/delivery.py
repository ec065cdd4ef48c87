"""Delivery: what the outbox holds, handed to the mail server or the mail folder."""

import hashlib
import logging
import random
from collections import Counter
from datetime import datetime
from uuid import UUID

from prefect import task
from prefect.cache_policies import NO_CACHE

from lifecycle.delivery.carriers import Carrier, mail_folder, open_carrier
from lifecycle.delivery.outcomes import Deferred, InDoubt, Refused, Unreachable
from lifecycle.delivery.pace import Pace
from lifecycle.persistence import ForeignEnvironment, erasure_traces, installation, outbox
from lifecycle.persistence.card_documents import DocumentLost
from lifecycle.persistence.database import transaction
from lifecycle.persistence.outbox import Begun, Claimed, Ended, Settlement
from lifecycle.rendering.message import Attachment, Letter, Mailbox, compose, message_id
from lifecycle.rendering.templates import Content
from lifecycle.rules.outbox import WAITS, Channel, Obsolete, State, token, wait_after
from lifecycle.settings import settings
from tasks.issuer import unsubscribing
from tasks.mails import written
from tasks.runs import blame

CLAIMED_AT_ONCE = 20
"""Few enough that another deliverer finds some too."""

FAILED = "failed for good"
IN_DOUBT = "in doubt"
UNREACHABLE = "mail server unreachable"
OBSOLETE = "not sent: no longer so"
BULK = "mailings: "
"""Goes before what is counted of mailings."""

ANOTHER = f"{BULK}another run delivers them"

log = logging.getLogger("lifecycle.delivery")


class StillBeingSent(Exception):
    """Mails that name the erased are being written at this moment: they are to be removed when that is over."""


@task(cache_policy=NO_CACHE)
def take_stock() -> Counter[str]:
    """Free what dead deliverers left behind, and settle by evidence what they may have sent. Returns what there is."""
    _settle_by_evidence()
    return look.fn()


def _settle_by_evidence() -> None:
    with transaction() as db:
        outbox.release_abandoned(db)
    with open_carrier(settings().mail_target) as carrier, transaction() as db:
        there = {key: carrier.evidence(token(key)) for key in outbox.in_doubt(db, carrier.name)}
        outbox.resolve(db, [key for key, seen in there.items() if seen is True], State.SENT, [State.IN_DOUBT])
        outbox.resolve(db, [key for key, seen in there.items() if seen is False], State.QUEUED, [State.IN_DOUBT])


def forget_mails(erasure_id: UUID) -> int:
    """Remove from mail folders what was written to the erased, and the reports to resellers that named them.

    From all folders that took one of these mails, and from the one that mails go to now. One that is in doubt is
    settled first: its file is the evidence that it need not be sent again. Returns how many files that were.
    Raises StillBeingSent when all others are removed, and Unreachable.
    """
    _settle_by_evidence()
    here = where_mails_go()
    under_way, tokens, places = 0, set(), {here}
    with transaction() as db:
        for mail in erasure_traces.mails(db, erasure_id):
            places.update(mail.carriers)
            if mail.under_way and mail.carriers[-1:] == [here]:
                under_way += 1
            else:
                tokens.add(token(mail.key))
    folders = [folder for place in sorted(places) if (folder := mail_folder(place))]
    removed = sum(folder.forget(tokens) for folder in folders)
    if under_way and mail_folder(here):
        raise StillBeingSent(f"{under_way} mails that name the erased are being written now: try again")
    return removed


@task(cache_policy=NO_CACHE)
def look() -> Counter[str]:
    """How many messages wait, or need a person, by state."""
    with transaction() as db:
        return outbox.backlog(db)


@task(cache_policy=NO_CACHE)
def deliver(_number: int, until: datetime) -> Counter[str]:
    """Deliver, over one connection, whatever is due by `until` and not claimed by another. Returns counts by outcome.

    One bad message fails alone. Where it is the server that cannot be used, this stops and the messages wait.
    """
    with open_carrier(settings().mail_target) as carrier, outbox.delivering(settings().timezone) as deliverer:
        counts: Counter[str] = Counter()
        ended: Ended | None = None
        for message in deliverer.claims(until, CLAIMED_AT_ONCE):
            begun = deliverer.begin(message, carrier.name, ended)
            ended = _handed_over(carrier, message, begun, counts)
            if counts[UNREACHABLE]:
                break
        if ended:
            deliverer.settle(*ended)
    return counts


@task(cache_policy=NO_CACHE)
def deliver_bulk(until: datetime, seconds: float) -> Counter[str]:
    """Deliver what of mailings is due by `until`, at the policy's pace and for so many seconds, then leave the rest.

    The one deliverer does it in the whole installation; where there is another, that one. Each is settled before the
    wait for the next one, so that a kill in between leaves none in doubt. Returns counts by outcome, each with BULK.
    Raises BadInput where the settings do not say how to unsubscribe.
    """
    pace = Pace(settings().policy.bulk_per_minute, seconds)
    channel = outbox.delivering(settings().timezone, Channel.BULK)
    with open_carrier(settings().mail_target) as carrier, channel as deliverer:
        counts: Counter[str] = Counter()
        if not deliverer.alone():
            return Counter({ANOTHER: 1})
        for message in deliverer.claims(until, CLAIMED_AT_ONCE):
            unsubscribing(message.id)
            if not pace.turn():
                break
            begun = deliverer.begin(message, carrier.name)
            if ended := _handed_over(carrier, message, begun, counts):
                deliverer.settle(*ended)
                pace.left()
            if counts[UNREACHABLE]:
                break
    return Counter({f"{BULK}{outcome}": number for outcome, number in (+counts).items()})


def foreign() -> ForeignEnvironment | None:
    """Why nothing may leave: the database is a copy of another installation's. None: it is ours."""
    with transaction() as db:
        try:
            installation.require_own(db)
        except ForeignEnvironment as fact:
            return fact
    return None


def where_mails_go() -> str:
    """The mail server or folder, without any password."""
    with open_carrier(settings().mail_target) as carrier:
        return carrier.name


def _handed_over(carrier: Carrier, message: Claimed, begun: Begun | None, counts: Counter[str]) -> Ended | None:
    """How the attempt ended, which is counted; None: the message may not leave, or is no longer ours."""
    if begun is None:
        return None
    if begun.missing:
        counts[f"not sent: {begun.missing}"] += 1
        return None
    how = _hand_over(carrier, message)
    counts[how.outcome] += 1
    return Ended(begun.attempt, how)


def _hand_over(carrier: Carrier, message: Claimed) -> Settlement:
    issuer = settings().issuer
    try:
        content = compose(_letter(message))
    except Obsolete as fact:
        return Settlement(State.CANCELLED, OBSOLETE, str(fact))
    except DocumentLost as fact:
        return Settlement(State.FAILED, FAILED, str(fact))
    except Exception as error:  # noqa: BLE001 - a message that cannot be written must not hold up the rest
        log.error("message %s cannot be composed: %s", message.id, blame(error))
        return Settlement(State.FAILED, FAILED, blame(error))
    digest = hashlib.sha256(content).hexdigest()
    try:
        reply = carrier.send(token(message.key), issuer.mail_from, message.recipient, content)
    except Refused as error:
        return Settlement(State.FAILED, FAILED, error.reply or str(error), digest)
    except InDoubt as error:
        return Settlement(State.IN_DOUBT, IN_DOUBT, str(error), digest)
    except Deferred as error:
        wait = wait_after(message.failures + 1)
        if wait is None:
            return Settlement(State.FAILED, FAILED, error.reply or str(error), digest)
        return Settlement(State.QUEUED, "deferred", error.reply or str(error), digest, wait * random.uniform(1, 1.3))  # noqa: S311
    except Unreachable as error:
        # Not the message's fault: it is never given up for this.
        wait = wait_after(message.failures + 1) or WAITS[-1]
        return Settlement(State.QUEUED, UNREACHABLE, f"{error} {error.reply}".strip(), digest, wait)
    return Settlement(State.SENT, "sent", reply, digest)


def _letter(message: Claimed) -> Letter:
    issuer = settings().issuer
    body = message.body or written(message)
    return Letter(
        message_id=message_id(message.key, issuer.mail_from.rpartition("@")[2]),
        kind=message.kind,
        sent_at=message.created_at,
        sender=Mailbox(issuer.mail_from, issuer.name),
        recipient=Mailbox(message.recipient, message.recipient_name),
        content=Content(body.subject, body.text, body.html),
        reply_to=Mailbox(issuer.reply_to) if issuer.reply_to else None,
        attachment=Attachment(*body.attachment) if body.attachment else None,
        unsubscribing=body.unsubscribing,
    )
