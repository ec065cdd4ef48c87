"""Contacting one customer: asked at the gate and queued, or permitted, in one transaction."""

from collections import Counter
from dataclasses import replace
from datetime import date
from uuid import UUID

from prefect import task
from prefect.cache_policies import NO_CACHE

from lifecycle.persistence import contact_customer, outbox
from lifecycle.persistence.contact import Asked, at_the_gate
from lifecycle.persistence.contact_customer import Addressee
from lifecycle.persistence.database import Transaction, transaction
from lifecycle.persistence.outbox import Body, Message
from lifecycle.rendering import single_mail
from lifecycle.rendering.operator_template import Recipient
from lifecycle.rules.contact import Allowed, ContactChannel, Missing, Motive, gate
from lifecycle.rules.contact_customer import Choice, Wish, grounds, refusal, wrong
from lifecycle.rules.findings import BadInput, Finding
from lifecycle.rules.outbox import State
from lifecycle.settings import settings
from tasks.issuer import issuer
from tasks.operators import unknown
from tasks.retries import transient

KIND = "single"
UNSENT = frozenset({f"already {State.CANCELLED}", f"already {State.FAILED}"})
"""What the same mail of before can have come to that a person must see to."""


@task(cache_policy=NO_CACHE, **transient)
def contact(wish: Wish, day: date, run_id: UUID, call: str, *, dry_run: bool) -> tuple[Counter[str], str]:
    """Queue the mail, or write the permission to telephone, where the gate allows it on `day`.

    `call` names the permission: with the same one it is given once. Returns counts, and on what it rests. Raises
    BadInput with everything that is missing or wrong; then nothing is written.
    """
    with transaction() as db:
        choices = contact_customer.choices(db)
        asked = at_the_gate(db, wish.customer, day)
        findings = [*wrong(wish, choices), *unknown(db, wish.operator), *_unsendable(wish)]
        if asked is None:
            raise BadInput([*findings, Finding("customer", f"{wish.customer!r} is no customer's code", "a code")])
        to = contact_customer.addressee(db, asked.id, day, settings().locale)
        answer = gate(asked.customer, wish.channel, day, _motive(wish, choices), asked.asks)
        if isinstance(answer, Missing):
            findings.append(refusal(asked.customer, wish.channel, day, answer, choices))
        if wish.channel is ContactChannel.SINGLE and not to.email and answer is not Missing.ERASED:
            findings.append(Finding("customer", f"{wish.customer!r} has no address", "a customer with an address"))
        if findings or isinstance(answer, Missing):
            raise BadInput(findings)
        if wish.channel is ContactChannel.CONTACT:
            key = f"contact/{wish.customer}/{call}"
            new = contact_customer.permit(db, key, asked.id, answer, wish.operator, day, run_id)
            done = "permitted" if new else "already permitted"
        else:
            done = _queue(db, wish, asked, answer, to, day, run_id)
        if dry_run:
            db.rollback()
    return Counter({done: 1, f"basis: {answer.basis}": 1}), grounds(answer, asked.customer)


def _motive(wish: Wish, choices: list[Choice]) -> Motive | None:
    """One that is unknown counts as any other: an objection is found besides."""
    known = {choice.motive.code: choice.motive for choice in choices}
    return known.get(wish.motive, Motive(wish.motive)) if wish.motive else None


def _unsendable(wish: Wish) -> list[Finding]:
    """What is wrong with a mail's texts. What repeats a piece of them is for the terminal alone."""
    if wish.channel is ContactChannel.CONTACT:
        return []
    return [
        replace(finding, problem="is not text that can be sent", value=finding.problem) if finding.line else finding
        for finding in single_mail.checked(wish.subject, wish.body)
    ]


def _queue(db: Transaction, wish: Wish, asked: Asked, allowed: Allowed, to: Addressee, day: date, run_id: UUID) -> str:
    recipient = Recipient(to.name, to.reseller_name, to.reseller_email, to.reseller_phone)
    content = single_mail.content(wish.subject, wish.body, to.locale, recipient, day, issuer())
    message = Message(
        key=wish.mail_key(day),
        kind=KIND,
        recipient=to.email,
        recipient_name=to.name,
        business_date=day,
        run_id=run_id,
        body=Body(content.subject, content.text, content.html),
        customer_id=asked.id,
        motive=wish.motive,
        operator=wish.operator,
        allowed=allowed,
    )
    if outbox.queue(db, [message]):
        return "queued"
    return f"already {contact_customer.state_of(db, message.key)}"
