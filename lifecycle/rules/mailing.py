"""Mailings: what one is called in messages, and what becomes of each customer."""

from enum import StrEnum

KIND = "mailing"


class Outcome(StrEnum):
    """What becomes of a customer whom the gate lets pass."""

    QUEUED = "queued"
    NO_ADDRESS = "no address"
