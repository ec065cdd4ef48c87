"""``lifecycle demo``: the sample business on one machine, run by the worker as in production."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments import sample
from deployments.launcher import Running
from lifecycle.persistence import reseller_report, runs
from lifecycle.persistence.database import transaction
from lifecycle.rendering import reseller_report as rendering
from lifecycle.rules.calendar import month_of
from lifecycle.settings import settings

LAST_MONTH = "2019-10"


@dataclass(frozen=True, slots=True)
class Job:
    """A run of the demo, and what it shows."""

    flow: str
    parameters: dict[str, Any]
    shows: str


def jobs(business: Path) -> Iterator[Job]:
    """The runs of the demo, in order."""
    yield Job("import-records", {"path": str(business)}, "a business with 25 resellers and 600 customers")
    yield Job("daily-expiry-sweep", {"business_date": "2019-07-01"}, "licences that lapsed 3 months ago: warned")
    yield Job(
        "daily-expiry-sweep", {"business_date": "2019-08-10"}, "access ends, for many at once: a person must agree"
    )
    renewal = {"subscription": "L0365-2", "expires_on": "2019-11-29", "business_date": "2019-08-20"}
    yield Job("record-renewal", renewal, "a renewed licence gets its access back")
    yield Job("monthly-reseller-report", {"month": "2019-08"}, "a past month: made, not sent")
    yield Job("monthly-reseller-report", {"month": "2019-09", "deliver": True}, "a past month, sent on request")
    yield Job("monthly-reseller-report", {"month": "2019-09", "deliver": True}, "the same again: nothing is sent twice")
    yield Job("monthly-reseller-report", {"month": LAST_MONTH, "deliver": True, "skip_empty": True}, "the month after")
    yield Job("deliver-outbox", {}, "what was left to deliver")


def play(running: Running) -> bool:
    """Run everything and print what came of it. Returns whether every run completed."""
    home = settings().home.absolute()
    business = home / "sample"
    sample.write_business(business)
    completed = True
    print(f"\n{'run':26} {'outcome':10} what it shows, and counts")
    with temporary_settings({PREFECT_API_URL: running.api}), get_client(sync_client=True) as client:
        for job in jobs(business):
            completed &= _report(job, _run(client, job, running))
    print(
        f"\nPrefect    {running.ui}\nmails      {settings().mail_target}\ndocuments  {_documents(home / 'documents')}"
    )
    return completed


def _run(client: SyncPrefectClient, job: Job, running: Running) -> FlowRun:
    """Run a deployment to its end. Where it waits for a person, be that person: say so, and carry the plan out."""
    started: Any = run_deployment(f"{job.flow}/{job.flow}", parameters=job.parameters, timeout=0, as_subflow=False)
    while True:
        running.check()
        now = client.read_flow_run(started.id)
        if now.state is None or now.state.is_final():
            return now
        if now.state.is_paused():
            _report(job, now)
            client.resume_flow_run(now.id, run_input={"decision": "carry out"})
        time.sleep(0.5)


def _report(job: Job, flow_run: FlowRun) -> bool:
    with transaction() as db:
        counts = runs.counts(db, flow_run.id)
    outcome = flow_run.state.name if flow_run.state else "unknown"
    print(f"{job.flow:26} {outcome:10} {job.shows}")
    figures = ", ".join(f"{reason} {number}" for reason, number in sorted(counts.items()) if number)
    print(f"{'':37} {figures}", flush=True)
    return outcome == "Completed"


def _documents(folder: Path) -> Path:
    """The spreadsheets of the last month, one for each language, where they can be opened."""
    folder.mkdir(exist_ok=True)
    with transaction() as db:
        standings = reseller_report.standings(db, month_of(LAST_MONTH), None, settings().locale)
        longest = {standing.locale: standing.id for standing in sorted(standings, key=lambda s: s.lines)}
        for stored in reseller_report.read(db, list(longest.values()), settings().locale):
            name = f"{stored.report.locale}-{rendering.attachment_name(stored.report)}"
            (folder / name).write_bytes(rendering.workbook(stored.report))
    return folder
