"""The reseller report: which of a reseller's licences stand in which of its three lists on a day."""

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from lifecycle.rules.calendar import add_months, first_day_after
from lifecycle.rules.languages import Locale

EXPIRING_MONTHS = 2
ACCESS_ENDS_AFTER_MONTHS = 6


class Section(StrEnum):
    """One of the report's three lists, in the order in which they are shown."""

    EXPIRING = "expiring"
    OPEN = "open"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Line:
    """One licence in a report. `access_ends_on` is the first day without access."""

    section: Section
    licence: str
    reference: str
    customer: str
    customer_name: str
    product: str
    expires_on: date
    access_ends_on: date


@dataclass(frozen=True, slots=True)
class Report:
    """What one reseller is told on the first of a month, `day`, in its own language."""

    reseller: str
    reseller_name: str
    locale: Locale
    day: date
    lines: list[Line] = field(default_factory=list)

    def section(self, section: Section) -> list[Line]:
        return [line for line in self.lines if line.section is section]


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
