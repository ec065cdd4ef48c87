"""A scratch business whose every value is known: for ``lifecycle erasure selftest``, which looks for them afterwards.

Four customers get everything that a customer can get, in 2019: a service that is billed, warned of, deleted, and paid
too late; a licence that lapses; what a membership leaves; mails, mailings, consents, appointments. Two of them can be
erased today. What they are called and what was written about them are values that occur nowhere else.
"""

import csv
import secrets
from collections.abc import Iterable, Mapping
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from email.message import EmailMessage
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import State
from prefect.exceptions import Pause
from prefect.flow_engine import run_flow
from prefect.states import Scheduled
from pyotp import TOTP
from sqlalchemy import text

from deployments import operators, payments, sample_consents
from deployments.sample_consents import NEWS
from flows.appointments_report import appointments_report
from flows.billing_card_run import billing_card_run
from flows.contact_customer import contact_customer
from flows.daily_expiry_sweep import daily_expiry_sweep
from flows.deliver_outbox import deliver_outbox
from flows.gdpr_erasure_batch import gdpr_erasure_batch
from flows.import_records import import_records
from flows.mailing_run import mailing_run
from flows.monthly_reseller_report import monthly_reseller_report
from flows.open_cards_report import open_cards_report
from flows.payment_import import payment_import
from flows.place_hold import place_hold
from flows.process_unsubscribes import process_unsubscribes
from flows.record_consent import record_consent
from flows.record_objection import record_objection
from lifecycle.persistence import RowRefused, outbox
from lifecycle.persistence.database import transaction
from lifecycle.persistence.outbox import Body, Message
from lifecycle.rules import unsubscribing
from lifecycle.rules.contact import Allowed, Basis
from tasks.issuer import unsubscribe_secret

ADMINISTRATOR = "anna"

_LETTERS = {"it": "Niccolò è già così", "el": "Ωραία Ελευθερία-Άννα", "en": "Zoë Brontë, naïve"}
_LONG = {"notes", "evidence", "objection", "body", "text", "remittance", "name", "note", "typed"}
"""Values that cannot stand on one line of a mail."""

_ASCII = {"email", "account", "message-id", "reply"}


class Person:
    """A customer, and the values planted for it: each is made when it is first asked for."""

    def __init__(self, code: str, locale: str, reseller: str, stem: str) -> None:
        self.code, self.locale, self.reseller = code, locale, reseller
        self.values: dict[str, str] = {}
        self._stem = stem

    def value(self, what: str) -> str:
        """A value that occurs nowhere else, with letters, and often a length, that encodings change."""
        number = f"{self._stem}{len(self.values):02}"
        letters = " " + _LETTERS[self.locale] * (5 if what in _LONG else 1)
        return self.values.setdefault(what, number + (f"-{what}@example.org" if what in _ASCII else letters))


@dataclass(frozen=True, slots=True)
class People:
    """Those who will be erased; one whom a hold keeps; one who is active."""

    erased: list[Person]
    held: Person
    active: Person

    @classmethod
    def invented(cls) -> "People":
        """Their values begin alike, by chance: so they can be looked for together."""
        start = f"{secrets.randbelow(90_000) + 10_000}"
        erased = [Person("SELF-EL", "el", "R1", f"{start}1"), Person("SELF-IT", "it", "R1", f"{start}2")]
        return cls(erased, Person("SELF-HELD", "en", "R2", f"{start}3"), Person("SELF-ACTIVE", "it", "R2", f"{start}4"))

    @property
    def all(self) -> list[Person]:
        return [*self.erased, self.held, self.active]


def plant(client: SyncPrefectClient, folder: Path, home: Path, people: People, now: datetime) -> None:
    """Let all of it happen, by the ways by which it comes in. `folder` is for the files that are brought."""
    today = now.date()
    _bring(folder / "records", people, today)
    import_records(str(folder / "records"))
    daily_expiry_sweep(date(2019, 3, 1))
    billing_card_run(date(2019, 3, 10))
    open_cards_report(date(2019, 3, 20))
    appointments_report(date(2018, 1, 1), date(2018, 12, 31))
    for day in (date(2019, 4, 10), date(2019, 5, 24), date(2019, 6, 1)):
        daily_expiry_sweep(day)
    monthly_reseller_report("2019-04", deliver=True)
    _pay(folder / "bank", people)
    for person in people.all:
        _charge(person)
    _talk(home, people)
    _hold(people, today)
    for person in people.erased:
        _queue(person)
        _plan(client, person, now + timedelta(days=30))
        _be_refused(person)
    with transaction() as db:
        db.execute(text("ANALYZE"))  # as PostgreSQL does by itself after a while


def _bring(folder: Path, people: People, today: date) -> None:
    """Import files. Who is active has an appointment to come."""
    known, everybody = "2018-01-02T08:00:00", people.all
    soon = today + timedelta(days=30)
    columns = ("name", "email", "phone", "tax_id", "street", "city", "postcode", "notes")
    _write(folder, "resellers", [{"code": code, "name": code, "email": f"{code}@example.com"} for code in ("R1", "R2")])
    _write(folder, "operators", [_ANNA])
    _write(folder, "products", [_SERVICE, _LICENCE])
    _write(folder, "motives", [{"code": "question", "title": "Answer to a question"}])
    _write(folder, "consent_types", [{"code": "news", "title": "News", "allows_bulk": "true"}])
    _write(
        folder,
        "customers",
        (
            {"code": it.code, "kind": "person", "locale": it.locale, "created_on": "2018-01-01"}
            | {column: it.value(column) for column in columns}
            for it in everybody
        ),
    )
    _write(
        folder,
        "associations",
        (
            {"reseller": it.reseller, "customer": it.code, "from_on": "2018-01-01", "recorded_at": known}
            for it in everybody
        ),
    )
    _write(
        folder,
        "subscriptions",
        (
            {
                "code": f"{it.code}-{product}",
                "customer": it.code,
                "product": product,
                "starts_on": "2018-04-01" if product == "SITE" else "2017-12-01",
                "expires_on": "2019-03-31" if product == "SITE" else "2018-11-30",
                "reference": it.value(f"reference {product}"),
                "recorded_at": known,
            }
            for it in everybody
            for product in ("SITE", "CLOUD")
        ),
    )
    _write(
        folder,
        "appointments",
        (
            {"code": f"{it.code}-{day}", "customer": it.code, "starts_at": f"{day}T10:00:00", "status": status}
            | {"title": it.value("title")}
            for it in everybody
            for day, status in [("2018-05-02", "attended"), *([(soon, "booked")] if it is people.active else [])]
        ),
    )


_ANNA = {"code": ADMINISTRATOR, "name": "Anna", "email": "anna@example.com", "administrator": "true"}
_SERVICE = {"code": "SITE", "name": "Web site", "policy": "service", "period_months": 12, "price": 100}
_SERVICE |= {"currency": "EUR", "vat_rate": 22}
_LICENCE = _SERVICE | {"code": "CLOUD", "name": "Cloud", "policy": "licence"}


def _write(folder: Path, name: str, rows: Iterable[Mapping[str, object]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    listed = list(rows)
    with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
        out = csv.DictWriter(file, list(listed[0]))
        out.writeheader()
        out.writerows(listed)


def _pay(folder: Path, people: People) -> None:
    """Everybody pays too late: the service is deleted, the money goes back."""
    with transaction() as db:
        owed = db.execute(text("SELECT code, number, total FROM cards JOIN customers ON customers.id = customer_id"))
        cards = {code: (number, total) for code, number, total in owed}
    rows = (
        {
            "bank_reference": f"{it.code}-1",
            "received_on": "2019-06-04",
            "amount": cards[it.code][1],
            "currency": "EUR",
            "remittance": f"{it.value('remittance')} {cards[it.code][0]}",
            "payer": it.value("payer"),
            "iban": it.value("account"),
        }
        for it in people.all
    )
    _write(folder, "payments", rows)
    payment_import(str(folder), business_date=date(2019, 6, 5))
    with redirect_stdout(StringIO()):
        for code, (_, total) in cards.items():
            payments.refund_credit(code, "EUR", Decimal(total), ADMINISTRATOR)


def _charge(person: Person) -> None:
    """What a membership leaves: an account and a card, a file for the bank, a CRM action, a withdrawal that waits."""
    values = {what: person.value(what) for what in ("holder", "iban", "bic", "token", "note", "typed")}
    file = {"document": f"<Nm>{person.value('debtor')}</Nm>".encode()}
    with transaction() as db:
        for statement in _CHARGED:
            db.execute(statement, values | file | {"code": person.code, "operator": ADMINISTRATOR})


_CHARGED = [
    text(statement)
    for statement in (
        "INSERT INTO action_types VALUES ('left', 'Withdrawn', 'withdrawal', true) ON CONFLICT DO NOTHING",
        """
        INSERT INTO mandates (code, customer_id, kind, holder, iban, bic, token)
        SELECT code || '-' || by, id, by, :holder, CASE by WHEN 'sepa' THEN :iban END,
            CASE by WHEN 'sepa' THEN :bic END, CASE by WHEN 'card' THEN :token END
        FROM customers, unnest(ARRAY['sepa', 'card']) AS by WHERE code = :code""",
        """
        WITH file AS (
            INSERT INTO collections (
                message_id, kind, business_date, collect_on, currency, total, number, document, digest, run_id)
            VALUES (:code, 'sepa', '2019-03-01', '2019-03-01', 'EUR', 10, 1, :document, '',
                (SELECT id FROM runs LIMIT 1))
            RETURNING id
        )
        INSERT INTO instalments (subscription_id, due_on, amount, currency, status, collection_id)
        SELECT subscriptions.id, '2019-03-01', 10, 'EUR', 'paid', file.id
        FROM file, subscriptions WHERE code = :code || '-SITE'""",
        """
        INSERT INTO crm_actions (customer_id, action_type, operator, note, business_date)
        SELECT id, 'left', :operator, :note, '2019-03-02' FROM customers WHERE code = :code""",
        """
        INSERT INTO withdrawals (
            id, customer_id, withdrawn_on, action_type, operator, state, note, requested_at, business_date, run_id)
        SELECT gen_random_uuid(), id, '2019-03-31', 'left', :operator, 'waiting', :typed, now(), '2019-03-02',
            (SELECT id FROM runs LIMIT 1)
        FROM customers WHERE code = :code""",
    )
]


def _talk(home: Path, people: People) -> None:
    """Consents, objections, mails to one customer, a mailing and answers to it."""
    for person in people.all:
        record_consent(person.code, "news", ADMINISTRATOR, date(2019, 1, 10), evidence=person.value("evidence"))
        subject, body = person.value("subject"), person.value("body")
        contact_customer(person.code, "single", motive="question", subject=subject, body=body, operator=ADMINISTRATOR)
        objection = person.value("objection")
        record_objection(person.code, "contact", date(2019, 1, 11), ADMINISTRATOR, evidence=objection)
    sample_consents.write_mailings(home / "mailings")
    mailing_run(NEWS)
    deliver_outbox()
    inbox = home / "unsubscribes"
    for place in ("new", "cur", "tmp"):
        (inbox / place).mkdir(parents=True)
    with transaction() as db:
        mailed = {code: message for message, code in db.execute(_MAILED)}
        for person in people.all:
            (inbox / "new" / f"{person.code}.selftest").write_bytes(_answer(person, mailed[person.code]))
            db.execute(_REPLIED, {"reply": f"250 <{person.value('reply')}> accepted", "code": person.code})
    process_unsubscribes()


_MAILED = text("""
SELECT messages.id, code FROM messages JOIN customers ON customers.id = customer_id WHERE channel = 'bulk'""")

# What mail servers answer: a mail folder does not.
_REPLIED = text("""
UPDATE message_attempts SET reply = :reply WHERE message_id IN (
    SELECT messages.id FROM messages JOIN customers ON customers.id = customer_id WHERE code = :code)""")


def _answer(person: Person, mailing: int) -> bytes:
    """What a mail program sends for who presses "unsubscribe"."""
    mail = EmailMessage()
    mail["From"] = person.value("email")
    mail["Subject"] = unsubscribing.subject_of(unsubscribing.token_of(mailing, unsubscribe_secret()))
    mail["Message-ID"] = f"<{person.value('message-id')}>"
    return mail.as_bytes()


def _hold(people: People, today: date) -> None:
    """Holds for all; those of who will be erased have ended yesterday."""
    for person in people.all:
        place_hold(person.code, person.value("reason"), today + timedelta(days=100), ADMINISTRATOR)
    for person in people.erased:
        place_hold(person.code, person.value("reason"), today - timedelta(days=1), ADMINISTRATOR)


def _queue(person: Person) -> None:
    """A mail that waits to be sent, with all that a mail can have."""
    attachment = "list.csv", "text/csv", person.value("attachment").encode()
    with transaction() as db:
        customer, run = db.execute(
            text("SELECT id, (SELECT id FROM runs LIMIT 1) FROM customers WHERE code = :code"), {"code": person.code}
        ).one()
        mail = Message(
            key=f"single/selftest/{person.code}",
            kind="single",
            recipient=person.value("email"),
            recipient_name=person.value("name"),
            business_date=date(2019, 7, 1),
            run_id=run,
            body=Body(person.value("waiting"), person.value("text"), f"<p>{person.value('html')}</p>", attachment),
            customer_id=customer,
            motive="question",
            operator=ADMINISTRATOR,
            allowed=Allowed(Basis.MOTIVE, motive="question"),
        )
        outbox.queue(db, [mail])


def _plan(client: SyncPrefectClient, person: Person, at: datetime) -> None:
    """A run that is to begin some time, with what it was told."""
    told = {"customer": person.code, "channel": "single", "operator": ADMINISTRATOR}
    told |= {"subject": person.value("planned subject"), "body": person.value("planned body")}
    _scheduled(client, contact_customer, told, Scheduled(scheduled_time=at))


def _be_refused(person: Person) -> None:
    """A row that PostgreSQL refuses, which its log may repeat."""
    with suppress(RowRefused), transaction() as db:
        db.execute(text("UPDATE customers SET kind = '' WHERE code = :code"), {"code": person.code})


def await_approval(client: SyncPrefectClient) -> UUID:
    """Start the erasure of who was inactive for five years, as from the form. The run shows whom, and waits."""
    waiting = _scheduled(client, gdpr_erasure_batch, {"preset": "5 years"}, None)
    with suppress(Pause):
        _go_on(client, waiting)
    return waiting


def approve(client: SyncPrefectClient, waiting: UUID) -> None:
    """Be the administrator: enrol, enter a code, and see it carried out."""
    with redirect_stdout(StringIO()) as shown:
        operators.enrol(ADMINISTRATOR)
    uri = next(line for line in shown.getvalue().splitlines() if line.startswith("otpauth://"))
    (secret,) = parse_qs(urlsplit(uri).query)["secret"]
    said = {"decision": "erase", "operator": ADMINISTRATOR, "one_time_code": TOTP(secret).now()}
    client.resume_flow_run(waiting, run_input=said)
    _go_on(client, waiting)


def _scheduled(client: SyncPrefectClient, flow: Flow[..., Any], told: dict[str, Any], state: State | None) -> UUID:
    """A run of the flow's deployment, as the form makes it. None: it is to begin now."""
    deployment = client.create_deployment(client.create_flow(flow), flow.name)
    return client.create_flow_run_from_deployment(deployment, parameters=told, state=state).id


def _go_on(client: SyncPrefectClient, run: UUID) -> None:
    """What a worker does with a run that is due."""
    run_flow(gdpr_erasure_batch, flow_run=client.read_flow_run(run))
