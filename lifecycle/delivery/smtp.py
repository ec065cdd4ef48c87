"""Mails to an SMTP server (RFC 5321), with STARTTLS, TLS from the start, or in clear where the URL says so.

The one question that counts after a failure is whether the server may have taken the message. It cannot have before the
final dot: everything up to there is safe to repeat. Once the kernel has the dot, only the server's reply can tell, and
without one the message is in doubt.
"""

import smtplib
import ssl
from contextlib import suppress
from socket import socket
from types import TracebackType
from typing import NoReturn, Self, cast

from lifecycle.delivery.outcomes import Deferred, InDoubt, Refused, Unreachable
from lifecycle.rules.addresses import ascii_form
from lifecycle.rules.mail_url import Server

CONNECT_SECONDS = 20
REPLY_SECONDS = 60

_DONE, _GO_AHEAD = 2, 3
"""First digits of replies."""

_ABOUT_US = {421, 503, 530, 534, 535, 538}
"""Replies about the connection or our login, whatever was asked (RFC 5321, RFC 4954)."""

_Reply = tuple[int, bytes]


class Smtp:
    """One connection to a mail server, opened with the first message and again after it was lost."""

    def __init__(self, server: Server, trust: ssl.SSLContext | None = None) -> None:
        """Certificates are checked against `trust`, by default the authorities that this machine trusts."""
        self._server, self._trust = server, trust or ssl.create_default_context()
        self._connection: smtplib.SMTP | None = None

    @property
    def name(self) -> str:
        return f"smtp:{self._server.host}:{self._server.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None and kind is None:
            with suppress(OSError):
                self._connection.quit()
        self._close()

    def reach(self) -> None:
        self._connection = self._connection or self._connect()

    def send(self, token: str, sender: str, recipient: str, content: bytes) -> str:  # noqa: ARG002 - the server keeps none
        """Hand over one message and return the server's reply to it."""
        connection = self._begin(ascii_form(sender))
        try:
            self._accepted(connection.docmd("RCPT", f"TO:<{ascii_form(recipient)}>"), _DONE, "the recipient")
            self._accepted(connection.docmd("DATA"), _GO_AHEAD, "DATA")
            connection.send(_stuffed(content))
        except OSError as error:
            self._lost(error, "before the message was complete")
        try:
            code, words = connection.getreply()
        except OSError as error:
            self._close()
            raise InDoubt("no reply after the whole message was handed over") from error
        if code // 100 not in (_DONE, 4, 5):
            self._close()
            raise InDoubt(f"reply {code} after the whole message was handed over", _text((code, words)))
        return self._accepted((code, words), _DONE, "the message")

    def evidence(self, token: str) -> None:
        """Nobody can know: a server does not tell what it took."""

    def _begin(self, sender: str) -> smtplib.SMTP:
        """A connection that has accepted MAIL FROM. Servers hang up on idle connections: then a new one is opened."""
        if self._connection is not None:
            with suppress(Unreachable):
                return self._mail_from(self._connection, sender)
        self._connection = self._connect()
        return self._mail_from(self._connection, sender)

    def _mail_from(self, connection: smtplib.SMTP, sender: str) -> smtplib.SMTP:
        try:
            # smtplib's own mail() and rcpt() parse the address again, which takes as long as the rest of the dialogue.
            reply = connection.docmd("MAIL", f"FROM:<{sender}>")
        except OSError as error:
            self._lost(error, "at MAIL FROM")
        if reply[0] // 100 != _DONE:
            self._close()
            raise Unreachable(f"the server answered {reply[0]} to our sender address", _text(reply))
        return connection

    def _connect(self) -> smtplib.SMTP:
        try:
            connection = (
                smtplib.SMTP_SSL(self._server.host, self._server.port, timeout=CONNECT_SECONDS, context=self._trust)
                if self._server.security == "tls"
                else smtplib.SMTP(self._server.host, self._server.port, timeout=CONNECT_SECONDS)
            )
        except OSError as error:
            raise Unreachable(f"cannot connect to the mail server: {_why(error)}", _reply_of(error)) from error
        try:
            cast(socket, connection.sock).settimeout(REPLY_SECONDS)
            if self._server.security == "starttls":
                connection.starttls(context=self._trust)
            connection.ehlo_or_helo_if_needed()
            if self._server.login:
                connection.login(*self._server.login)
        except OSError as error:
            connection.close()
            raise Unreachable(f"cannot open a session: {_why(error)}", _reply_of(error)) from error
        return connection

    def _accepted(self, reply: _Reply, expected: int, what: str) -> str:
        """The reply's text if it begins with the digit `expected`; raises what it means for the message if not."""
        code, text = reply[0], _text(reply)
        if code // 100 == expected:
            return text
        fact = f"the server answered {code} to {what}"
        if code in _ABOUT_US or code // 100 not in (4, 5):
            self._close()
            raise Unreachable(fact, text)
        self._reset()
        raise (Deferred if code // 100 == 4 else Refused)(fact, text)

    def _reset(self) -> None:
        """Forget the refused message, so that the connection can take the next one."""
        try:
            if self._connection is not None and self._connection.rset()[0] != 250:
                self._close()
        except OSError:
            self._close()

    def _lost(self, error: OSError, when: str) -> NoReturn:
        self._close()
        raise Unreachable(f"connection lost {when}: {_why(error)}") from error

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _stuffed(content: bytes) -> bytes:
    """The message as DATA sends it: a dot before each line that begins with one, and the line with the final dot."""
    stuffed = content.replace(b"\r\n.", b"\r\n..")
    return b"".join(
        (
            b"." if stuffed.startswith(b".") else b"",
            stuffed,
            b"" if stuffed.endswith(b"\r\n") else b"\r\n",
            b".\r\n",
        )
    )


def _text(reply: _Reply) -> str:
    return f"{reply[0]} {reply[1].decode('utf-8', 'replace')}"


def _why(error: OSError) -> str:
    """The kind of failure, without the words of a server in it."""
    return error.strerror or type(error).__name__


def _reply_of(error: OSError) -> str:
    if not isinstance(error, smtplib.SMTPResponseException):
        return ""
    words = error.smtp_error
    return _text((error.smtp_code, words if isinstance(words, bytes) else words.encode()))
