"""Subscriptions: the choices a record of one has, and its status."""

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
