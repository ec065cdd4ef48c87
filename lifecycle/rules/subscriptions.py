"""Subscriptions: the choices a record of one has, and its status."""

from datetime import date
from enum import StrEnum


class CustomerKind(StrEnum):
    COMPANY = "company"
    PERSON = "person"


class Policy(StrEnum):
    """What a product's subscriptions undergo when they expire."""

    LICENCE = "licence"
    SERVICE = "service"
    MEMBERSHIP = "membership"
    CUSTOM = "custom"


class ChargeMethod(StrEnum):
    TRANSFER = "transfer"
    SEPA = "sepa"
    CARD = "card"


CHARGED_BY_ITSELF = (ChargeMethod.SEPA, ChargeMethod.CARD)
"""Those that need nothing of the customer but a mandate or a card, once."""


class Status(StrEnum):
    ACTIVE = "active"
    EXPIRED = "expired"
    DISABLED = "disabled"
    SUSPENDED = "suspended"
    DELETED = "deleted"
    WITHDRAWN = "withdrawn"
    ENDED = "ended"


def status_on(day: date, expires_on: date, last_transition: Status | None) -> Status:
    """The status on `day`: that of the last transition up to then.

    Without one, or after one that brought it back, it is active to the end of its expiry, and then expired.
    """
    if last_transition is not None and last_transition is not Status.ACTIVE:
        return last_transition
    return Status.ACTIVE if day <= expires_on else Status.EXPIRED
