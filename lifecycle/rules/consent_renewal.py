"""Whether a customer is asked, once, to renew a consent that is about to lapse, and over which channel."""

from datetime import date
from enum import StrEnum

from lifecycle.rules.contact import Allowed, Basis, Consent, ConsentType, ContactChannel, Customer, gate

KIND = "consent-renewal"


class Left(StrEnum):
    """Why a customer is not asked; the words stand in summaries and beside cancelled messages."""

    ENDLESS = "does not lapse any more"
    LAPSED = "has lapsed"
    WITHDRAWN = "was withdrawn"
    RENEWED = "was renewed"
    COVERED = "is not needed: other consents allow the same for longer"


class Outcome(StrEnum):
    """What becomes of a customer whom the gate lets pass."""

    BULK = "asked by bulk mail"
    SINGLE = "asked by single mail"
    BEFORE = "asked before"
    TELEPHONE = "can only be telephoned"
    NO_ADDRESS = "no address"


def channel(of: ConsentType) -> ContactChannel:
    """How one asks, of what the consent allows: by bulk mail, else by a mail alone, else by telephone."""
    return next(each for each in ContactChannel if each in of.channels)


def left(customer: Customer, consent: Consent, day: date) -> Left | None:
    """Why the customer is not asked on `day` to renew this consent; None: it is asked.

    It is not asked where nothing would be lost: on the first day without this consent, whatever it allowed is still
    allowed by others.
    """
    end = consent.lapses_on
    if end is None:
        return Left.ENDLESS
    if end <= day:
        return Left.LAPSED
    if customer.is_withdrawn(consent, end):
        return Left.WITHDRAWN
    if any(other.type == consent.type and other.granted_on > consent.granted_on for other in customer.consents):
        return Left.RENEWED
    stays = (gate(customer, each, end, None) for each in consent.type.channels)
    covered = all(isinstance(answer, Allowed) and answer.basis is Basis.CONSENT for answer in stays)
    return Left.COVERED if covered else None
