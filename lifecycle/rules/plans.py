"""A sweep's plan: what is decided on each subscription, written down before anything is done."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Generic, TypeVar

Step = TypeVar("Step", bound=StrEnum)


class PlanState(StrEnum):
    """``waiting`` for a person is what the brake makes of a plan."""

    MADE = "made"
    WAITING = "waiting"
    APPROVED = "approved"
    REFUSED = "refused"
    DONE = "done"


class Held(StrEnum):
    """Why a subscription whose milestone has passed is left as it is."""

    NO_ADDRESS = "no address to warn"
    NO_CARD = "on no unpaid card"
    CARD_NOT_SENT = "card not sent yet"
    CARD_REFUSED = "card could not be delivered"
    CARD_SENT_LATELY = "card sent too short ago"
    WARNING_NOT_SENT = "warning not sent yet"
    WARNING_REFUSED = "warning could not be delivered"
    WARNED_LATELY = "warned too short ago"
    NOT_LIVE = "stream is not live"
    LONG_LAPSED = "lapsed too long ago to be renewed by itself"
    TOO_MUCH = "costs more than can be recorded"


@dataclass(frozen=True, slots=True)
class Decision(Generic[Step]):
    """What to do now, when to look again (None: not before a renewal), and what stands in the way."""

    steps: tuple[Step, ...]
    look_on: date | None
    held: Held | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan as written down; `digest` stands for its steps."""

    id: int
    business_date: date
    digest: str
    state: PlanState


def digest(business_date: date, steps: Iterable[tuple[int, str, date]]) -> str:
    """Stands for exactly these steps on that day: 16 hexadecimal digits. Steps are (subscription, step, expiry)."""
    written = hashlib.sha256(business_date.isoformat().encode())
    for subscription, step, expires_on in sorted(steps):
        written.update(f"\n{subscription} {step} {expires_on}".encode())
    return written.hexdigest()[:16]
