"""Where answers to our mails arrive, as one URL: a folder on this machine or on a server."""

from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

from lifecycle.rules.mail_url import Folder, Security, folder

_SERVER = (
    "expected imaps://user:password@host:port/folder, or imap://user:password@host:port/folder, "
    "with ?tls=none to read in clear from this machine"
)
_PORTS = {"imap": 143, "imaps": 993}
_THIS_MACHINE = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A folder on an IMAP server, and how to enter it. `login`: user and password."""

    host: str
    port: int
    security: Security
    login: tuple[str, str] = field(repr=False)
    folder: str


def inbox_source(url: str) -> Folder | Mailbox:
    """Read ``maildir:///path``, ``imaps://user:password@host:port/folder`` or ``imap://…[?tls=none]`` (else STARTTLS).

    Ports are 993 and 143 if not given, the folder is INBOX. User, password and folder are percent-encoded UTF-8; the
    folder's levels are separated as the server does it. Raises ValueError, which does not repeat the password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # it quotes what can be a piece of the password
        raise ValueError(_SERVER) from None
    match parts.scheme:
        case "maildir":
            return folder(parts)
        case "imap" | "imaps":
            return _mailbox(parts, port or _PORTS[parts.scheme])
        case scheme:
            raise ValueError(f"{scheme!r} is not a way to read mail; expected maildir, imap or imaps")


def _mailbox(parts: SplitResult, port: int) -> Mailbox:
    login = unquote(parts.username or ""), unquote(parts.password or "")
    name = unquote(parts.path.strip("/")) or "INBOX"
    if not parts.hostname or not parts.hostname.isascii() or not all(login) or parts.fragment:
        raise ValueError(_SERVER)
    if not "".join((*login, name)).isprintable():
        raise ValueError(_SERVER)
    return Mailbox(parts.hostname, port, _security(parts), login, name)


def _security(parts: SplitResult) -> Security:
    match parts.scheme, parts.query:
        case "imap", "":
            return "starttls"
        case "imap", "tls=none" if parts.hostname in _THIS_MACHINE:
            return "none"
        case "imaps", "":
            return "tls"
    raise ValueError(_SERVER)
