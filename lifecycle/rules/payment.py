"""Payments: which cards a bank entry pays, and what of it a person must decide.

Nothing is guessed: an entry that does not clearly say what it pays is kept unassigned and listed.
"""

from enum import StrEnum


class Purpose(StrEnum):
    """Where a part of a payment went: onto a card, to its customer's credit, or back out of the house."""

    CARD = "card"
    CREDIT = "credit"
    REFUND = "refund"
