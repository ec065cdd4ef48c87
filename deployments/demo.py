"""``lifecycle demo``: the sample business on one machine, run by the worker as in production."""

import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyotp
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments import sample, sample_appointments, sample_consents, sample_hosting, sample_memberships, show
from deployments.launcher import Running
from deployments.sample_hosting import Transfer
from lifecycle.persistence import customers, mailing, operators, reseller_report, runs
from lifecycle.persistence.database import transaction
from lifecycle.rendering import reseller_report as rendering
from lifecycle.rules import unsubscribing
from lifecycle.rules.billing_card import CardState
from lifecycle.rules.calendar import month_of
from lifecycle.rules.documents import Document
from lifecycle.rules.languages import LOCALES
from lifecycle.settings import settings
from tasks.documents import place
from tasks.issuer import unsubscribe_secret
from tasks.operators import operator_secret

LAST_MONTH = "2019-10"
LAST_DAY = date(2019, 10, 31)

WIDTH = 120
INDENT = " " * 38

MOST_TRIES = 60
"""Prefect cancels a run that meets another of its deployment; one delivers mailings for 4 minutes at most."""

EXAMPLES = {
    "services renewed": sample_hosting.MANY_DOMAINS,
    "service suspended": sample_hosting.RUN_OUT[0],
    "services reactivated": sample_hosting.LATE,
    "service deleted": sample_hosting.NEVER[0],
}
"""What becomes of services, as runs count it, and a customer of whom it is true."""


@dataclass(frozen=True, slots=True)
class Job:
    """A run of the demo, and what it shows."""

    flow: str
    parameters: dict[str, Any]
    shows: str
    answer: Callable[[], dict[str, str]] = lambda: {"decision": "carry out"}
    """What a person says where the run waits for one."""


def jobs(home: Path, imported: Path) -> Iterator[Job]:
    """The runs of the demo, in order; the files that one reads are written when its turn comes.

    Those to be `imported` are not kept: they hold names that an erasure would not reach.
    """
    yield from _licences(imported / "sample")
    yield from _contacts(home)
    yield from _services(imported / "hosting", home / "bank")
    yield from _memberships(imported / "memberships")
    yield from _erasure()
    yield Job("deliver-outbox", {}, "what was left to deliver")
    yield Job("housekeeping", {}, "what is kept for a time only: nothing is old enough yet")


def _licences(business: Path) -> Iterator[Job]:
    sample.write_business(business)
    sample_consents.write_consents(business)
    sample_appointments.write_appointments(business)
    shows = "a business with 25 resellers and 600 customers, what these consented to, and their appointments"
    yield Job("import-records", {"path": str(business)}, shows)
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
    past = {"flow": "monthly-reseller-report", "from_month": "2019-06", "to_month": "2019-09"}
    yield Job("backfill", past, "past months that nobody has made yet: in order, as they were known then, not sent")


def _contacts(home: Path) -> Iterator[Job]:
    sample_consents.write_mailings(home / "mailings")
    asked = {"mailing": sample_consents.RENEWAL, "segment": {"policy": ["licence"], "status": ["expired"]}}
    shows = "2019-10-15: a mailing, for those of a segment who allow it"
    yield Job("mailing-run", asked | {"business_date": "2019-10-15"}, shows)
    yield Job("deliver-outbox", {}, "it leaves at its pace; who does not allow it any more by now is left out")
    _unsubscribe(home / "unsubscribes")
    yield Job("process-unsubscribes", {}, "an answer to it: the customer wants no more")
    yield Job("contact-customer", sample_consents.ANSWER, "a mail to one customer without consent, for a motive")
    yield Job("consent-report", {}, "what stands, what lapsed, on what customers were contacted")


def _memberships(business: Path) -> Iterator[Job]:
    sample_memberships.write_memberships(business)
    yield Job("import-records", {"path": str(business)}, "memberships: plans in instalments, and from month to month")
    yield _sweep(date(2019, 11, 1), "memberships from month to month: what was missed of them is made up, in order")
    charged = {"business_date": "2019-11-01"}
    yield Job("charge-run", charged, "what is due of them: a file for the bank, a list for the payment provider")
    customer, left_on = sample_memberships.LEAVES, {"withdrawal_date": "2019-11-30", "business_date": "2019-11-02"}
    asked = left_on | {
        "customer": customer,
        "memberships": f"Y{customer[1:]},B{customer[1:]}",
        "action_type": sample_memberships.LEFT_CALL,
        "operator": sample_appointments.ADMINISTRATOR,
        "assigned_to": sample_appointments.CONSULTANT,
    }
    shows = "a customer withdraws: shown what stays owed and what goes, and confirmed"
    yield Job("membership-withdrawal", asked, shows, lambda: {"decision": "withdraw"})
    year = {"from_date": "2019-01-01", "to_date": "2019-12-31"}
    yield Job("withdrawal-report", year, "who withdrew, by month, type and product")


def _erasure() -> Iterator[Job]:
    period = {"from_date": "2017-01-01", "to_date": "2019-12-31"}
    yield Job("appointments-report", period, "three years of appointments, by month and status")
    inactive = {"preset": "2 years", "business_date": str(LAST_DAY)}
    shows = "customers without an appointment for 2 years: an administrator is shown them, and confirms"
    yield Job("gdpr-erasure-batch", inactive, shows, _confirmed)
    yield Job("appointments-report", period, "the same figures, of customers who are unknown now")


def _confirmed() -> dict[str, str]:
    """The answer of an administrator, enrolled for it with nobody's app: enrol it again to try it yourself."""
    secret = pyotp.random_base32()
    sealed = operators.sealed(secret, sample_appointments.ADMINISTRATOR, operator_secret())
    with transaction() as db:
        operators.enrol(db, sample_appointments.ADMINISTRATOR, sealed, datetime.now(UTC))
    code = pyotp.TOTP(secret).now()
    return {"decision": "erase", "operator": sample_appointments.ADMINISTRATOR, "one_time_code": code}


def _unsubscribe(inbox: Path) -> None:
    """What a mail program sends for the first recipient of the mailing who presses "unsubscribe"."""
    for folder in ("new", "cur", "tmp"):
        (inbox / folder).mkdir(parents=True, exist_ok=True)
    with transaction() as db:
        first = mailing.first_sent(db, sample_consents.RENEWAL)
    if first is not None:
        subject = unsubscribing.subject_of(unsubscribing.token_of(first, unsubscribe_secret()))
        (inbox / "new" / f"{first}.demo").write_text(
            f"Subject: {subject}\nMessage-ID: <{first}@customer.example>\n\n", "ascii"
        )


def _services(business: Path, bank: Path) -> Iterator[Job]:
    sample_hosting.write_hosting(business)
    bank.mkdir(exist_ok=True)
    yield Job("import-records", {"path": str(business)}, "a hosting business, with 60 customers in three languages")
    yield _bill(date(2019, 8, 21), "what expires within 30 days is put on cards, and mailed")
    paid_on = date(2019, 8, 28)
    _write_statement(bank, paid_on, sample_hosting.paid_in_august)
    yield _import(bank, paid_on, "a bank statement (camt.053): what is paid in full renews")
    yield _bill(date(2019, 8, 30), "reminders; the next month's cards, one of them paid by credit")
    yield _sweep(date(2019, 9, 8), "services that were not paid: suspended")
    paid_on = date(2019, 9, 12)
    _write_statement(bank, paid_on, sample_hosting.paid_in_september)
    yield _import(bank, paid_on, "the first statement again: no change; a late payment reactivates")
    yield _bill(date(2019, 9, 30), "the cards of October")
    yield _sweep(date(2019, 10, 24), "a week before services are deleted: customers are warned")
    yield _sweep(date(2019, 10, 31), "services that were not paid for 60 days: deleted, their cards void")


def _bill(day: date, shows: str) -> Job:
    return Job("billing-card-run", {"business_date": str(day)}, f"{day}: {shows}")


def _import(bank: Path, day: date, shows: str) -> Job:
    return Job("payment-import", {"path": str(bank), "business_date": str(day)}, f"{day}: {shows}")


def _sweep(day: date, shows: str) -> Job:
    return Job("daily-expiry-sweep", {"business_date": str(day)}, f"{day}: {shows}")


def _write_statement(bank: Path, day: date, paid: Callable[[sample_hosting.Owed], list[Transfer]]) -> None:
    """What the bank tells of the cards that are open now; it has told so already where the demo was here before."""
    file = bank / f"{day}.xml"
    if not file.exists():
        owed = {code: list(_owed(code, day)) for code in sample_hosting.codes(*LOCALES)}
        sample_hosting.write_statement(file, day, paid(owed))


def _owed(code: str, day: date) -> Iterator[Transfer]:
    customer = _customer(code, day)
    for card in customer["cards"]:
        if card["state"] == CardState.OPEN:
            yield Transfer(card["open"], card["currency"], customer["name"], card["reference"])


def _customer(code: str, day: date) -> dict[str, Any]:
    with transaction() as db:
        return customers.show(db, code, day, settings().zone) or {}


def play(running: Running) -> bool:
    """Run everything and print what came of it. Returns whether every run completed."""
    home = settings().home.absolute()
    completed = True
    sums: Counter[str] = Counter()
    print(f"\n{'run':26} {'outcome':10} what it shows, and counts")
    with (
        temporary_settings({PREFECT_API_URL: running.api}),
        get_client(sync_client=True) as client,
        TemporaryDirectory() as imported,
    ):
        for job in jobs(home, Path(imported)):
            done = _run(client, job, running)
            completed &= _report(job, done)
            sums.update(_counts(done))
    print(f"\n{'by all these runs':37} for example, with LIFECYCLE_HOME={home}")
    for what, example in EXAMPLES.items():
        print(f"{what:26} {sums[what]:10} lifecycle show customer {example} --on {LAST_DAY}")
    print(f"\nPrefect    {running.ui}\nmails      {settings().mail_target}\ndocuments  {_examples()}")
    return completed


def _run(client: SyncPrefectClient, job: Job, running: Running) -> FlowRun:
    """Run a deployment to its end, and again where another run of it was under way, by its schedule say."""
    for _ in range(MOST_TRIES):
        done = _run_once(client, job, running)
        if done.state is None or not done.state.is_cancelled():
            break
        time.sleep(5)
    return done


def _run_once(client: SyncPrefectClient, job: Job, running: Running) -> FlowRun:
    """Where it waits for a person, be that person: say so, and answer."""
    started: Any = run_deployment(f"{job.flow}/{job.flow}", parameters=job.parameters, timeout=0, as_subflow=False)
    while True:
        running.check()
        now = client.read_flow_run(started.id)
        if now.state is None or now.state.is_final():
            return now
        if now.state.is_paused():
            _report(job, now)
            client.resume_flow_run(now.id, run_input=job.answer())
        time.sleep(0.5)


def _report(job: Job, flow_run: FlowRun) -> bool:
    outcome = flow_run.state.name if flow_run.state else "unknown"
    print(f"{job.flow:26} {outcome:10} {job.shows}")
    figures = [f"{reason} {number}" for reason, number in sorted(_counts(flow_run).items()) if number]
    # Lines break between figures, never within one.
    unbroken = ", ".join(figure.replace(" ", "\N{NO-BREAK SPACE}") for figure in figures)
    lines = textwrap.fill(unbroken, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT) if figures else f"{INDENT}-"
    print(lines.replace("\N{NO-BREAK SPACE}", " "), flush=True)
    return outcome == "Completed"


def _counts(flow_run: FlowRun) -> dict[str, int]:
    with transaction() as db:
        return runs.counts(db, flow_run.id)


def _examples() -> Path:
    """For each language the spreadsheet of the last month, and the longest and the shortest card, where they open."""
    folder = place(Document.EXAMPLE, "")
    folder.mkdir(parents=True, exist_ok=True)
    with transaction() as db:
        standings = reseller_report.standings(db, month_of(LAST_MONTH), None, settings().locale)
        longest = {standing.locale: standing.id for standing in sorted(standings, key=lambda s: s.lines)}
        for report in reseller_report.read(db, list(longest.values()), settings().locale):
            name = f"{report.locale}-{rendering.attachment_name(report)}"
            (folder / name).write_bytes(rendering.workbook(report))
    for locale in LOCALES:
        cards = [card for code in sample_hosting.codes(locale) for card in _customer(code, LAST_DAY)["cards"]]
        cards.sort(key=lambda card: len(card["lines"]))
        for card in (cards[0], cards[-1]):
            show.card(card["number"], folder / f"{locale}-{card['number']}.pdf")
    return folder.parent
