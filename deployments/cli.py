"""The command line: what a person or a script types, and what it says when the input is wrong.

Nothing heavy is imported before a command needs it.
"""

import os
import re
import signal
import sys
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, NoReturn

from cyclopts import App, Parameter
from cyclopts.validators import Number
from platformdirs import user_data_path
from pydantic import ValidationError
from pydantic_settings import SettingsError

from deployments import deploy as deploying
from deployments import launcher, sample_appointments, sample_consents, sample_hosting
from lifecycle.persistence import (
    DatabaseBusy,
    DatabaseOutdated,
    DatabaseRestored,
    DatabaseUnreachable,
    LedgerUnusable,
    NotPermitted,
)
from lifecycle.rules.findings import BadInput
from lifecycle.rules.money import MOST
from lifecycle.rules.outbox import State
from lifecycle.rules.runs import RunFailed, WaitsForPerson
from lifecycle.settings import Settings

FAILED = 1
WRONG_INPUT = 2
WAITING = 3

app = App(name="lifecycle", help="The dated obligations of a subscription business, as Prefect flows.")


@app.command
def up(
    *,
    port: Annotated[
        int, Parameter(env_var="PREFECT_SERVER_API_PORT", validator=Number(gte=1, lte=65535))
    ] = launcher.PORT,
) -> None:
    """Start everything on this machine and serve until Ctrl-C: the Prefect server, the deployments, a worker.

    Parameters
    ----------
    port
        Where the Prefect server listens, on this machine only.
    """
    configured = read_settings()
    _ready_database()
    with suppress(KeyboardInterrupt), launcher.running(configured, port) as running:
        print(f"Prefect: {running.ui}\nStop with Ctrl-C.", flush=True)
        running.watch()


@app.command
def server(
    *,
    port: Annotated[
        int, Parameter(env_var="PREFECT_SERVER_API_PORT", validator=Number(gte=1, lte=65535))
    ] = launcher.PORT,
) -> None:
    """Start the Prefect server alone and serve until Ctrl-C, where workers run elsewhere.

    It listens on this machine only, unless PREFECT_SERVER_API_HOST says otherwise: then give it a login,
    PREFECT_SERVER_API_AUTH_STRING, and a database, PREFECT_SERVER_DATABASE_CONNECTION_URL.

    Parameters
    ----------
    port
        Where it listens.
    """
    with suppress(KeyboardInterrupt), launcher.lone_server(read_settings(), port) as running:
        running.watch()


def _file_name(_type: object, name: str | None) -> None:
    if name is not None and not re.fullmatch(r"\w[\w.-]*", name):
        raise ValueError("must be letters, digits, dots and hyphens")


@app.command
def worker(*, name: Annotated[str | None, Parameter(validator=_file_name)] = None) -> None:
    """Start one more worker, for PREFECT_API_URL's server or else this machine's, and work until Ctrl-C.

    As many as one likes, on as many machines: all use the same database (LIFECYCLE_DATABASE_URL).

    Parameters
    ----------
    name
        Under which the Prefect UI shows it, one of its own; by default the host's, with a number where a worker here
        has it.
    """
    configured = read_settings()
    _ready_database()
    with suppress(KeyboardInterrupt), launcher.another_worker(configured, name) as (own, running):
        print(f"Worker {own} works for {running.api}\nStop with Ctrl-C.", flush=True)
        running.watch()


@app.command
def deploy() -> None:
    """Bring the deployments up to date with prefect.yaml: those of PREFECT_API_URL's server, else of this machine's."""
    launcher.connect(read_settings())
    deploying.apply(os.environ)


@app.command
def run(
    flow: str,
    /,  # `--flow` is a parameter of a flow
    *parameters: Annotated[str, Parameter(allow_leading_hyphen=True)],
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Run a flow now, in this process: `lifecycle run monthly-reseller-report --month 2019-09 --json`.

    `lifecycle run FLOW --describe` tells what the flow does and which parameters it has.

    Parameters
    ----------
    flow
        A flow's name, as in the Prefect UI.
    parameters
        `--name value` for each parameter of the flow.
    json
        Print the result as one JSON object on the last line.
    """
    launcher.connect(read_settings())
    from deployments import run as running

    if "--describe" in parameters:
        print(running.describe(flow))
    else:
        running.run(flow, list(parameters), as_json=json)


@app.command(name="import")
def import_(path: Path, *, dry_run: Annotated[bool, Parameter(negative="")] = False) -> None:
    """Import a CSV file, or a folder of them: all or nothing.

    Parameters
    ----------
    dry_run
        Check everything, record nothing.
    """
    api = os.environ.get("PREFECT_API_URL") or launcher.running_api(read_settings())
    _without_server()
    from tasks.choices import are_changed
    from tasks.import_records import import_files

    counts = import_files.fn(path, datetime.now(UTC), dry_run=dry_run)
    if are_changed(counts) and not dry_run and api and launcher.healthy(api):
        deploying.offer_choices(api)
    for what, number in sorted(counts.items()):
        print(f"{number:>10}  {what}")


@app.command
def demo(
    *,
    port: Annotated[int, Parameter(validator=Number(gte=1, lte=65535))] = launcher.PORT,
    once: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Start everything with a sample business, run the main jobs, say where to look, and serve until Ctrl-C.

    It lives in a home of its own and bills in the name of a made-up business, unless the environment says otherwise.

    Parameters
    ----------
    port
        Where the Prefect server listens, on this machine only.
    once
        End after the jobs, with status 0 only if every run completed.
    """
    home = Path(os.environ.setdefault("LIFECYCLE_HOME", str(user_data_path("lifecycle-demo"))))
    inbox = (home / "unsubscribes").absolute().as_uri().replace("file:", "maildir:", 1)
    own = {
        **sample_hosting.SETTINGS,
        **sample_consents.SETTINGS,
        **sample_appointments.SETTINGS,
        "LIFECYCLE_UNSUBSCRIBE_INBOX": inbox,
    }
    for variable, value in own.items():
        os.environ.setdefault(variable, value)
    configured = read_settings()
    _ready_database()
    completed = False
    with suppress(KeyboardInterrupt), launcher.running(configured, port) as running:
        from deployments.demo import play

        completed = play(running)
        if not once:
            print("Stop with Ctrl-C.", flush=True)
            running.watch()
    if not completed:
        fail("a run did not complete")


@app.command
def check() -> None:
    """Say whether settings, database, ledger, mails, inbox, provisioning and Prefect are usable: a line for each."""
    configured = read_settings()
    from deployments.check import findings

    lines = list(findings(configured))
    for what, fact, usable in lines:
        print(f"{what:12} {'ok  ' if usable else 'FAIL'}  {fact}")
    if not all(usable for _, _, usable in lines):
        raise SystemExit(FAILED)


@app.command
def migrate() -> None:
    """Bring the database's tables up to date, and what each role may do with them, as their owner.

    Others may work meanwhile: what they hold is waited for shortly, again and again for some minutes.
    """
    from lifecycle.persistence import database

    configured = read_settings()
    url = configured.database_url
    target = database.server(url.get_secret_value() if url else None, configured.home)
    database.migrate(target)
    target.dispose()


@app.command
def adopt(owner: Annotated[str, Parameter(name="NAME")]) -> None:
    """Say that the database is this installation's from now on: it was moved or renamed for good, and is no copy.

    What waits in its outbox is then sent, and erasures go on.

    Parameters
    ----------
    owner
        Whose it was, as `environment/database`; `lifecycle check` says it.
    """
    _without_server()
    from deployments import restore

    restore.adopt(owner)


show = App(
    name="show",
    help="What is known about a customer, in whose agenda it stands, what was reported, which cards are open.",
)
app.command(show)


@show.command
def customer(code: str, *, on: date | None = None, json: bool = False) -> None:
    """A customer with subscriptions, terms, transitions, instalments, messages, cards, payments, consents and so on.

    Parameters
    ----------
    on
        As of this day; by default today.
    json
        As one JSON object.
    """
    read_settings()
    from deployments import show

    show.customer(code, on, as_json=json)


@show.command
def agenda(operator: str, *, json: bool = False) -> None:
    """What stands in an operator's agenda: CRM actions assigned to that operator, the newest first.

    Parameters
    ----------
    json
        As one JSON object.
    """
    read_settings()
    from deployments import show

    show.agenda(operator, as_json=json)


@show.command
def card(number: str, *, pdf: Path | None = None) -> None:
    """A billing card: its lines, what was paid of it, where it stands.

    Parameters
    ----------
    pdf
        Write its document to this file instead, as it was stored and mailed.
    """
    read_settings()
    from deployments import show

    show.card(number, pdf)


@show.command
def report(reseller: str, month: str, *, xlsx: Path | None = None) -> None:
    """The report stored for a reseller and a month (YYYY-MM), as text.

    Parameters
    ----------
    xlsx
        Write its spreadsheet to this file instead.
    """
    read_settings()
    from deployments import show

    show.report(reseller, month, xlsx)


@show.command
def reports(month: str) -> None:
    """All reports stored for a month (YYYY-MM): figures and the mail's state."""
    read_settings()
    from deployments import show

    show.reports(month)


@show.command(name="open-cards")
def open_cards(*, on: date | None = None, xlsx: Path | None = None) -> None:
    """Billing cards that are open, by age: what is owed, credits, suspended services, unassigned payments.

    Parameters
    ----------
    on
        As of the end of this day; by default today.
    xlsx
        Write the spreadsheet, which has the names too, to this file instead.
    """
    read_settings()
    from deployments import show

    show.open_cards_on(on, xlsx)


@show.command
def collections() -> None:
    """Files of instalments that charge runs made, the last one first: when, how many, how much."""
    read_settings()
    from deployments import show

    show.collections()


@show.command
def collection(message_id: str, *, file: Path | None = None) -> None:
    """A file of instalments: what was charged by it, and how that stands.

    Parameters
    ----------
    message_id
        As listed; the bank knows it by that.
    file
        Write the file itself, with names and accounts, to this place instead.
    """
    read_settings()
    from deployments import show

    show.collection(message_id, file)


outbox = App(name="outbox", help="Messages that wait or need a decision.")
app.command(outbox)


@outbox.default
def outbox_list(
    *, state: list[State] | None = None, most: Annotated[int, Parameter(validator=Number(gte=1))] = 100
) -> None:
    """List messages, by default those that a person must decide on: in doubt and failed.

    Parameters
    ----------
    state
        Only those in this state; may be repeated.
    most
        How many at the most.
    """
    read_settings()
    from deployments import show

    show.messages(state or [State.IN_DOUBT, State.FAILED], most)


@outbox.command
def resolve(*keys: str, decision: Annotated[Literal["sent", "again", "cancel"], Parameter(name="--as")]) -> None:
    """Decide on messages by their keys; one that does not fit, and nothing is changed.

    Parameters
    ----------
    decision
        `sent`: it did arrive. `again`: send it (once more), under the same Message-ID. `cancel`: never send it.
    """
    read_settings()
    from deployments import show

    show.resolve(list(keys), decision)


@app.command
def unsubscribe(*tokens: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> None:
    """Record at once that customers want no more mailings: for the page at LIFECYCLE_UNSUBSCRIBE_URL.

    Mails link to that page as `…?token=TOKEN`. On a POST (mail programs send one with the body
    `List-Unsubscribe=One-Click` and no cookies, RFC 8058) it calls `lifecycle unsubscribe -- TOKEN` and answers 200 for
    status 0, 404 for status 2 and 500 for any other, without a redirect and without asking anything. On a GET it shows
    a button that posts the same, and records nothing: programs that look for viruses follow links.

    Parameters
    ----------
    tokens
        Tokens from mailings. Where one is wrong, nothing is recorded.
    """
    read_settings()
    from deployments.unsubscribe import one_click

    one_click(tokens)


erasure = App(name="erasure", help="Erasure of inactive customers: what it does, what it did, doing it again.")
app.command(erasure)

operators = App(name="operators", help="Our own people: who may confirm erasures, and with which one-time codes.")
app.command(operators)


@operators.default
def operators_list() -> None:
    """List operators: whether they are administrators, and whether they are enrolled for one-time codes."""
    _without_server()
    from deployments import operators

    operators.listing()


@operators.command
def enrol(code: str) -> None:
    """Enrol an operator for one-time codes: prints, once, what its app for such codes (TOTP, RFC 6238) scans.

    It is stored encrypted, under LIFECYCLE_OPERATOR_SECRET: under another one all have to be enrolled again. Enrolled
    again, an operator has other codes; the former ones are no longer taken, and a lock after wrong ones ends.

    Parameters
    ----------
    code
        The operator's code.
    """
    _without_server()
    from deployments import operators

    operators.enrol(code)


@erasure.default
def erasure_list() -> None:
    """List erasures: whose digest, of which period, how they stand, how many were shown and erased, who approved."""
    read_settings()
    from deployments import erasure

    erasure.listing()


@erasure.command(name="show")
def erasure_show(digest_or_id: str, *, pdf: Path | None = None) -> None:
    """Of an erasure that waits, whom it would erase, with names; of one that is done, what its certificate says.

    Parameters
    ----------
    digest_or_id
        As listed.
    pdf
        Write the certificate to this file instead.
    """
    read_settings()
    from deployments import erasure

    erasure.show(digest_or_id, pdf)


@erasure.command(name="plan")
def erasure_plan() -> None:
    """What becomes of each table, column and file when a customer is erased, in words: to be read and signed."""
    from deployments import erasure

    erasure.print_plan()


@erasure.command
def reapply() -> None:
    """Erase again, after a restore from an older backup, whom the ledger of erasures names; then all else runs again.

    Messages that were sent after the backup was made are queued in it: before the worker starts, look at
    `lifecycle outbox --state queued` and cancel what was sent.
    """
    launcher.connect(read_settings())
    from deployments import restore

    restore.reapply()


@erasure.command
def selftest(*, keep: Annotated[bool, Parameter(negative="")] = False) -> None:
    """Plant values in an installation of its own, find them in every store, erase, look again, and say what is left.

    It takes a minute, and touches nothing of this installation. Status 0: all were found, and none is left.

    Parameters
    ----------
    keep
        Leave the folder of that installation, and say where it is.
    """
    from deployments.erasure_selftest import selftest

    if not selftest(keep=keep):
        fail("the self-test of erasure has failed")


payments = App(name="payments", help="Money that a person must decide on.")
app.command(payments)


def _not_empty(_type: object, code: str) -> None:
    if not code.strip():
        raise ValueError("must not be empty")


def _to_the_cent(_type: object, amount: Decimal | None) -> None:
    if amount is not None and not (amount.is_finite() and 0 < amount <= MOST and amount == round(amount, 2)):
        raise ValueError("must be more than nothing, with at most 2 decimals")


Operator = Annotated[str, Parameter(validator=_not_empty)]
Amount = Annotated[Decimal | None, Parameter(validator=_to_the_cent)]


@payments.default
def payments_list() -> None:
    """List money that is unassigned, and what the bank took back of cards that are open since."""
    _without_server()
    from deployments import payments

    payments.listing()


@payments.command
def assign(id_: Annotated[int, Parameter(name="ID")], *, card: str, operator: Operator, amount: Amount = None) -> None:
    """Put a payment's unassigned money onto a card; what the bank took back is taken away from it.

    Parameters
    ----------
    card
        The card's number.
    operator
        The code of whoever decides this.
    amount
        How much; by default as much as fits.
    """
    _without_server()
    from deployments import payments

    payments.assign(id_, card, amount, operator)


@payments.command
def credit(id_: Annotated[int, Parameter(name="ID")], *, customer: str, operator: Operator) -> None:
    """Give a payment's unassigned money to a customer's credit; what the bank took back is taken away from it.

    Parameters
    ----------
    customer
        The customer's code.
    operator
        The code of whoever decides this.
    """
    _without_server()
    from deployments import payments

    payments.credit(id_, customer, operator)


@payments.command
def refund(
    id_: Annotated[int | None, Parameter(name="ID")] = None,
    *,
    operator: Operator,
    customer: str | None = None,
    currency: str | None = None,
    amount: Amount = None,
) -> None:
    """Record that money was given back: a payment's unassigned money, or a customer's credit.

    Parameters
    ----------
    id_
        The payment; or else --customer, --currency and --amount.
    operator
        The code of whoever decides this.
    customer
        The customer's code.
    currency
        The credit's currency.
    amount
        How much; by default all that is unassigned of the payment.
    """
    _without_server()
    from deployments import payments

    if id_ is not None and customer is None and currency is None:
        payments.refund(id_, amount, operator)
    elif id_ is None and customer and currency and amount:
        payments.refund_credit(customer, currency, amount, operator)
    else:
        fail("payments refund: either ID, or --customer with --currency and --amount", WRONG_INPUT)


def _without_server() -> None:
    """Settings for what uses tasks as plain functions."""
    os.environ.update(launcher.environment(read_settings(), launcher.PORT))


def _ready_database() -> None:
    """Have the database before anything needs it; the embedded one then runs as long as this process."""
    from lifecycle.persistence import database

    database.configured()


def read_settings() -> Settings:
    """The settings; wrong ones end the program with all of them listed, one per line, and without their values."""
    try:
        return Settings()
    except SettingsError as error:
        fail(str(error), WRONG_INPUT)
    except ValidationError as error:
        fail(
            "\n".join(f"{_variable(e['loc'])}: {e['msg'].removeprefix('Value error, ')}" for e in error.errors()),
            WRONG_INPUT,
        )


def _variable(location: tuple[int | str, ...]) -> str:
    return "LIFECYCLE_" + "__".join(str(part) for part in location).upper()


def fail(message: str, status: int = FAILED) -> NoReturn:
    """End the program with a message on standard error."""
    print(message, file=sys.stderr)
    raise SystemExit(status)


def main() -> None:
    """The program ``lifecycle``."""
    # Whoever stops us lets us stop what we started; and a shell that starts us with & has SIGINT ignored, which the
    # worker would inherit and then not end by itself.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        app()
    except BadInput as error:
        fail(
            "\n".join(f"{finding} ({finding.value})" if finding.value else str(finding) for finding in error.findings),
            WRONG_INPUT,
        )
    except WaitsForPerson as stop:
        fail(str(stop), WAITING)
    except (
        launcher.StartError,
        deploying.DeployError,
        RunFailed,
        DatabaseBusy,
        DatabaseOutdated,
        DatabaseRestored,
        DatabaseUnreachable,
        LedgerUnusable,
        NotPermitted,
    ) as error:
        fail(str(error))
    except BrokenPipeError:  # of `lifecycle … | head`: who reads has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
