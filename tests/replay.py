"""What the product page says must happen to a licence, told one licence and one event at a time.

Written from the page's words, for tests: it shares no code with the program, not even its months.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta


@dataclass(frozen=True, slots=True)
class Sweep:
    """A sweep for that business date, which ran to its end."""

    day: date


@dataclass(frozen=True, slots=True)
class Delivery:
    """All that was queued left the house."""


@dataclass(frozen=True, slots=True)
class Renewal:
    licence: str
    day: date
    expires_on: date


@dataclass(frozen=True, slots=True)
class Address:
    """From now on we know an address of the customer, or none any more."""

    customer: str
    known: bool


Event = Sweep | Delivery | Renewal | Address


@dataclass(frozen=True, slots=True)
class House:
    """What an installation has settled: the first days on which each stream is live, and the wait after a warning."""

    notices_from: date = date.min
    access_from: date = date.min
    warning_days: int = 30


@dataclass(slots=True)
class Licence:
    """A licence before the first event, and afterwards what has become of it.

    `mails` are (kind, expiry), `transitions` are (to, rule, business date), in the order in which they came about.
    """

    code: str
    customer: str
    expires_on: date
    has_address: bool = True
    mails: list[tuple[str, date]] = field(default_factory=list)
    transitions: list[tuple[str, str, date]] = field(default_factory=list)
    disabled: bool = False
    _queued: list[str] = field(default_factory=list)
    _warned_on: date | None = None
    _told: bool = False

    def live_through(self, events: Iterable[Event], house: House) -> None:
        for event in events:
            match event:
                case Sweep(day):
                    self._swept(day, house)
                case Delivery():
                    self.mails += [(kind, self.expires_on) for kind in self._queued]
                    self._queued = []
                case Renewal(licence, day, expires_on) if licence == self.code:
                    self._renewed(day, expires_on)
                case Address(customer, known) if customer == self.customer:
                    self.has_address = known

    def _swept(self, day: date, house: House) -> None:
        if day <= months_later(self.expires_on, 3):
            return
        past_six_months = day > months_later(self.expires_on, 6)
        may_write = self.has_address and day >= house.notices_from
        if past_six_months and not self.disabled and day >= house.access_from and self._may_be_cut_off(day, house):
            self.disabled = True
            self.transitions.append(("disabled", "expired-6-months", day))
        if self.disabled and not self._told and may_write:
            self._told = True
            self._queued.append("access-disabled")
        too_late = past_six_months and not house.warning_days
        if not self.disabled and self._warned_on is None and may_write and not too_late:
            self._warned_on = day
            self._queued.append("expired-3-months")

    def _may_be_cut_off(self, day: date, house: House) -> bool:
        if not house.warning_days:
            return True
        was_sent = ("expired-3-months", self.expires_on) in self.mails
        return self._warned_on is not None and was_sent and (day - self._warned_on).days >= house.warning_days

    def _renewed(self, day: date, expires_on: date) -> None:
        if self.disabled:
            self.transitions.append(("active", "renewed", day))
        self.expires_on = expires_on
        self.disabled, self._told, self._warned_on, self._queued = False, False, None, []


def months_later(day: date, months: int) -> date:
    """The same day so many months on, or the last one of that month."""
    year, month = day.year, day.month
    for _ in range(months):
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
    next_month = date(year, month, 28) + timedelta(days=4)
    last = next_month - timedelta(days=next_month.day)
    return last if day.day > last.day else date(year, month, day.day)


def token(kind: str, licence: str, expires_on: date) -> str:
    """What stands for a notice in its Message-ID and file name: made from its natural key."""
    name = {"expired-3-months": "expired-3m", "access-disabled": "expired-6m"}[kind]
    return hashlib.sha256(f"customer-notice/{name}/{licence}/{expires_on}".encode()).hexdigest()[:32]
