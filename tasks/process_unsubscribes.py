"""Mails that ask us to stop mailings: read from the inbox, recorded, and only then marked as dealt with."""

import logging
from collections import Counter
from datetime import date
from itertools import islice
from uuid import UUID

from prefect import task
from prefect.cache_policies import NO_CACHE

from lifecycle.persistence.database import transaction
from lifecycle.persistence.unsubscribing import Request, unsubscribe
from lifecycle.reading.arrived import Arrived, LoginRefused, NoSuchInbox, NotRead, Unreachable
from lifecycle.reading.inbox import MOST, open_inbox
from lifecycle.rules.unsubscribing import message_of, tokens_in
from lifecycle.settings import settings
from tasks.issuer import unsubscribe_secret

PORTION = 500
"""Mails recorded in one transaction."""

NO_INBOX = "inbox: none, LIFECYCLE_UNSUBSCRIBE_INBOX is not set"

NOT_READ: dict[type[NotRead], str] = {
    Unreachable: "inbox: unreachable",
    LoginRefused: "inbox: login refused",
    NoSuchInbox: "inbox: no such folder",
}
"""Why the inbox was not read, or not to the end."""

log = logging.getLogger("lifecycle.unsubscribes")


# No retries: the next scheduled run reads whatever this one leaves.
@task(cache_policy=NO_CACHE)
def process_inbox(day: date, run_id: UUID, *, dry_run: bool) -> Counter[str]:
    """Record what the mails in the configured inbox ask for, in portions. Returns counts by what became of them.

    Each portion is committed before its mails are marked: whatever ends this in between, they are read again, and add
    nothing. Mails that ask for nothing we know stay as they are. Where it is the inbox that fails, this stops.
    """
    url = settings().unsubscribe_inbox
    if url is None:
        return Counter({NO_INBOX: 1})
    counts: Counter[str] = Counter()
    try:
        with open_inbox(url.get_secret_value()) as inbox:
            mails = inbox.mails()
            # What a dry run takes back, its next portion would not see.
            while portion := list(islice(mails, MOST if dry_run else PORTION)):
                asked = _recorded(portion, day, run_id, counts, dry_run=dry_run)
                if not dry_run:
                    inbox.dealt_with(asked)
            counts += inbox.skipped
    except NotRead as error:
        log.error("the inbox: %s", error)
        counts[NOT_READ[type(error)]] += 1
    return +counts


def _recorded(mails: list[Arrived], day: date, run_id: UUID, counts: Counter[str], *, dry_run: bool) -> set[str]:
    """Record what these mails ask for, and count it. Returns those that named messages of ours."""
    tokens = {mail.id: tokens_in(mail.subject) for mail in mails}
    asking = [
        (mail.id, Request(message, _evidence(mail, day)))
        for mail in mails
        for token in tokens[mail.id]
        if (message := message_of(token, unsubscribe_secret())) is not None
    ]
    with transaction() as db:
        recorded = unsubscribe(db, [request for _, request in asking], day, run_id)
        if dry_run:
            db.rollback()
    done = [(mail, added) for (mail, _), added in zip(asking, recorded, strict=True) if added]
    ours = {mail for mail, _ in done}
    news = [(mail, added) for mail, added in done if added.anything]
    counts["customers unsubscribed"] += len(news)
    counts["consents withdrawn"] += sum(added.consents for _, added in news)
    counts["objections recorded"] += sum(added.objections for _, added in news)
    counts["mails that add nothing: asked before"] += len(ours - {mail for mail, _ in news})
    counts["mails left for a person: no token"] += sum(not found for found in tokens.values())
    counts["mails left for a person: no token of ours"] += sum(bool(tokens[mail]) for mail in tokens.keys() - ours)
    return ours


def _evidence(mail: Arrived, day: date) -> str:
    """Without a Message-ID, two mails of one day look alike; the day's objection is one all the same."""
    return f"mail, Message-ID {mail.message_id}" if mail.message_id else f"mail without Message-ID, read on {day}"
