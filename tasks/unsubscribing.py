"""What somebody who wants no more mailings asks for, recorded. Without Prefect: a page on the web waits for it.

A request withdraws every consent to bulk mail and is an objection besides, which holds also where mailings go to
customers without a consent.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from lifecycle.persistence import consents, unsubscribing
from lifecycle.persistence.database import Transaction
from lifecycle.persistence.unsubscribing import Request
from lifecycle.rules.consents import NothingToWithdraw, Said, added
from lifecycle.rules.contact import ContactChannel


@dataclass(frozen=True, slots=True)
class Recorded:
    """What one request added; nothing where the same was known, or its customer is erased."""

    consents: int
    objections: int

    @property
    def anything(self) -> bool:
        return self.consents + self.objections > 0


def unsubscribe(
    db: Transaction, requests: Sequence[Request], day: date, now: datetime, run_id: UUID | None
) -> list[Recorded | None]:
    """End bulk mail from `day` on for the customers of these messages; None where a message is no bulk mail of ours.

    A consent granted on a later day is left alone. A request whose evidence is known adds nothing, also on a later day:
    it was recorded, and then read again, and the customer may have consented anew in between.
    """
    types = unsubscribing.bulk_types(db)
    recorded: list[Recorded | None] = []
    for request, asking in zip(requests, unsubscribing.asking(db, requests), strict=True):
        if asking is None:
            recorded.append(None)
        elif asking.settled:
            recorded.append(Recorded(0, 0))
        else:
            said = Said(None, day, request.evidence)
            withdrawn = sum(_withdrawn(db, asking.customer, type_, said, now, run_id) for type_ in types)
            new = consents.object_to(db, asking.customer, ContactChannel.BULK, day, request.evidence, None, run_id, now)
            recorded.append(Recorded(withdrawn, int(new)))
    return recorded


def _withdrawn(db: Transaction, customer: int, type_: int, said: Said, now: datetime, run_id: UUID | None) -> int:
    history = consents.history(db, customer, type_)
    known = {version.granted_on: version.withdrawn_on for version in history}
    versions = []
    with suppress(NothingToWithdraw):
        # Of a consent that ends on that day already, a second request is no news.
        versions = [each for each in added(history, said) if known[each.granted_on] != each.withdrawn_on]
    consents.record(db, customer, type_, versions, None, run_id, now)
    return len(versions)
