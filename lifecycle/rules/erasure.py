"""Erasure of inactive customers: who is found, who is kept and why, what an approval is bound to.

A customer is inactive who has no appointment in the period up to the business date and none after it, whatever became
of the appointment. Who was recorded after the period began is not found.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from uuid import UUID

from lifecycle.rules.calendar import SINCE_EVER, add_months
from lifecycle.rules.findings import BadInput, Finding
from lifecycle.rules.segment import Segment
from lifecycle.rules.subscriptions import Policy, Status

PORTION = 5_000
"""Customers erased in one transaction."""

MOST_SHOWN = 10_000
"""Customers in one erasure: as many as a person can look through in a table. The others are found by the next one."""


class Fate(StrEnum):
    """What becomes of a column's value when its customer is erased."""

    KEPT = "kept"
    BLANKED = "blanked"
    """It becomes null."""
    REPLACED = "replaced"
    """By the empty text, where there must be one. A customer without a name is shown as unknown."""
    REMOVED = "row removed"


class Preset(StrEnum):
    """Periods of inactivity to choose from. Months and years are the calendar's."""

    DAYS_30 = "30 days"
    DAYS_90 = "90 days"
    DAYS_180 = "180 days"
    YEAR_1 = "1 year"
    YEARS_2 = "2 years"
    YEARS_3 = "3 years"
    YEARS_5 = "5 years"


AS_DAYS = "as inactive_days"
"""Instead of a preset: the period is a number of days."""


class ErasureState(StrEnum):
    WAITING = "waiting"
    APPROVED = "approved"
    DONE = "done"
    REFUSED = "refused"
    LAPSED = "lapsed"


class CandidateState(StrEnum):
    SHOWN = "shown"
    TAKEN_OUT = "taken out"
    LEFT_OUT = "left out"
    ERASED = "erased"


class Kept(StrEnum):
    """Why an inactive customer is not erased."""

    UNEXPIRED = "subscription not expired"
    NOT_CLOSED = "subscription not closed yet"
    OPEN_CARD = "open card"
    OWED = "money owed"
    HOLD = "hold"
    BEING_SENT = "a mail to it is being sent"


CONFIRMATION = "erasure-done"
"""The kind of the mail to the administrator who approved."""

ACTIVE_AGAIN = "active again"
"""Why a customer is left out who was shown and has an appointment since."""

ERASED_BEFORE = "erased before"
"""Why a customer is left out whom another erasure, shown at the same time, has erased."""

_CLOSED = {Status.DISABLED, Status.DELETED, Status.WITHDRAWN, Status.ENDED}


@dataclass(frozen=True, slots=True)
class Subscription:
    policy: Policy
    status: Status
    expires_on: date


@dataclass(frozen=True, slots=True)
class Customer:
    """What decides on a customer. `last_appointment_on` can be in the future; `held_until` are the days of holds."""

    recorded_on: date
    last_appointment_on: date | None = None
    subscriptions: tuple[Subscription, ...] = ()
    has_open_card: bool = False
    is_owed_or_owes: bool = False
    held_until: tuple[date, ...] = ()
    is_being_sent_a_mail: bool = False


@dataclass(frozen=True, slots=True)
class Criteria:
    """A period of inactivity: from `since` up to the day, both included; `period` is what was asked for."""

    day: date
    since: date
    period: str

    @classmethod
    def of_days(cls, day: date, days: int) -> "Criteria":
        """Raises ValueError for a period of no days, or of more than the calendar has."""
        if not 1 <= days <= (day - SINCE_EVER).days:
            raise ValueError("a period of at least 1 day that begins after the calendar does")
        return cls(day, day - timedelta(days=days), f"{days} days")

    @classmethod
    def of_preset(cls, day: date, preset: Preset) -> "Criteria":
        number, unit = preset.split()
        if unit == "days":
            return cls.of_days(day, int(number))
        return cls(day, add_months(day, -12 * int(number)), preset.value)

    @classmethod
    def asked(cls, day: date, days: int, preset: str) -> "Criteria":
        """By a number of days, or by a preset; 0 and AS_DAYS stand for not given. Raises BadInput with all findings."""
        findings = []
        most = (day - SINCE_EVER).days
        if days and not 1 <= days <= most:
            findings.append(Finding("inactive_days", f"{days} is no period", f"1 to {most} days"))
        if days and preset != AS_DAYS:
            findings.append(Finding("preset", "a period is given twice", f"inactive_days alone, with {AS_DAYS!r}"))
        if not days and preset == AS_DAYS:
            findings.append(Finding("inactive_days", "there is no period", "at least 1 day, or a preset"))
        if findings:
            raise BadInput(findings)
        return cls.of_days(day, days) if days else cls.of_preset(day, Preset(preset))


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a certificate says of an erasure that is done. It names no customer, not by a code either.

    Instants are in the business time zone. `approved_by` is an operator's code.
    """

    erasure: UUID
    criteria: Criteria
    segment: str
    """As it is typed; empty: all customers."""
    shown_at: datetime
    digest: str
    """Of the criteria and of whom was shown, to which the approval is bound."""
    inactive: int
    """All who were found by the criteria, the kept ones too."""
    kept: int
    kept_by: tuple[tuple[Kept, int], ...]
    """Who is kept for several reasons is counted with each."""
    shown: int
    taken_out: int
    left_out: tuple[tuple[str, int], ...]
    """Found to be kept at the last look; for several reasons, these are parted by a comma and a blank."""
    erased: int
    portions: int
    approved_by: str
    approved_at: datetime
    finished_at: datetime


@dataclass(frozen=True, slots=True)
class Erasure:
    """One that was shown, and how it stands.

    `prefect_flow_run_id` is the run that waits for an administrator; None: none does. With `preview` there may be names
    among its artifacts. `answers` are those that were not accepted. `inactive` counts all who were found, `kept` by
    reason who of them is not erased.
    """

    id: UUID
    business_date: date
    since: date
    period: str
    digest: str
    state: ErasureState
    lapses_at: datetime
    prefect_flow_run_id: UUID | None
    preview: bool
    answers: int
    inactive: dict[str, int]
    kept: dict[str, int]
    approved_by: str | None


def decide(customer: Customer, criteria: Criteria) -> frozenset[Kept] | None:
    """Why the customer is kept: for no reason, it may be erased. None: it is not found."""
    last = customer.last_appointment_on
    if customer.recorded_on > criteria.since or (last is not None and last >= criteria.since):
        return None
    subscriptions = customer.subscriptions
    reasons = {
        Kept.UNEXPIRED: any(it.expires_on >= criteria.day for it in subscriptions),
        Kept.NOT_CLOSED: any(it.expires_on < criteria.day and not _is_closed(it) for it in subscriptions),
        Kept.OPEN_CARD: customer.has_open_card,
        Kept.OWED: customer.is_owed_or_owes,
        Kept.HOLD: any(until >= criteria.day for until in customer.held_until),
        Kept.BEING_SENT: customer.is_being_sent_a_mail,
    }
    return frozenset(reason for reason, holds in reasons.items() if holds)


def _is_closed(subscription: Subscription) -> bool:
    """Custom applications are closed by no sweep: they have ended with their expiry."""
    return subscription.status in _CLOSED or subscription.policy is Policy.CUSTOM


def digest(criteria: Criteria, segment: Segment, shown: Iterable[tuple[str, date | None]]) -> str:
    """Stands for the criteria and exactly these customers (code, last appointment): 16 hexadecimal digits."""
    written = hashlib.sha256(f"{criteria.day} {criteria.since} {segment}".encode())
    for code, last in sorted(shown, key=lambda one: one[0]):
        written.update(f"\n{code} {last or '-'}".encode())
    return written.hexdigest()[:16]


def listed(codes: str) -> tuple[str, ...]:
    """Codes as a person lists them: separated by commas or lines."""
    return tuple(dict.fromkeys(code for part in re.split(r"[,\n]", codes) if (code := part.strip())))
