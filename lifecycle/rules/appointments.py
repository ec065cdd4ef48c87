"""Appointments: what became of one."""

from enum import StrEnum


class AppointmentStatus(StrEnum):
    """Any of them shows that there was a customer: one that was cancelled or missed counts too."""

    BOOKED = "booked"
    ATTENDED = "attended"
    CANCELLED = "cancelled"
    NO_SHOW = "no_show"
