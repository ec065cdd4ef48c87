"""Provisioning: access changes from the outbox, called out to the system that grants access."""

import hashlib
from collections import Counter
from datetime import UTC, date, datetime

from prefect import task
from prefect.cache_policies import NO_CACHE

from lifecycle.delivery.outcomes import Deferred, Refused, Unreachable
from lifecycle.delivery.provisioning import Provisioning, open_provisioning
from lifecycle.persistence import outbox
from lifecycle.persistence.outbox import Claimed, Deliverer, Ended, Settlement
from lifecycle.rules.outbox import WAITS, Channel, State, token, wait_after
from lifecycle.rules.provisioning import Access, AccessChange, Calls, body_of
from lifecycle.settings import settings

CLAIMED_AT_ONCE = 20

CALLED = "calls made"
FAILED = "calls refused"
DEFERRED = "calls deferred"
UNREACHABLE = "provisioning system unreachable"


def calls_on(day: date) -> Calls:
    """The states of calls that renewals cause on `day`."""
    return Calls(licence=state_on("access_change", day), service=state_on("service_transition", day))


def state_on(stream: str, day: date) -> State:
    """The state in which the stream's messages of `day` are written: before its go-live they are withheld."""
    return State.QUEUED if settings().go_live.is_live(stream, day) else State.WITHHELD


@task(cache_policy=NO_CACHE)
def call(_number: int, until: datetime) -> Counter[str]:
    """Make, one after the other, the calls that are due by `until`. Returns counts by outcome.

    A call that the other system refuses is listed for a person; where it cannot be reached at all, this stops.
    """
    counts: Counter[str] = Counter()
    with (
        open_provisioning(*settings().provisioning) as system,
        outbox.delivering(settings().timezone, Channel.CALL) as deliverer,
    ):
        # A later call of a subscription can only be claimed when the earlier one is settled: in the next pass.
        while not counts[UNREACHABLE] and (done := _pass(system, deliverer, until)):
            counts += done
    return counts


def _pass(system: Provisioning, deliverer: Deliverer, until: datetime) -> Counter[str]:
    """Walk along the queue once."""
    counts: Counter[str] = Counter()
    ended: Ended | None = None
    for message in deliverer.claims(until, CLAIMED_AT_ONCE):
        begun = deliverer.begin(message, system.name, ended)
        ended = Ended(begun.attempt, _call(system, message)) if begun else None
        if ended:
            counts[ended.how.outcome] += 1
            if ended.how.outcome == UNREACHABLE:
                break
    if ended:
        deliverer.settle(*ended)
    return counts


def _call(system: Provisioning, message: Claimed) -> Settlement:
    body = body_of(_change(message))
    digest = hashlib.sha256(body).hexdigest()
    wait = wait_after(message.failures + 1)
    try:
        # Not a business date: the receiver holds the moment of this try against its own clock.
        reply = system.call(token(message.key), body, datetime.now(UTC))
    except Refused as error:
        return Settlement(State.FAILED, FAILED, error.reply or str(error), digest)
    except Deferred as error:
        if wait is None:
            return Settlement(State.FAILED, FAILED, error.reply or str(error), digest)
        asked = error.wait or wait
        return Settlement(State.QUEUED, DEFERRED, error.reply or str(error), digest, max(wait, asked))
    except Unreachable as error:
        return Settlement(State.QUEUED, UNREACHABLE, str(error), digest, wait or WAITS[-1])
    return Settlement(State.SENT, CALLED, reply, digest)


def _change(message: Claimed) -> AccessChange:
    facts = dict(message.facts or {})
    return AccessChange(
        access=Access(facts["access"]),
        subscription=facts["subscription"],
        customer=facts["customer"],
        product=facts["product"],
        business_date=message.business_date,
        rule=facts["rule"],
        expires_on=datetime.fromisoformat(facts["expires_on"]).date(),
        transition=facts["transition"],
        recorded_at=message.created_at,
    )
