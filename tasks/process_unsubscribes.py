"""Mails that ask us to stop mailings: read from the inbox, recorded, and only then removed from it."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from itertools import islice
from uuid import UUID

from prefect import task
from prefect.cache_policies import NO_CACHE

from lifecycle.persistence.database import transaction
from lifecycle.persistence.unsubscribing import Request
from lifecycle.reading.arrived import Arrived, LoginRefused, NoSuchInbox, NotRead, Unreachable
from lifecycle.reading.inbox import MOST, open_inbox
from lifecycle.rules.unsubscribing import message_of, tokens_in
from lifecycle.settings import settings
from tasks.delivery import foreign
from tasks.issuer import unsubscribe_secret
from tasks.unsubscribing import Recorded, unsubscribe

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
def process_inbox(day: date, now: datetime, run_id: UUID, *, dry_run: bool) -> Counter[str]:
    """Record what the mails in the configured inbox ask for, in portions. Returns counts by what became of them.

    Each portion is committed before its mails are removed: whatever ends this in between, they are read again, and add
    nothing. Those of customers who are erased since go as well; mails that ask for nothing we know stay as they are.
    Where it is the inbox that fails, this stops.
    In a copy of another installation's database none is read: that they are asking is for its original to know.
    """
    url = settings().unsubscribe_inbox
    if url is None:
        return Counter({NO_INBOX: 1})
    if not dry_run and (fact := foreign()):
        return Counter({f"inbox: not read, a copy of {fact.owner}": 1})
    counts: Counter[str] = Counter()
    try:
        with open_inbox(url.get_secret_value()) as inbox:
            mails = inbox.mails()
            # What a dry run takes back, its next portion would not see.
            while portion := list(islice(mails, MOST if dry_run else PORTION)):
                asking = list(_requests(portion, day))
                with transaction() as db:
                    recorded = unsubscribe(db, [request for _, request in asking], day, now, run_id)
                    if dry_run:
                        db.rollback()
                done = [(mail, added) for (mail, _), added in zip(asking, recorded, strict=True) if added]
                counts.update(_counted(portion, done))
                if not dry_run:
                    inbox.remove({mail.id for mail, _ in done})
            counts += inbox.skipped
    except NotRead as error:
        log.error("the inbox: %s", error)
        counts[NOT_READ[type(error)]] += 1
    return +counts


def _requests(mails: Sequence[Arrived], day: date) -> Iterator[tuple[Arrived, Request]]:
    secret = unsubscribe_secret()
    for mail in mails:
        named = mail.message_id or f"without Message-ID, read on {day}"
        for message in (message_of(token, secret) for token in tokens_in(mail.subject)):
            if message is not None:
                yield mail, Request(message, f"mail {named}")


def _counted(mails: Sequence[Arrived], done: Sequence[tuple[Arrived, Recorded]]) -> Counter[str]:
    """What became of these mails; `done` are those that named mailings of ours, with what each named added."""
    news = [(mail, added) for mail, added in done if added.anything]
    ours, telling = {mail.id for mail, _ in done}, {mail.id for mail, _ in news}
    left = [bool(tokens_in(mail.subject)) for mail in mails if mail.id not in ours]
    return Counter(
        {
            "customers unsubscribed": len(news),
            "consents withdrawn": sum(added.consents for _, added in news),
            "objections recorded": sum(added.objections for _, added in news),
            "mails that add nothing: asked before": len(ours - telling),
            "mails left for a person: no token": left.count(False),
            "mails left for a person: no token of ours": left.count(True),
        }
    )
