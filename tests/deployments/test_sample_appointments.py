"""The sample's appointments: customers who are inactive, some of whom are kept, and some who are not."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from deployments import sample, sample_appointments
from lifecycle.persistence import erasure
from lifecycle.persistence.database import transaction
from lifecycle.persistence.erasure import Scope
from lifecycle.rules.appointments import AppointmentStatus
from lifecycle.rules.erasure import Criteria, Kept, Preset
from lifecycle.rules.segment import Segment
from lifecycle.settings import settings
from tasks.import_records import import_files

DAY = date(2019, 10, 31)


@pytest.fixture(autouse=True)
def business(home: Path) -> None:
    sample.write_business(home / "sample")
    sample_appointments.write_appointments(home / "sample")
    counts = import_files.fn(home / "sample", datetime.now(UTC), dry_run=False)
    assert (counts["appointments new"], counts["operators new"]) == (1080, 2)


def test_there_is_every_status_and_one_administrator(home: Path) -> None:
    with transaction() as db:
        found = dict(db.execute(text("SELECT status, count(*) FROM appointments GROUP BY status")).tuples().all())
        administrators = db.execute(text("SELECT code FROM operators WHERE administrator")).scalars().all()
    assert found == dict(zip(AppointmentStatus, (60, 612, 204, 204), strict=True))
    assert administrators == [sample_appointments.ADMINISTRATOR]


def test_once_what_lapsed_is_closed_some_are_inactive_and_most_of_them_are_kept(home: Path) -> None:
    with transaction() as db:
        # As the sweeps up to then leave it.
        db.execute(text("UPDATE subscription_status SET status = 'disabled' WHERE expires_on < '2019-04-30'"))
        found = erasure.find(
            db, Scope(Criteria.of_preset(DAY, Preset.YEARS_2), Segment(), settings().zone, settings().locale)
        )
    assert found.inactive == {"found": 47, "kept": 246}
    assert found.reasons == {Kept.UNEXPIRED: 148, Kept.NOT_CLOSED: 119}
