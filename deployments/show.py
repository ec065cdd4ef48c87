"""``lifecycle show`` and ``lifecycle outbox``: what is known, for a person or a script; ``outbox resolve`` decides."""

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal

from lifecycle.persistence import (
    card_documents,
    charge_run,
    crm,
    customers,
    open_cards,
    outbox,
    reseller_report,
)
from lifecycle.persistence.card_documents import DocumentErased
from lifecycle.persistence.database import Transaction, transaction
from lifecycle.rendering import billing_card
from lifecycle.rendering import open_cards as spreadsheet
from lifecycle.rendering import reseller_report as rendering
from lifecycle.rendering.locales import customer_name
from lifecycle.rules.billing_card import print_form
from lifecycle.rules.calendar import month_of
from lifecycle.rules.charge_run import Figures
from lifecycle.rules.findings import BadInput, Finding
from lifecycle.rules.outbox import State
from lifecycle.rules.payment import Purpose
from lifecycle.rules.records import shown
from lifecycle.settings import settings
from tasks.issuer import issuer, payee
from tasks.operators import unknown

Decision = Literal["sent", "again", "cancel"]

_DECIDED: dict[Decision, tuple[State, list[State]]] = {
    "sent": (State.SENT, [State.IN_DOUBT]),
    "again": (State.QUEUED, [State.IN_DOUBT, State.FAILED]),
    "cancel": (State.CANCELLED, [State.IN_DOUBT, State.FAILED, State.QUEUED]),
}


def customer(code: str, day: date | None, *, as_json: bool) -> None:
    zone = settings().zone
    with transaction() as db:
        found = customers.show(db, code, day or datetime.now(zone).date(), zone)
    if found is None:
        raise BadInput([Finding("CODE", f"{code!r} is no customer's code", "a customer's code")])
    found["name"] = customer_name(found["name"], settings().locale)
    if as_json:
        print(json.dumps(found, default=_plain, ensure_ascii=False))
        return
    erased = f"  erased on {found['erased_on']}" if found["erased_on"] else ""
    print(f"{found['code']}  {found['name']}{erased}  reseller: {found['reseller'] or 'none'}")
    for held in found["subscriptions"]:
        what = f"{held['code']}  {held['product']} ({held['policy']})  {held['reference']}"
        withdrawn = f"  withdrawn from, last day {held['withdrawn_on']}" if held["withdrawn_on"] else ""
        print(f"{what}  {held['status']}  expires on {held['expires_on']}{withdrawn}")
        for term in held["terms"]:
            print(f"    {_period(term)}  recorded {_plain(term['recorded_at'])}")
        for step in held["transitions"]:
            print(f"    {step['business_date']}  {step['to']} by {step['rule']}")
    _print_charges(found)
    for message in found["messages"]:
        print(f"{message['kind']}  {message['key']}  {message['state']}  {_plain(message['sent_at'])}")
    for card in found["cards"]:
        amounts = f"{card['total']} {card['currency']}, open {card['open']}"
        print(f"{card['number']}  revision {card['revision']}  {card['state']}  {amounts}  {card['reference']}")
    for paid in found["payments"]:
        place = paid["card"] if paid["purpose"] == Purpose.CARD else paid["purpose"]
        print(f"{paid['received_on']}  {paid['amount']} {paid['currency']} to {place}  {paid['rule']}")
    for currency, credit in found["credit"].items():
        print(f"credit  {credit} {currency}")
    _print_appointments(found)
    _print_contact(found)
    _print_crm(found)
    _print_holds(found)


def _period(term: dict[str, Any]) -> str:
    if term["expires_on"] < term["starts_on"]:
        return f"{term['starts_on']}  never came into force"
    return f"{term['starts_on']} .. {term['expires_on']}"


def _print_charges(found: dict[str, Any]) -> None:
    for each in found["mandates"]:
        days = [f"{what.replace('_', ' ')} {each[what]}" for what in ("signed_on", "ended_on") if each[what]]
        account = [f"IBAN ends in {each['iban_ends_in']}"] if each["iban_ends_in"] else []
        used = f"used by {', '.join(each['shared_by']) or 'nothing'}"
        print("  ".join([f"mandate {each['code']}", each["kind"], *account, *days, used]))
    for each in found["instalments"]:
        stands = each["status"].replace("_", " ") + (", not charged any more" if each["detached"] else "")
        print(f"instalment  {each['subscription']}  {each['due_on']}  {each['amount']} {each['currency']}  {stands}")


def _print_appointments(found: dict[str, Any]) -> None:
    for each in found["appointments"]:
        print(f"appointment  {_plain(each['starts_at'])}  {each['status']}  {each['code']}  {_line(each['title'])}")


def _print_contact(found: dict[str, Any]) -> None:
    for consent in found["consents"]:
        ends = [f"{what.replace('_', ' ')} {consent[what]}" for what in ("lapses_on", "withdrawn_on") if consent[what]]
        stands = "valid" if consent["valid"] else "not valid"
        print("  ".join([consent["type"], consent["title"], f"granted on {consent['granted_on']}", *ends, stands]))
        by = f"by {consent['operator'] or 'the customer or an import'}  recorded {_plain(consent['recorded_at'])}"
        print(f"    {_line(consent['evidence'])}  {by}")
    for objection in found["objections"]:
        print(f"objection to {objection['channel']}  {objection['objected_on']}  {_line(objection['evidence'])}")
    for contact in found["contacts"]:
        ground = contact["consent_type"] or contact["motive"] or ""
        what = f"{contact['channel']}  {contact['basis']} {ground}  by {contact['operator'] or 'a rule'}"
        print(f"{contact['business_date']}  {what}  {contact['key']}")


def _print_crm(found: dict[str, Any]) -> None:
    for action in found["crm_actions"]:
        agenda = f"  in the agenda of {action['assigned_to']}" if action["assigned_to"] else ""
        by = f"by {action['operator']}  recorded {_plain(action['recorded_at'])}"
        print(f"CRM  {action['business_date']}  {action['type']}  {action['title']}  {by}{agenda}")
        if action["note"]:
            print(f"    {_line(action['note'])}")


def _print_holds(found: dict[str, Any]) -> None:
    for hold in found["holds"]:
        by = f"by {hold['operator']}  recorded {_plain(hold['recorded_at'])}"
        print(f"hold until {hold['until_on']}  {_line(hold['reason'])}  {by}")


def _line(text: str | None) -> str:
    """What people wrote, in one line and safe for a terminal."""
    return shown(text or "", 2_000)


def agenda(operator: str, *, as_json: bool) -> None:
    """The CRM actions that are assigned to the operator, the newest first."""
    with transaction() as db:
        if findings := unknown(db, operator, "OPERATOR"):
            raise BadInput(findings)
        found = crm.agenda(db, operator)
    if as_json:
        print(json.dumps({"operator": operator, "crm_actions": found}, default=_plain, ensure_ascii=False))
        return
    for action in found:
        what = f"{action['type']}  {action['title']}  {action['customer']}"
        print(f"{action['business_date']}  {what}  {_line(action['note'])}")


def card(number: str, pdf: Path | None) -> None:
    """A card in its last revision as a person reads it, or its PDF."""
    with transaction() as db:
        found = card_documents.find(db, number)
        if found is None:
            raise BadInput([Finding("NUMBER", f"{number!r} is no card's number", "one such as PF-2026-000123")])
        if pdf is not None:
            pdf.write_bytes(_document(db, found))
            return
        shown = card_documents.read(db, [found], settings().locale, shows_vat=True)[found]
        stands = card_documents.stands(db, found)
    print(f"{shown.number}  revision {shown.revision}  {stands.state}{'  trial' if shown.trial else ''}")
    print(f"{shown.payer.code}  {customer_name(shown.payer.name, settings().locale)}")
    print(f"issued on {shown.issued_on}, payable by {shown.due_on}  {print_form(shown.reference)}")
    for item in shown.items:
        line, what = item.line, f"{item.code}  {item.product}  {item.reference}"
        period = f"{line.period.starts_on} .. {line.period.ends_on}"
        price = f"{line.quantity} x {line.unit_price}  VAT {line.vat_rate.normalize():f} %  {line.net}"
        print(f"    {what}  {period}  {price}")
    print(f"total {shown.total} {shown.currency}, paid {stands.paid}, open {stands.open}")
    for step in stands.allocations:
        print(f"    {step.business_date}  {step.amount} {shown.currency}  {step.rule}")


def _document(db: Transaction, card: int) -> bytes:
    """A card's PDF as it was stored; of an erased customer drawn anew, of the facts that stay, and not kept."""
    try:
        return card_documents.document(db, card)
    except DocumentErased:
        stays = card_documents.read(db, [card], settings().locale, shows_vat=True)[card]
        return billing_card.document(stays, payee(), issuer())


def report(reseller: str, month: str, xlsx: Path | None) -> None:
    day = _month(month)
    with transaction() as db:
        standings = reseller_report.standings(db, day, [reseller], settings().locale)
        stored = reseller_report.read(db, [standing.id for standing in standings], settings().locale)
    if not stored:
        raise BadInput([Finding("RESELLER MONTH", f"no report of {reseller!r} for {month} is stored", "one that is")])
    made = stored[0]
    if xlsx is None:
        print(rendering.content(made, issuer()).text)
    else:
        xlsx.write_bytes(rendering.workbook(made))


def reports(month: str) -> None:
    """A line for each stored report of the month."""
    with transaction() as db:
        standings = reseller_report.standings(db, _month(month), None, settings().locale)
    print(f"{'reseller':20} {'expiring':>8} {'open':>8} {'disabled':>8}  mail")
    for standing in standings:
        figures = f"{standing.expiring:8} {standing.open:8} {standing.disabled:8}"
        print(f"{standing.reseller:20} {figures}  {standing.message or 'none'}")


def open_cards_on(day: date | None, xlsx: Path | None) -> None:
    """What Accounting sees: sums by age, then each card, credit, suspended service and unassigned payment."""
    with transaction() as db:
        found = open_cards.read(db, day or datetime.now(settings().zone).date())
    if xlsx is not None:
        xlsx.write_bytes(spreadsheet.workbook(found, settings().locale))
        return
    for line in found.by_age():
        print(f"{line.currency}  {line.age or 'total':12} {line.cards:6}  open {line.open:>14} of {line.total:>14}")
    for debt in found.debts:
        age = "trial" if debt.trial else found.age(debt)
        amounts = f"open {debt.open} of {debt.total} {debt.currency}"
        print(f"{debt.number}  {debt.customer:14} due {debt.due_on}  {age:12} {amounts}")
    for credit in found.credits:
        print(f"credit  {credit.customer:14} {credit.amount} {credit.currency}")
    for service in found.suspended:
        owed = f"{service.card}, open {service.open} {service.currency}" if service.card else "no open card"
        print(f"suspended  {service.code}  since {service.since}  {owed}")
    for payment in found.unassigned:
        print(f"unassigned  payment {payment.id}  {payment.received_on}  {payment.left} {payment.currency}")


def collections() -> None:
    """A line for each file."""
    with transaction() as db:
        for made in charge_run.listed(db):
            erased = "" if made.is_stored else "  removed: somebody in it is erased"
            print(f"{made.business_date}  {_figures(made.figures)}{erased}")


def _figures(file: Figures) -> str:
    amount = f"{file.number:6} instalments {file.total:>14} {file.currency}"
    return f"{file.message_id:26} {file.kind:4} {amount}  to be collected on {file.collect_on}"


def collection(message_id: str, file: Path | None) -> None:
    """What is in a file and how each instalment stands now, or the file itself."""
    with transaction() as db:
        found = charge_run.find(db, message_id)
    if found is None:
        raise BadInput(
            [Finding("MESSAGE_ID", f"{message_id!r} is no file's", "one that `lifecycle show collections` lists")]
        )
    if file is None:
        print(_figures(found.file.figures))
        for each in found.submitted:
            print(f"    I{each.id}  {each.subscription}  due {each.due_on}  {each.amount:>10}  {each.status}")
    elif found.document is None:
        raise BadInput([Finding("MESSAGE_ID", "the file is removed: somebody in it is erased", "another one's")])
    else:
        file.write_bytes(found.document)


def messages(states: list[State], most: int) -> None:
    with transaction() as db:
        for row in outbox.listed(db, states, most):
            print(f"{row.state:9}  {row.kind}  {row.key}  tries: {row.tries}  {row.reply or ''}")


def resolve(keys: list[str], decision: Decision) -> None:
    """Carry out an operator's decision; keys that it does not fit are refused together and nothing is changed."""
    state, from_states = _DECIDED[decision]
    with transaction() as db:
        resolved = outbox.resolve(db, keys, state, from_states)
        if wrong := sorted(set(keys) - set(resolved)):
            erased = outbox.to_the_erased(db, wrong) if state is State.QUEUED else set()
            unfit = f"cannot be decided as {decision}", f"a message {' or '.join(from_states)}"
            gone = "is to a customer who is erased", "a mail that somebody is left to read"
            raise BadInput([Finding(key, *(gone if key in erased else unfit)) for key in wrong])


def _month(text: str) -> date:
    try:
        return month_of(text)
    except ValueError:
        raise BadInput([Finding("MONTH", f"{text!r} is not a month", "YYYY-MM")]) from None


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(settings().zone).isoformat(timespec="seconds")
    return "" if value is None else str(value)
