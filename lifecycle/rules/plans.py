"""A sweep's plan: what it would do, written down before anything is done."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum


class PlanState(StrEnum):
    """``waiting`` for a person is what the brake makes of a plan."""

    MADE = "made"
    WAITING = "waiting"
    APPROVED = "approved"
    REFUSED = "refused"
    DONE = "done"


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
