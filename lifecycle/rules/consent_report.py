"""How consents, objections and switches stand on a day, and on what customers were contacted until then.

A customer and a type are one consent, however often it was granted: the last grant speaks.
One that was withdrawn after it had lapsed is withdrawn: that is the last word.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from lifecycle.rules.contact import Basis, ContactChannel

LAPSING_DAYS = 30


@dataclass(frozen=True, slots=True)
class TypeTotal:
    """Customers by how their consent of one type stands. `lapsing` are those of `valid` who soon no longer hold it."""

    code: str
    title: str
    valid: int
    lapsing: int
    lapsed: int
    withdrawn: int

    @property
    def given(self) -> int:
        """Customers who ever gave it."""
        return self.valid + self.lapsed + self.withdrawn


@dataclass(frozen=True, slots=True)
class Lapsing:
    """A consent that is about to lapse: codes of its customer and its type, and the last day on which it is valid."""

    customer: str
    consent_type: str
    last_day: date


@dataclass(frozen=True, slots=True)
class ChannelTotal:
    """One channel: its switch, with who set it and from when on (None: nobody ever did), and what customers said of it.

    `consenting` may be contacted on a consent; of those who ever `objected`, `objecting` may not for that reason.
    """

    channel: ContactChannel
    asks: bool
    operator: str | None
    since: date | None
    consenting: int
    objected: int
    objecting: int


@dataclass(frozen=True, slots=True)
class MotiveUse:
    """How often an operator (None: a rule) gave a motive for contacts over one channel in one month, its first day."""

    month: date
    operator: str | None
    motive: str
    channel: ContactChannel
    contacts: int


@dataclass(frozen=True, slots=True)
class BasisUse:
    """How many contacts were made over one channel in one month, its first day, on which basis."""

    month: date
    channel: ContactChannel
    basis: Basis
    contacts: int


@dataclass(frozen=True, slots=True)
class ConsentReport:
    """How it all stood at the end of `day`.

    `ending` has, by the first day of each month, how many consents have their last day in it.
    """

    day: date
    types: Sequence[TypeTotal]
    lapsing: Sequence[Lapsing]
    channels: Sequence[ChannelTotal]
    motives: Sequence[MotiveUse]
    bases: Sequence[BasisUse]
    ending: Sequence[tuple[date, int]]
