"""The gate: may a customer be contacted over a channel on a day, and on which basis.

Everything that leaves passes it, when it is queued and again when it is sent. A duty is stronger than an objection, an
objection stronger than any motive, a consent enough by itself. What is allowed names its basis, which is logged.
`lifecycle.persistence.contact` asks the same of many customers at once; a test holds the two equal.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum


class ContactChannel(StrEnum):
    """How a customer is contacted: one of many alike, a mail to it alone, a telephone call."""

    BULK = "bulk"
    SINGLE = "single"
    CONTACT = "contact"


class Basis(StrEnum):
    """On what a contact rests. UNASKED: the channel's switch is off, nothing is asked for."""

    DUTY = "duty"
    CONSENT = "consent"
    MOTIVE = "motive"
    UNASKED = "unasked"


class Missing(StrEnum):
    """Why a customer may not be contacted; the words stand in summaries and messages to operators."""

    ERASED = "erased"
    OBJECTED = "objected"
    WITHDRAWN = "consent withdrawn"
    LAPSED = "consent lapsed"
    NEVER = "no consent"


@dataclass(frozen=True, slots=True)
class ConsentType:
    """What customers may allow. `valid_days`: a consent is valid on its day and so many days in all; None: no end."""

    code: str
    valid_days: int | None
    channels: frozenset[ContactChannel]


@dataclass(frozen=True, slots=True)
class Consent:
    """One consent as it is known. `withdrawn_on` is the first day on which it is no longer valid."""

    id: int
    type: ConsentType
    granted_on: date
    withdrawn_on: date | None = None

    @property
    def lapses_on(self) -> date | None:
        """The first day on which it is no longer valid by the days of its type; None: it has no end."""
        days = self.type.valid_days
        return None if days is None else self.granted_on + timedelta(days=days)


@dataclass(frozen=True, slots=True)
class Motive:
    """Why a customer is contacted without a consent. `duty`: the law or a contract asks for it."""

    code: str
    duty: bool = False


CONTRACT = Motive("contract", duty=True)
"""Performance of the contract: the motive of notices and billing cards."""


@dataclass(frozen=True, slots=True)
class Customer:
    """What one has said. `objections` are, by channel, the last days on which it said that it does not want it."""

    consents: tuple[Consent, ...] = ()
    objections: Mapping[ContactChannel, date] = field(default_factory=dict)
    erased: bool = False

    def consent(self, type_: str, granted_on: date) -> Consent:
        """The consent of this type, given by its code, that was granted on this day."""
        return next(each for each in self.consents if (each.type.code, each.granted_on) == (type_, granted_on))

    def is_withdrawn(self, consent: Consent, day: date) -> bool:
        """Whether the consent was withdrawn by `day`: it, or its type after it was granted.

        Who withdraws does not mean one of two entries for the same thing.
        """
        return (consent.withdrawn_on is not None and consent.withdrawn_on <= day) or any(
            other.type == consent.type
            and other.withdrawn_on is not None
            and consent.granted_on < other.withdrawn_on <= day
            for other in self.consents
        )

    def holds(self, consent: Consent, day: date) -> bool:
        """Whether the consent is valid on `day`."""
        lapsed = consent.lapses_on is not None and consent.lapses_on <= day
        return consent.granted_on <= day and not lapsed and not self.is_withdrawn(consent, day)


@dataclass(frozen=True, slots=True)
class Allowed:
    """May be contacted: `consent` is the id of the consent, `motive` the code of the motive that it rests on."""

    basis: Basis
    consent: int | None = None
    motive: str | None = None


def gate(
    customer: Customer,
    channel: ContactChannel,
    day: date,
    motive: Motive | None,
    asks: Collection[ContactChannel] = frozenset(ContactChannel),
) -> Allowed | Missing:
    """Whether the customer may be contacted. `asks` are the channels whose switch is on.

    An objection holds until the customer consents to the channel on a later day: the last word counts. A motive, also
    one of duty, covers one message: bulk mail has none.
    """
    if customer.erased:
        return Missing.ERASED
    if channel is ContactChannel.BULK:
        motive = None
    if motive is not None and motive.duty:
        return Allowed(Basis.DUTY, motive=motive.code)
    given = [consent for consent in customer.consents if channel in consent.type.channels and consent.granted_on <= day]
    objected_on = customer.objections.get(channel)
    objects = objected_on is not None and objected_on <= day
    valid = [
        consent
        for consent in given
        if customer.holds(consent, day) and not (objects and objected_on and consent.granted_on <= objected_on)
    ]
    if valid:
        return Allowed(Basis.CONSENT, consent=max(valid, key=lambda consent: (consent.granted_on, consent.id)).id)
    if objects:
        return Missing.OBJECTED
    if channel not in asks:
        return Allowed(Basis.UNASKED)
    if motive is not None:
        return Allowed(Basis.MOTIVE, motive=motive.code)
    if any(customer.is_withdrawn(consent, day) for consent in given):
        return Missing.WITHDRAWN
    return Missing.LAPSED if given else Missing.NEVER
