"""A mail that arrived, read from the bytes of its header, and why mails cannot be read.

Anybody can write to us, and anything: every header is read to the end, and what cannot be understood is kept as it
looks. Nothing here raises for a mail.
"""

import re
from binascii import a2b_base64, a2b_qp
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import groupby
from operator import itemgetter

HEADER_BYTES = 64 * 1024
"""How much of a mail is looked at. Headers are some thousand bytes; larger ones are looked at as far as this."""

LONGEST_FIELD = 1_000
"""In characters."""

UNREADABLE = "mails that cannot be read"
LEFT = "mails left for the next run"

_HEADER_END = re.compile(rb"(?:^|\n)\r?\n")
_FIELD = re.compile(rb"^(subject|message-id|date)[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)", re.IGNORECASE | re.MULTILINE)
_WORD = r"=\?([^?\s]+)\?([bBqQ])\?([^?]*)\?="
_ENCODED_WORD = re.compile(_WORD)
_ENCODED_WORDS = re.compile(rf"{_WORD}(?:\s*{_WORD})*")


class NotRead(Exception):
    """The inbox cannot be read, or nothing removed from it.

    The message holds no credentials and no personal data; a server's own words, which can, are in `reply`.
    """

    def __init__(self, fact: str, reply: str = "") -> None:
        super().__init__(fact)
        self.reply = reply


class Unreachable(NotRead):
    """The server or the disk does not work: try it again later."""


class LoginRefused(NotRead):
    """The server does not know this user with this password."""


class NoSuchInbox(NotRead):
    """There is no such folder, or none that we may open."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A mail's header as its sender wrote it: evidence of what was claimed, not of who sent it or when.

    `id` names the mail for the inbox that it came from, as long as that is open. `subject` and `message_id` are one
    line, "" if missing; `sent_at` is None if missing or no date.
    """

    id: str
    subject: str
    message_id: str
    sent_at: datetime | None


def arrived(mail: str, content: bytes) -> Arrived:
    """Read the beginning of a mail, whatever it is. Of a field that is there twice the first one counts."""
    header = _HEADER_END.split(content, maxsplit=1)[0]
    fields: dict[bytes, str] = {}
    for name, value in _FIELD.findall(header):
        fields.setdefault(name.lower(), value.decode("utf-8", "replace"))
    return Arrived(
        mail,
        _line(_ENCODED_WORDS.sub(lambda words: _decoded(words[0]), fields.get(b"subject", ""))),
        _line(fields.get(b"message-id", "")),
        _instant(_line(fields.get(b"date", ""))),
    )


def _decoded(words: str) -> str:
    """Encoded words (RFC 2047) as text. Neighbours are put together before: senders cut characters in two."""
    octets = [
        (charset.partition("*")[0].lower(), _octets(encoding.lower(), text))
        for charset, encoding, text in _ENCODED_WORD.findall(words)
    ]
    return "".join(
        _text(b"".join(piece for _, piece in pieces), charset) for charset, pieces in groupby(octets, itemgetter(0))
    )


def _octets(encoding: str, text: str) -> bytes:
    written = text.encode()
    if encoding == "q":
        return a2b_qp(written, header=True)
    try:
        return a2b_base64(written + b"==")  # the padding that many forget; too much does no harm
    except ValueError:
        return written


def _text(octets: bytes, charset: str) -> str:
    if "escape" not in charset:  # Python's own codecs, which warn about what they decode
        try:
            return octets.decode(charset, "replace")
        except (LookupError, ValueError):
            pass
    return octets.decode("ascii", "replace")


def _line(text: str) -> str:
    """`text` in one line without control characters and halves of surrogate pairs, which no database takes."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())[:LONGEST_FIELD]


def _instant(date: str) -> datetime | None:
    try:
        read = parsedate_to_datetime(date)
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
