"""The appointments of a period, with their customers' names of now."""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, text

from lifecycle.rules.appointments import Appointment, Appointments, AppointmentStatus
from lifecycle.rules.records import start_of_day

_APPOINTMENTS = text("""
SELECT appointments.code, starts_at, status, customers.code, customers.name
FROM appointments JOIN customers ON customers.id = customer_id
WHERE starts_at >= :since AND starts_at < :until
ORDER BY starts_at, appointments.code COLLATE "C"
LIMIT :most
""")


def read(db: Connection, first: date, last: date, zone: ZoneInfo, most: int | None) -> Appointments:
    """Those that start from `first` to `last`, both days included in `zone`; the earliest, if `most` is a number."""
    asked = {
        "since": start_of_day(first, zone),
        "until": start_of_day(last + timedelta(days=1), zone),
        "most": most,
    }
    rows = db.execute(_APPOINTMENTS, asked)
    return Appointments(
        first,
        last,
        [
            Appointment(code, starts_at.astimezone(zone), AppointmentStatus(status), customer, name)
            for code, starts_at, status, customer, name in rows
        ],
    )
