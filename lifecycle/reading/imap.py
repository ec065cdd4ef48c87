"""An inbox on an IMAP server (RFC 3501), with TLS from the start, STARTTLS, or in clear on this machine.

What was dealt with is removed. Nothing else is changed on the server: headers are fetched with PEEK, and the folder is
never closed, which would remove what somebody marked for removal.
"""

import re
import ssl
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from imaplib import IMAP4, IMAP4_SSL
from itertools import zip_longest
from types import TracebackType
from typing import Any, Self

from lifecycle.reading.arrived import (
    HEADER_BYTES,
    LEFT,
    UNREADABLE,
    Arrived,
    LoginRefused,
    NoSuchInbox,
    Unreachable,
    arrived,
)
from lifecycle.rules.inbox_url import Mailbox

CONNECT_SECONDS = 20
REPLY_SECONDS = 60

SEARCHED = 50_000
"""Mails in a folder that one SEARCH is about: its answer is one line, of which imaplib takes a million bytes."""

FETCHED = 200
"""Mails in one FETCH or STORE: commands have to stay short."""

_HEADER = f"(UID BODY.PEEK[HEADER.FIELDS (SUBJECT MESSAGE-ID DATE)]<0.{HEADER_BYTES}>)"
_UID = re.compile(rb"\bUID ([0-9]+)", re.IGNORECASE)


class ImapInbox:
    """One session with a server, from entering the context to its end."""

    def __init__(self, mailbox: Mailbox, most: int, trust: ssl.SSLContext | None = None) -> None:
        """Certificates are checked against `trust`, by default the authorities that this machine trusts."""
        self._mailbox, self._most, self._trust = mailbox, most, trust or ssl.create_default_context()
        self.skipped: Counter[str] = Counter()

    def __enter__(self) -> Self:
        """Raises Unreachable, LoginRefused or NoSuchInbox."""
        self._connection = self._connect()
        try:
            self._log_in()
            self._size = self._select()
        except BaseException:
            self._hang_up()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            with suppress(IMAP4.error, OSError):
                self._connection.logout()
        self._hang_up()

    def mails(self) -> Iterator[Arrived]:
        unseen = self._unseen()
        self.skipped[LEFT] += len(unseen[self._most :])
        for mails in _portions(unseen[: self._most]):
            headers = self._headers(mails)
            for mail in mails:
                if mail in headers:  # else it was removed meanwhile
                    yield arrived(str(mail), headers[mail])

    def remove(self, mails: Iterable[str]) -> None:
        for portion in _portions(list(map(int, mails))):
            with _able("remove mails"):
                answer, words = self._connection.uid("STORE", _set(portion), "+FLAGS.SILENT", r"(\Deleted)")
                if answer == "OK":
                    answer, words = self._expunge(portion)
            if answer != "OK":
                raise Unreachable("cannot remove mails: the server refuses", _words(words))

    def _expunge(self, mails: list[int]) -> tuple[str, list[Any]]:
        """These alone (UIDPLUS, RFC 4315). Of the few servers that cannot, all that is marked: the folder is ours."""
        if b"UIDPLUS" in self._connection.capability()[1][0].upper().split():
            return self._connection.uid("EXPUNGE", _set(mails))
        return self._connection.expunge()

    def _connect(self) -> IMAP4:
        host, port, security = self._mailbox.host, self._mailbox.port, self._mailbox.security
        with _able("connect"):
            connection = (
                IMAP4_SSL(host, port, ssl_context=self._trust, timeout=CONNECT_SECONDS)
                if security == "tls"
                else IMAP4(host, port, timeout=CONNECT_SECONDS)
            )
        connection.sock.settimeout(REPLY_SECONDS)
        return connection

    def _log_in(self) -> None:
        if self._mailbox.security == "starttls":
            with _able("begin with STARTTLS"):
                self._connection.starttls(self._trust)
        # Not LOGIN: imaplib hands on the user's name as it is, blanks and all, and takes no password beyond ASCII.
        secret = "\0".join(("", *self._mailbox.login)).encode()
        with _able("log in"):
            try:
                self._connection.authenticate("PLAIN", lambda _: secret)
            except IMAP4.abort:
                raise
            except IMAP4.error as error:
                raise LoginRefused("the server refused the login", str(error)) from None

    def _select(self) -> int:
        """Open the folder; returns how many mails are in it."""
        name = self._mailbox.folder
        with _able("open the folder"):
            answer, words = self._connection.select(_quoted(name))
        if answer != "OK":
            raise NoSuchInbox(f"the server has no folder {name!r} that this account may open", _words(words))
        return int(words[0] or 0)

    def _unseen(self) -> list[int]:
        """UIDs, the newest first. Where a mail is removed meanwhile its neighbours change places: a set, not a list."""
        found: set[int] = set()
        newest = "*"
        for last in range(self._size, 0, -SEARCHED):
            oldest = max(1, last - SEARCHED + 1)
            with _able("search"):
                answer, words = self._connection.uid("SEARCH", f"{oldest}:{newest}", "UNSEEN")
            if answer != "OK":
                raise Unreachable("cannot search: the server refuses", _words(words))
            found.update(int(uid) for line in words if line for uid in line.split())
            newest = str(oldest - 1)
        return sorted(found, reverse=True)

    def _headers(self, mails: list[int]) -> dict[int, bytes]:
        with _able("fetch headers"):
            answer, data = self._connection.uid("FETCH", _set(mails), _HEADER)
        if answer == "OK":
            return dict(_fetched(data))
        if len(mails) == 1:
            self.skipped[UNREADABLE] += 1
            return {}
        # A server answers NO to all for one that it cannot read.
        return {mail: header for alone in mails for mail, header in self._headers([alone]).items() if mail == alone}

    def _hang_up(self) -> None:
        with suppress(OSError):
            self._connection.shutdown()


@contextmanager
def _able(what: str) -> Iterator[None]:
    """Raises Unreachable for whatever a connection or a server can do wrong."""
    try:
        yield
    except IMAP4.abort as error:
        raise Unreachable(f"cannot {what}: connection lost", str(error)) from None
    except IMAP4.error as error:
        raise Unreachable(f"cannot {what}: the server refuses", str(error)) from None
    except OSError as error:
        raise Unreachable(f"cannot {what}: {error.strerror or type(error).__name__}") from error
    except ValueError as error:  # imaplib decodes what servers say
        raise Unreachable(f"cannot {what}: no IMAP in the answer ({type(error).__name__})") from None


def _fetched(data: list[Any]) -> Iterator[tuple[int, bytes]]:
    """UIDs and headers from a FETCH's answer: a header is a literal, or "" or NIL where the mail has none of these
    fields; the UID stands before or behind it. Servers put news about other mails in between."""
    for item, following in zip_longest(data, data[1:]):
        before, header = item if isinstance(item, tuple) else (item or b"", b"")
        behind = following if isinstance(following, bytes) else b""
        uid = _UID.search(before + behind)
        if uid and b"BODY[" in before.upper():
            yield int(uid[1]), header


def _portions(mails: list[int]) -> Iterator[list[int]]:
    return (mails[first : first + FETCHED] for first in range(0, len(mails), FETCHED))


def _set(mails: list[int]) -> str:
    return ",".join(map(str, mails))


def _quoted(folder: str) -> str:
    """A folder's name as a command has it: quoted, in modified UTF-7 (RFC 3501, 5.1.3)."""
    name = re.sub(r"[^ -~]+", _shifted, folder.replace("&", "&-"))
    return '"{}"'.format(name.replace("\\", r"\\").replace('"', r"\""))


def _shifted(run: re.Match[str]) -> str:
    return f"&{b64encode(run[0].encode('utf-16-be')).decode().rstrip('=').replace('/', ',')}-"


def _words(data: list[Any]) -> str:
    return b" ".join(line for line in data if isinstance(line, bytes)).decode("utf-8", "replace")
