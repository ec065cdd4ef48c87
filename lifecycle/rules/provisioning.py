"""Provisioning: what the system that grants access is told, and how the call is signed.

Calls follow the Standard Webhooks specification 1.0.0 (https://www.standardwebhooks.com) with its symmetric scheme.
"""

import base64
import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from ipaddress import ip_address
from urllib.parse import urlsplit

from lifecycle.rules.outbox import WAITS, State

_URL_EXPECTED = "expected https://host/path (http:// only for this machine itself, such as http://127.0.0.1:8080/)"
_SECRET_EXPECTED = "expected whsec_ and 24 to 64 random bytes in base64"  # noqa: S105 - says what one looks like

_SERVER = re.compile(r"([^@]*@)?([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?")
"""What stands between the slashes: a login, a name or number, a port. All readers of URLs agree on such a one."""


class Access(StrEnum):
    ENABLED = "enabled"
    DISABLED = "disabled"
    SUSPENDED = "suspended"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Calls:
    """The state in which a renewal's calls are written, by policy: before its stream's go-live one is withheld."""

    licence: State
    service: State


@dataclass(frozen=True, slots=True)
class AccessChange:
    """One change of the access that a subscription gives, and the transition that caused it.

    `subscription`, `customer` and `product` are codes; `recorded_at` is aware. Nothing in it names or reaches a person.
    """

    access: Access
    subscription: str
    customer: str
    product: str
    business_date: date
    rule: str
    expires_on: date
    transition: int
    recorded_at: datetime


def body_of(change: AccessChange) -> bytes:
    """The change as JSON: the same bytes for the same change, as every try of a call is signed over them."""
    payload = {
        "type": f"access.{change.access}",
        "timestamp": change.recorded_at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "data": {
            "subscription": change.subscription,
            "customer": change.customer,
            "product": change.product,
            "business_date": change.business_date.isoformat(),
            "rule": change.rule,
            "expires_on": change.expires_on.isoformat(),
            "transition": change.transition,
        },
    }
    return json.dumps(payload, separators=(",", ":")).encode("ascii")


def key_of(secret: str) -> bytes:
    """The key in a secret: base64, padded or not, behind ``whsec_`` or, as the specification's libraries take it, bare.

    Raises ValueError, which does not repeat the secret, unless it holds the 24 to 64 bytes that the specification asks
    for.
    """
    text = secret.removeprefix("whsec_")
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        raise ValueError(_SECRET_EXPECTED) from None
    if not 24 <= len(key) <= 64:
        raise ValueError(_SECRET_EXPECTED)
    return key


def signed_headers(key: bytes, token: str, body: bytes, now: datetime) -> dict[str, str]:
    """The headers of one try, made at `now`. `token` and `body` are the same on every try; the signature is not."""
    timestamp = int(now.timestamp())
    digest = hmac.new(key, f"{token}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": token,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def checked_url(url: str) -> str:
    """`url`, if calls may go there: encrypted, or to this machine itself.

    Raises ValueError, which does not repeat the URL, as it can hold a password.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        on_this_machine = host == "localhost" or (_is_number(host) and ip_address(host).is_loopback)
        host.encode("idna")  # how a name is looked up; it fails for one that cannot exist
        usable = (
            _SERVER.fullmatch(parts.netloc)
            and re.fullmatch(r"[!-~]+", url)
            and not parts.fragment
            and parts.port != 0  # reading it fails for one that cannot exist
            and parts.scheme in ({"https", "http"} if on_this_machine else {"https"})
        )
    except ValueError:
        usable = None
    if not usable:
        raise ValueError(_URL_EXPECTED)
    return url


def asked_wait(retry_after: str, now: datetime) -> timedelta | None:
    """The wait that a ``Retry-After`` header asks for: seconds or a date (RFC 9110, 10.2.3), at most our own longest.

    None where it says nothing that can be understood.
    """
    try:
        if re.fullmatch("[0-9]{1,9}", retry_after):
            wait = timedelta(seconds=int(retry_after))
        else:
            moment = parsedate_to_datetime(retry_after)
            wait = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now
    except (ValueError, OverflowError):
        return None
    return min(max(wait, timedelta(0)), WAITS[-1])


def _is_number(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdecimal()
