"""How a person stops mailings: a signed token that names the message, in a mail's subject or in an address of the web.

The token is no secret from its recipient; the signature keeps others from withdrawing consents that are not theirs.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from lifecycle.rules import provisioning
from lifecycle.rules.addresses import ascii_form

_TOKEN = re.compile(r"u-([0-9a-f]{1,16})-([0-9a-f]{32})")
_IN_TEXT = re.compile(rf"(?<![0-9a-z]){_TOKEN.pattern}(?![0-9a-z])")

_LONGEST = 500
"""Characters of an address of the web: with the token it still fits on one line of a header (RFC 5322: 998)."""

_URL = re.compile(rf"[A-Za-z0-9._~:/?\[\]@!$&'()*+;=%-]{{1,{_LONGEST}}}")
"""The characters of RFC 3986, without the comma that parts the addresses in a header."""


@dataclass(frozen=True, slots=True)
class Unsubscribing:
    """How the recipient of one message stops those that would follow. `url`, if any, is one that `checked_url` took."""

    address: str
    token: str
    url: str | None = None

    @property
    def subject(self) -> str:
        """What stands in the subject of the mail that asks for it."""
        return subject_of(self.token)

    @property
    def mailto(self) -> str:
        """The mail to write, as a link (RFC 6068)."""
        return f"mailto:{quote(ascii_form(self.address), safe='@+')}?subject={quote(self.subject)}"

    @property
    def link(self) -> str | None:
        """The page for this message; a POST to it withdraws at once (RFC 8058)."""
        if self.url is None:
            return None
        parts = urlsplit(self.url)
        query = f"{parts.query}&token={self.token}" if parts.query else f"token={self.token}"
        return parts._replace(query=query).geturl()


def token_of(message_id: int, secret: str) -> str:
    """The token of the message with this id, in lower-case letters, digits and ``-``.

    An HMAC-SHA256 cut to 128 bits. It is written in hexadecimal, as mail systems change a word's case.
    """
    return f"u-{message_id:x}-{_signature(message_id, secret)}"


def message_of(token: str, secret: str) -> int | None:
    """The id of the message that the token names; None unless it was signed with this secret."""
    found = _TOKEN.fullmatch(token.lower())
    if found is None:
        return None
    message_id = int(found[1], 16)
    return message_id if hmac.compare_digest(found[2], _signature(message_id, secret)) else None


def subject_of(token: str) -> str:
    """The subject of a mail that asks to stop."""
    return f"unsubscribe {token}"


def tokens_in(subject: str) -> list[str]:
    """What looks like a token in a decoded subject, each once: people answer, forward and add words."""
    return list(dict.fromkeys(found[0] for found in _IN_TEXT.finditer(subject.lower())))


def checked_url(url: str) -> str:
    """`url`, if unsubscribing may happen there: encrypted or on this machine itself, fit for a mail's header.

    Raises ValueError, which does not repeat the URL.
    """
    provisioning.checked_url(url)
    parts = urlsplit(url)
    if not _URL.fullmatch(url) or "@" in parts.netloc or re.search(r"(^|&)token=", parts.query):
        raise ValueError(f"expected https://host/path, at most {_LONGEST} characters, without login, comma or token")
    return url


def _signature(message_id: int, secret: str) -> str:
    told = f"lifecycle unsubscribe {message_id}"
    return hmac.new(secret.encode(), told.encode(), hashlib.sha256).hexdigest()[:32]
