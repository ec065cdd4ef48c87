"""What carries a message out of the house, chosen by a URL."""

from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from lifecycle.delivery.maildir import Maildir
from lifecycle.delivery.smtp import Smtp
from lifecycle.rules.mail_url import Folder, Server, mail_target


class Carrier(Protocol):
    """One way out, for one thread at a time. It opens what it needs with the first message and closes it at the end."""

    @property
    def name(self) -> str:
        """Which server or folder, without any password: the same name, the same place to look for evidence."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def reach(self) -> None:
        """Do what a first message would need, without one. Raises Unreachable."""
        ...

    def send(self, token: str, sender: str, recipient: str, content: bytes) -> str:
        """Hand over `content`, a message with CRLF line ends, and return the receiver's note.

        `token` stands for the message, is the same on every try and safe as a file name. Raises Refused, Deferred,
        Unreachable or InDoubt.
        """
        ...

    def evidence(self, token: str) -> bool | None:
        """Whether the message arrived; None where nobody can know. Raises Unreachable."""
        ...


def open_carrier(url: str) -> Carrier:
    """The carrier for ``maildir:///path``, ``smtp://user:password@host:port[?tls=none]`` or ``smtps://…``.

    Raises ValueError, which does not repeat the password, for anything else.
    """
    match mail_target(url):
        case Folder(path):
            return Maildir(Path(path))
        case Server() as server:
            return Smtp(server)


def mail_folder(name: str) -> Maildir | None:
    """The folder that the carrier of this name writes to; None where it is a server, which hands mails on."""
    kind, _, path = name.partition(":")
    return Maildir(Path(path)) if kind == "maildir" else None
