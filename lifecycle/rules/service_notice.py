"""The three notices about a service that was not paid: what its customer is told, and what can still be done."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from lifecycle.rules.billing_card import Payee
from lifecycle.rules.languages import Locale
from lifecycle.rules.licence_notice import Contact


class NoticeKind(StrEnum):
    """Which step a notice is about; the values are its message's kind in the outside world."""

    SUSPENDED = "service-suspended"
    DELETION_WARNING = "deletion-warning"
    DELETED = "service-deleted"


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice about one service, in its customer's language. `reference` is "" where there is none.

    `day` is the day of the step: on which it was suspended, from which it will be deleted for good, on which it was
    deleted. `card` is the number of the card that stands for it, `to_pay` what is left to pay of the whole card.
    For DELETED `card` is void, nothing is to pay, and `payee` is None.
    """

    kind: NoticeKind
    customer_name: str
    service: str
    reference: str
    product: str
    locale: Locale
    expires_on: date
    day: date
    card: str
    to_pay: Decimal
    currency: str
    payee: Payee | None
    contact: Contact
