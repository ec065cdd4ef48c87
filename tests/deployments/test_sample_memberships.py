"""The sample's memberships: imported beside the business, charged by valid accounts, and renewed by the sweeps."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from stdnum import bic, iban

from deployments import sample, sample_appointments, sample_memberships
from tasks.import_records import import_files
from tests.billing import rows
from tests.sweeping import sweep

NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def business(home: Path) -> None:
    sample.write_business(home / "sample")
    sample_appointments.write_appointments(home / "sample")
    sample_memberships.write_memberships(home / "memberships")
    import_files.fn(home / "sample", NOW, dry_run=False)


def test_they_are_imported_after_the_business_and_nothing_of_it_changes_but_mandates_the_second_time_nothing(
    home: Path,
) -> None:
    counts = import_files.fn(home / "memberships", NOW, dry_run=False)
    assert {what: number for what, number in counts.items() if number} == {
        "action_types new": 3,
        "instalments new": 83,
        "mandates new": 15,
        "products new": 2,
        "subscriptions changed": 7,
        "subscriptions new": 10,
        "terms added": 10,
    }
    again = import_files.fn(home / "memberships", NOW, dry_run=False)
    assert not [what for what, number in again.items() if number and not what.endswith("unchanged")]
    _assert_accounts_are_valid_and_some_are_shared()


def _assert_accounts_are_valid_and_some_are_shared() -> None:
    for account, of_bank in rows("SELECT iban, bic FROM mandates WHERE kind = 'sepa'"):
        assert iban.is_valid(account)
        assert of_bank is None or bic.is_valid(of_bank)
    shared = "SELECT mandate_id FROM subscriptions GROUP BY 1 HAVING count(*) > 1 AND mandate_id IS NOT NULL"
    assert len(rows(shared)) == 2
    assert rows("SELECT kind, count(*) FROM mandates GROUP BY kind ORDER BY kind") == [("card", 2), ("sepa", 13)]
    assert rows("SELECT status, count(*) FROM instalments GROUP BY status ORDER BY status") == [
        ("due", 37), ("paid", 32), ("submitted", 14),
    ]  # fmt: skip


def test_the_sweeps_of_autumn_renew_those_from_month_to_month_and_end_the_plan_that_is_over(home: Path) -> None:
    import_files.fn(home / "memberships", NOW, dry_run=False)
    counts = sweep(date(2019, 10, 31))
    assert (counts["membership renewed"], counts["membership ended"]) == (11, 1)
