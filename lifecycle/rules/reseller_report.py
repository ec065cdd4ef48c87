"""The reseller report: which of a reseller's licences stand in which of its three lists on a day."""

import re
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from lifecycle.rules.calendar import add_months, first_day_after
from lifecycle.rules.languages import Locale
from lifecycle.rules.outbox import State

KIND = "reseller-report"

EXPIRING_MONTHS = 2
ACCESS_ENDS_AFTER_MONTHS = 6


class Section(StrEnum):
    """One of the report's three lists, in the order in which they are shown."""

    EXPIRING = "expiring"
    OPEN = "open"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Line:
    """One licence in a report. `access_ends_on` is the first day without access.

    `customer_name` is empty where its customer is erased. `reachable`: we know an e-mail address of its customer, or
    need none any more.
    """

    section: Section
    licence: str
    reference: str
    customer: str
    customer_name: str
    product: str
    expires_on: date
    access_ends_on: date
    reachable: bool = True


@dataclass(frozen=True, slots=True)
class Report:
    """What one reseller is told on the first of a month, `day`, in its own language."""

    reseller: str
    reseller_name: str
    locale: Locale
    day: date
    lines: list[Line] = field(default_factory=list)

    def unreached(self) -> list[Line]:
        """A line for each customer who was due a notice and could not be written to."""
        unreached = (line for line in self.lines if not line.reachable and line.section is not Section.EXPIRING)
        return list({line.customer: line for line in unreached}.values())

    def section(self, section: Section) -> list[Line]:
        return [line for line in self.lines if line.section is section]

    def days_left(self, line: Line) -> int:
        """Days with access that `line` still has, the report's day included."""
        return (line.access_ends_on - self.day).days


_OF_COPY = re.compile(r"/copy/[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")


def mail_key(reseller: str, day: date, copied_on: date | None = None) -> str:
    """The natural key of the mail of the month that begins on `day`, or of its copy of another day."""
    key = f"{KIND}/{reseller}/{day:%Y-%m}"
    return f"{key}/copy/{copied_on}" if copied_on else key


def is_copy(key: str) -> bool:
    """Whether a mail with this key is a copy, whatever the reseller's code."""
    return _OF_COPY.search(key) is not None


def access_ends_on(expires_on: date) -> date:
    """The first day without access: the first business date later than the expiry + 6 months."""
    return first_day_after(expires_on, ACCESS_ENDS_AFTER_MONTHS)


def section_on(day: date, expires_on: date, expired_from_months: int) -> Section | None:
    """The list in which a licence with this expiry stands on `day`; None: in none of them.

    Between its expiry and the `expired_from_months` milestone it is in no list.
    """
    if day <= expires_on < add_months(day, EXPIRING_MONTHS):
        return Section.EXPIRING
    if day >= access_ends_on(expires_on):
        return Section.DISABLED
    if day >= first_day_after(expires_on, expired_from_months):
        return Section.OPEN
    return None


class Mail(StrEnum):
    """What is to be done about the mail of a stored report; the values are the names under which runs count them."""

    QUEUE = "queued"
    WITHHOLD = "withheld before go-live"
    COPY = "copies queued"
    AGAIN = "queued again after a failure"
    PAST_MONTH = "not sent: past month"
    NO_ADDRESS = "not sent: no address"
    EMPTY = "not sent: empty"
    ALREADY_THERE = "already queued or sent"


@dataclass(frozen=True, slots=True)
class Standing:
    """A stored report in figures. `message` is the state of its mail; None: there is none."""

    id: int
    reseller: str
    locale: Locale
    reachable: bool
    message: State | None
    expiring: int
    open: int
    disabled: int

    @property
    def lines(self) -> int:
        return self.expiring + self.open + self.disabled


@dataclass(frozen=True, slots=True)
class Wish:
    """What a run was asked to do with the reports of its month."""

    deliver: bool
    live: bool
    skip_empty: bool
    resend: bool


def mail_for(report: Standing, wish: Wish) -> Mail:
    """Decide on one report's mail. What was withheld stays withheld, however often it is asked for.

    `resend` makes a copy of what was sent, or may have been; what failed was never received, and is tried again.
    """
    if report.message is not None:
        if not (wish.resend and wish.live and report.reachable):
            return Mail.ALREADY_THERE
        if report.message in {State.SENT, State.IN_DOUBT}:
            return Mail.COPY
        return Mail.AGAIN if report.message is State.FAILED else Mail.ALREADY_THERE
    if not wish.deliver:
        return Mail.PAST_MONTH
    if not report.reachable:
        return Mail.NO_ADDRESS
    if wish.skip_empty and not report.lines:
        return Mail.EMPTY
    return Mail.QUEUE if wish.live else Mail.WITHHOLD
