"""The record and the summary that every run leaves."""

import logging
import sqlite3
import traceback
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import date
from pathlib import Path
from uuid import UUID, uuid4

from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.exceptions import Pause
from prefect.runtime import flow_run
from prefect.settings import get_current_settings

from lifecycle.persistence import runs
from lifecycle.persistence.database import transaction
from lifecycle.rendering import run_summary
from lifecycle.rules.findings import BadInput
from lifecycle.rules.runs import RunFailed, Summary, WaitsForPerson

_OURS = tuple(str(Path(__file__).parent.parent / folder) for folder in ("flows", "tasks", "lifecycle"))

log = logging.getLogger("lifecycle.runs")
log.setLevel(logging.INFO)  # by default only warnings would reach the run's log


def blank(*names: str) -> None:
    """Take what these parameters hold out of this run, as far as Prefect keeps it; the flow itself goes on with it.

    Before anything else, for parameters that can name people: such texts never stay in Prefect. A run that is started
    again gets them empty.
    """
    run_id = UUID(flow_run.id)
    with get_client(sync_client=True) as client:
        parameters = client.read_flow_run(run_id).parameters
        kept = {name: "" if name in names else value for name, value in parameters.items()}
        client.update_flow_run(run_id, parameters=kept).raise_for_status()
    empty_write_ahead_log()


def empty_write_ahead_log() -> None:
    """On one machine Prefect's database is SQLite, whose log holds a page as it was until so many others were written.

    After something was taken out of Prefect.
    """
    database = get_current_settings().home / "prefect.db"
    if database.exists():
        with suppress(sqlite3.OperationalError), closing(sqlite3.connect(database)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@contextmanager
def recorded(flow: str, business_date: date, *, dry_run: bool) -> Iterator[Summary]:
    """One run, one row: started before anything else, finished with the summary, however the run ends.

    A run that waits for a person ends its row as waiting, and has another one when it goes on. The summary is published
    as an artifact without a key: with one, Prefect would copy it into its events. Raises RunFailed at the end where
    items failed. A process that is killed leaves the row as running.
    """
    summary = Summary(flow, business_date, dry_run, uuid4())
    prefect_id = UUID(flow_run.id) if flow_run.id else None
    with transaction() as db:
        runs.start(db, summary.run_id, flow, business_date, dry_run, prefect_id)
    try:
        yield summary
    except (Pause, WaitsForPerson):
        _close(summary, "waiting")
        raise
    except BadInput as error:
        error.summary = summary
        summary.notes.append("stopped by BadInput")
        _close(summary, "refused")
        raise
    except BaseException as error:
        summary.notes.append(f"stopped by {type(error).__name__}")
        _close(summary, "failed")
        raise
    _close(summary, "failed" if summary.failures else "completed")
    if summary.failures:
        raise RunFailed(summary)


def _close(summary: Summary, outcome: str) -> None:
    with transaction() as db:
        runs.finish(db, summary.run_id, outcome, summary.counts)
    create_markdown_artifact(run_summary.markdown(summary, outcome))
    counts = ", ".join(f"{reason} {number}" for reason, number in sorted(summary.counts.items()))
    log.info("%s %s: %s", summary.flow, outcome, counts)


def blame(error: BaseException) -> str:
    """What failed and where, without the message: that may repeat personal data."""
    places = traceback.extract_tb(error.__traceback__)
    # Ours: where a library was called says more than where in it that failed.
    place = next((place for place in reversed(places) if place.filename.startswith(_OURS)), places[-1])
    return f"{type(error).__name__} in {place.name}, {Path(place.filename).stem} line {place.lineno}"
