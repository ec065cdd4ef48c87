"""The record and the summary that every run leaves."""

import logging
import sqlite3
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from contextlib import closing, contextmanager, suppress
from datetime import date, datetime, timedelta
from itertools import count
from pathlib import Path
from uuid import UUID, uuid4

from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound, Pause
from prefect.runtime import flow_run
from prefect.settings import get_current_settings
from prefect.states import Cancelled, Crashed

from lifecycle.persistence import erasure_traces, runs
from lifecycle.persistence.database import transaction
from lifecycle.rendering import run_summary
from lifecycle.rules.findings import BadInput
from lifecycle.rules.runs import RunFailed, Summary, WaitsForPerson

_OURS = tuple(str(Path(__file__).parent.parent / folder) for folder in ("flows", "tasks", "lifecycle"))

log = logging.getLogger("lifecycle.runs")
log.setLevel(logging.INFO)  # by default only warnings would reach the run's log


def _without_traceback(record: logging.LogRecord) -> bool:
    """Of what a run ends with on purpose the message says all: one line in its log and on the terminal is enough."""
    if record.exc_info and isinstance(record.exc_info[1], BadInput | RunFailed | WaitsForPerson):
        record.exc_info = None
    return True


for _prefect in ("prefect.flow_runs", "prefect.task_runs"):
    logging.getLogger(_prefect).addFilter(_without_traceback)


PERSONAL_PARAMETERS = {
    "contact-customer": ("subject", "body"),
    "gdpr-erasure-batch": ("operator", "one_time_code"),
    "membership-withdrawal": ("notes",),
    "place-hold": ("reason",),
    "record-consent": ("evidence",),
    "record-objection": ("evidence",),
}
"""By flow, the parameters that can name people or say something of them, or are secret: they never stay in Prefect."""

_RUNS_AT_ONCE = 200

BEGINNING = timedelta(minutes=10)
"""More than it takes to fetch an image and start a container."""

_UNDER_WAY = {StateType.PENDING, StateType.RUNNING, StateType.CANCELLING}


def blank() -> None:
    """Take what this flow's personal parameters hold out of its run in Prefect; the flow itself goes on with it.

    Before anything else. A run that is started again gets them empty.
    """
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(UUID(flow_run.id))
        _blank(client, run, PERSONAL_PARAMETERS[str(flow_run.flow_name)])
    empty_write_ahead_log()


def forget_parameters() -> Counter[str]:
    """Take personal parameters out of runs that did not do it themselves. Returns how many runs of which kind.

    Those of runs that have ended, killed before they could; and of all that are about a customer who is erased, which
    are cancelled where they have not begun.
    """
    counts: Counter[str] = Counter()
    with get_client(sync_client=True) as client:
        found = [(run, names) for flow, names in PERSONAL_PARAMETERS.items() for run in _telling(client, flow, names)]
        with transaction() as db:
            erased = erasure_traces.erased_among(db, {_customer(run) for run, _ in found})
        for run, names in found:
            if _customer(run) in erased and run.state and run.state.is_scheduled():
                client.set_flow_run_state(run.id, Cancelled(message="the customer is erased"), force=True)
                counts["scheduled runs cancelled"] += 1
            if _customer(run) in erased or run.state is None or run.state.is_final():
                _blank(client, run, names)
                counts["runs whose parameters were blanked"] += 1
    empty_write_ahead_log()
    return counts


def _telling(client: SyncPrefectClient, flow: str, names: Sequence[str]) -> Iterator[FlowRun]:
    """The runs of the flow in which one of these parameters is not empty."""
    of_flow = FlowFilter(name=FlowFilterName(any_=[flow]))
    for offset in count(0, _RUNS_AT_ONCE):
        # The latest first: runs that are added meanwhile make none be passed over.
        page = client.read_flow_runs(
            flow_filter=of_flow, sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=_RUNS_AT_ONCE, offset=offset
        )
        yield from (run for run in page if any(run.parameters.get(name) for name in names))
        if len(page) < _RUNS_AT_ONCE:
            return


def _customer(run: FlowRun) -> str:
    return str(run.parameters.get("customer", "")).strip()


def _blank(client: SyncPrefectClient, run: FlowRun, names: Sequence[str]) -> None:
    kept = {name: "" if name in names else value for name, value in run.parameters.items()}
    client.update_flow_run(run.id, parameters=kept).raise_for_status()


def empty_write_ahead_log() -> None:
    """On one machine Prefect's database is SQLite, whose log holds a page as it was until so many others were written.

    After something was taken out of Prefect.
    """
    database = get_current_settings().home / "prefect.db"
    if database.exists():
        with suppress(sqlite3.OperationalError), closing(sqlite3.connect(database)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@contextmanager
def recorded(flow: str, business_date: date, *, dry_run: bool, whole: bool = True) -> Iterator[Summary]:
    """One run, one row: started before anything else, finished with the summary, however the run ends.

    A run that waits for a person ends its row as waiting, and has another one when it goes on. The summary is published
    as an artifact without a key: with one, Prefect would copy it into its events. Raises RunFailed at the end where
    items failed. A process that is killed leaves the row as running; `settle` says later that it crashed.
    """
    summary = Summary(flow, business_date, dry_run, uuid4())
    prefect_id = UUID(flow_run.id) if flow_run.id else None
    with runs.alive(summary.run_id):
        with transaction() as db:
            runs.start(db, summary.run_id, flow, business_date, dry_run=dry_run, prefect_id=prefect_id, whole=whole)
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
        _close(summary, "failed" if summary.failures else "superseded" if summary.superseded else "completed")
    if summary.failures:
        raise RunFailed(summary)


def settle(now: datetime) -> Counter[str]:
    """Say of runs whose process died that they crashed, in our table and in Prefect. Returns how many, by flow.

    Where the worker lives, it says so to Prefect by itself; where it died too, nobody else does.
    """
    with transaction() as db:
        unfinished = runs.unfinished(db)
    died = [run for run in unfinished if not run.alive]
    with get_client(sync_client=True) as client:
        # Prefect first: of what is said in our table nobody would look again.
        for run in died:
            _crash(client, run.prefect_id, "its process died")
        never_began = _without_process(client, {run.prefect_id for run in unfinished}, now - BEGINNING)
        for flow_run_id in never_began:
            _crash(client, flow_run_id, "it did not begin: its worker died")
    with transaction() as db:
        runs.crash(db, [run.id for run in died])
    return Counter([*(run.flow for run in died), *never_began.values()])


def _crash(client: SyncPrefectClient, prefect_id: UUID | None, why: str) -> None:
    with suppress(ObjectNotFound):  # it belonged to a server for one command
        state = client.read_flow_run(prefect_id).state if prefect_id else None
        if state and prefect_id and state.type in _UNDER_WAY:
            client.set_flow_run_state(prefect_id, Crashed(message=why))


def _without_process(client: SyncPrefectClient, known: Set[UUID | None], before: datetime) -> dict[UUID, str]:
    """Runs of ours, with their names, that a worker took before that and that have not begun; `known` have.

    One that has said since then how it ended is about to tell Prefect.
    """
    found = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(
            tags=FlowRunFilterTags(all_=["lifecycle"]),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PENDING, StateType.RUNNING])),
        )
    )
    silent = {run.id: run.name for run in found if run.id not in known and run.state and run.state.timestamp < before}
    if not silent:  # mostly
        return {}
    with transaction() as db:
        ended = runs.ended_since(db, list(silent), before)
    return {id_: name for id_, name in silent.items() if id_ not in ended}


def _close(summary: Summary, outcome: str) -> None:
    with transaction() as db:
        runs.finish(db, summary, outcome)
    create_markdown_artifact(run_summary.markdown(summary, outcome))
    counts = ", ".join(f"{reason} {number}" for reason, number in sorted(summary.counts.items()))
    log.info("%s %s: %s", summary.flow, outcome, counts)


def blame(error: BaseException) -> str:
    """What failed and where, without the message: that may repeat personal data."""
    places = traceback.extract_tb(error.__traceback__)
    # Ours: where a library was called says more than where in it that failed.
    place = next((place for place in reversed(places) if place.filename.startswith(_OURS)), places[-1])
    return f"{type(error).__name__} in {place.name}, {Path(place.filename).stem} line {place.lineno}"
