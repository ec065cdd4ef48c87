"""Appointments: what became of each, and how many there were."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from lifecycle.rules.calendar import add_months, first_of_month


class AppointmentStatus(StrEnum):
    """Any of them shows that there was a customer: one that was cancelled or missed counts too."""

    BOOKED = "booked"
    ATTENDED = "attended"
    CANCELLED = "cancelled"
    NO_SHOW = "no_show"


@dataclass(frozen=True, slots=True)
class Appointment:
    """`starts_at` is in the business time zone; `customer_name` is the one of now, and empty of who is erased."""

    code: str
    starts_at: datetime
    status: AppointmentStatus
    customer: str
    customer_name: str


@dataclass(frozen=True, slots=True)
class Appointments:
    """Those from `first` to `last`, both days included, by their start. No figure depends on a name."""

    first: date
    last: date
    listed: Sequence[Appointment]

    @property
    def customers(self) -> int:
        return len({appointment.customer for appointment in self.listed})

    @property
    def by_status(self) -> Counter[AppointmentStatus]:
        return Counter(appointment.status for appointment in self.listed)

    @property
    def by_month(self) -> list[tuple[date, Counter[AppointmentStatus]]]:
        """The first day of each month that has any, and how many by status."""
        counted: dict[date, Counter[AppointmentStatus]] = defaultdict(Counter)
        for appointment in self.listed:
            counted[first_of_month(appointment.starts_at.date())][appointment.status] += 1
        return sorted(counted.items())

    def last_months(self, most: int) -> list[tuple[date, int]]:
        """The first day of each of the period's last months, at most so many, and how many it has, also none."""
        counted = {month: by_status.total() for month, by_status in self.by_month}
        end = first_of_month(self.last)
        months = [
            month for back in range(most) if (month := add_months(end, back - most + 1)) >= first_of_month(self.first)
        ]
        return [(month, counted.get(month, 0)) for month in months]
