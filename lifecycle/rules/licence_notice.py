"""The two notices about a lapsed licence: what its customer is told, and whom to turn to."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from lifecycle.rules.languages import Locale


class NoticeKind(StrEnum):
    """Which milestone a notice is about; the values are its message's kind in the outside world."""

    EXPIRED_3_MONTHS = "expired-3-months"
    ACCESS_DISABLED = "access-disabled"


@dataclass(frozen=True, slots=True)
class Contact:
    """Whom the customer can turn to. None: not known."""

    name: str
    email: str | None
    phone: str | None


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice about one licence, in its customer's language. `reference` is "" where there is none.

    `access_ends_on` is the first day without access: the one to come, which is later than the 6-month milestone where
    the warning had to come first, or for ACCESS_DISABLED the one on which access was really disabled.
    `contact` is the reseller, or the issuer for a `direct` customer.
    """

    kind: NoticeKind
    customer_name: str
    licence: str
    reference: str
    product: str
    locale: Locale
    expires_on: date
    access_ends_on: date
    contact: Contact
    direct: bool
