"""Contacting one customer by hand: what is wished, on what it rests, and what is missing, in an operator's words."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from lifecycle.rules.contact import Allowed, Basis, ContactChannel, Customer, Missing, Motive
from lifecycle.rules.findings import Finding

NO_MOTIVE = "none"
"""Stands for no motive where one is chosen from a list."""

_NAMES = {ContactChannel.SINGLE: "single mail", ContactChannel.CONTACT: "calls"}


@dataclass(frozen=True, slots=True)
class Choice:
    """A motive as operators know it."""

    motive: Motive
    title: str

    def __str__(self) -> str:
        duty = ", a duty" if self.motive.duty else ""
        return f"{self.motive.code} ({self.title}{duty})"


@dataclass(frozen=True, slots=True)
class Wish:
    """Whom an operator wants to contact, how (never in bulk) and why. Its repr lacks the texts: they are personal."""

    customer: str
    channel: ContactChannel
    motive: str | None
    operator: str
    subject: str = field(default="", repr=False)
    body: str = field(default="", repr=False)

    def mail_key(self, day: date) -> str:
        """The mail's natural key: the same text to the same customer for the same reason is one mail a day."""
        parts = (self.motive or "", self.subject, self.body)
        told = b"".join(b"%d:%b" % (len(part.encode()), part.encode()) for part in parts)
        return f"single/{self.customer}/{day}/{hashlib.sha256(told).hexdigest()[:32]}"


def choice_of(code: str) -> str | None:
    """The motive's code that was chosen; None: no motive."""
    return None if code.strip() in {"", NO_MOTIVE} else code


def wrong(wish: Wish, choices: Sequence[Choice]) -> Iterator[Finding]:
    """What is wrong with the wish, whatever its customer has said."""
    if wish.motive is not None and wish.motive not in {choice.motive.code for choice in choices}:
        yield Finding("motive", f"{wish.motive!r} is no motive's code", _one_of(choices))
    if wish.channel is ContactChannel.CONTACT:
        for name, text in (("subject", wish.subject), ("body", wish.body)):
            if text:
                yield Finding(name, "is given", "none: a call is only permitted, and nothing is sent")


def refusal(
    customer: Customer, channel: ContactChannel, day: date, missing: Missing, choices: Sequence[Choice]
) -> Finding:
    """Why the customer may not be contacted, with the dates, and what an operator can choose instead."""
    withdrawn = [
        (consent.withdrawn_on, consent.type.code)
        for consent in customer.consents
        if channel in consent.type.channels and consent.withdrawn_on is not None and consent.withdrawn_on <= day
    ]
    lapsed = [
        (consent.lapses_on, consent.type.code)
        for consent in customer.consents
        if channel in consent.type.channels and consent.lapses_on is not None and consent.lapses_on <= day
    ]
    match missing:
        case Missing.ERASED:
            return Finding("customer", "was erased", "one that was not: it can never be contacted again")
        case Missing.OBJECTED:
            duties = [choice for choice in choices if choice.motive.duty]
            fact = f"the customer objected to {_NAMES[channel]} on {customer.objections[channel]}"
            return Finding("motive", f"{fact}: only a motive of duty helps", _one_of(duties))
        case Missing.WITHDRAWN:
            on, code = max(withdrawn)
            fact = f"consent {code} was withdrawn on {on}"
        case Missing.LAPSED:
            on, code = max(lapsed)
            fact = f"consent {code} lapsed on {on}"
        case Missing.NEVER:
            fact = f"no consent allows {_NAMES[channel]}"
    return Finding("motive", f"{fact}, and no motive was chosen", _one_of(choices))


def grounds(allowed: Allowed, customer: Customer) -> str:
    """On what a contact rests: the consent with its days, or the motive."""
    if allowed.basis is Basis.UNASKED:
        return "no basis is asked for: the channel's switch is off"
    if allowed.basis is not Basis.CONSENT:
        return f"{allowed.basis}: {allowed.motive}"
    [consent] = [consent for consent in customer.consents if consent.id == allowed.consent]
    until = f"valid to {consent.lapses_on - timedelta(days=1)}" if consent.lapses_on else "without end"
    return f"consent {consent.type.code} of {consent.granted_on}, {until}"


def _one_of(choices: Sequence[Choice]) -> str:
    return f"one of: {', '.join(map(str, choices))}"
