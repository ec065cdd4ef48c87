"""Where mails go, as one URL: a folder on this machine or a server."""

from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal
from urllib.parse import SplitResult, unquote, urlsplit

_FOLDER = "expected maildir:///path"
_SERVER = "expected smtp://user:password@host:port, with ?tls=none to send in clear, or smtps://user:password@host:port"
_PORTS = {"smtp": 587, "smtps": 465}

Security = Literal["starttls", "tls", "none"]


@dataclass(frozen=True, slots=True)
class Folder:
    """A Maildir."""

    path: PurePath


@dataclass(frozen=True, slots=True)
class Server:
    """An SMTP server, and how to enter it. `login`: user and password."""

    host: str
    port: int
    security: Security
    login: tuple[str, str] | None


def mail_target(url: str) -> Folder | Server:
    """Read ``maildir:///path``, ``smtp://user:password@host:port[?tls=none]`` or ``smtps://…``.

    Ports are 587 and 465 if not given; user and password are percent-encoded ASCII. Raises ValueError, which does not
    repeat the password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # it quotes what can be a piece of the password
        raise ValueError(_SERVER) from None
    match parts.scheme:
        case "maildir":
            return folder(parts)
        case "smtp" | "smtps":
            return _server(parts, port or _PORTS[parts.scheme])
        case scheme:
            raise ValueError(f"{scheme!r} is not a way to send mail; expected maildir, smtp or smtps")


def folder(parts: SplitResult) -> Folder:
    """The Maildir that a split ``maildir:///path`` names. Raises ValueError."""
    if parts.netloc or not parts.path.startswith("/") or parts.query or parts.fragment:
        raise ValueError(_FOLDER)
    return Folder(PurePath(unquote(parts.path)))


def _server(parts: SplitResult, port: int) -> Server:
    if not parts.hostname or parts.path.strip("/") or parts.fragment or not unquote(parts.geturl()).isascii():
        raise ValueError(_SERVER)
    login = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    return Server(parts.hostname, port, _security(parts), login)


def _security(parts: SplitResult) -> Security:
    match parts.scheme, parts.query:
        case "smtp", "":
            return "starttls"
        case "smtp", "tls=none":
            return "none"
        case "smtps", "":
            return "tls"
    raise ValueError(_SERVER)
