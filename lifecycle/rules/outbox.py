"""What happens to a message: its states, and how long to wait before it is tried again."""

import hashlib
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

WAITS = tuple(timedelta(minutes=m) for m in (1, 5, 15, 60, 180, 360, 720, 1440, 1440))
"""Growing waits: about three days until we give up, as mail servers themselves do."""

LEASE = timedelta(minutes=10)
"""How long a claimed message belongs to its deliverer: longer than a server can take over one message."""


class Channel(StrEnum):
    """How a message leaves: as a mail, as one of many alike at their own pace, as a call to the provisioning system."""

    MAIL = "mail"
    BULK = "bulk"
    CALL = "call"


class State(StrEnum):
    WITHHELD = "withheld"
    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    IN_DOUBT = "in_doubt"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that was queued: its state, and the business date of the run that queued it."""

    state: State
    business_date: date

    @property
    def refused(self) -> bool:
        """It will not arrive unless a person sees to it."""
        return self.state in {State.FAILED, State.CANCELLED}


class Obsolete(Exception):
    """What a queued message would say is not so any more: it is cancelled instead of sent."""


def wait_after(failures: int) -> timedelta | None:
    """The wait after the n-th temporary failure (n from 1); None: give up.

    Whoever applies it adds jitter, so that messages which failed together do not come back together.
    """
    return WAITS[failures - 1] if failures <= len(WAITS) else None


def token(key: str) -> str:
    """Stands for a message's natural key outside the database: file names, the Message-ID.

    32 hexadecimal digits, the same on every try; the key itself can name people.
    """
    return hashlib.sha256(key.encode()).hexdigest()[:32]
