"""Where answers to our mails arrive: a Maildir or a folder on an IMAP server, chosen by a URL.

Only headers are read. An unsubscription counts by its subject alone: bounces and answers quote our own mail, with
everything by which one can unsubscribe, in their bodies.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from lifecycle.reading.arrived import Arrived
from lifecycle.reading.imap import ImapInbox
from lifecycle.reading.maildir import MaildirInbox
from lifecycle.rules.inbox_url import Mailbox, inbox_source
from lifecycle.rules.mail_url import Folder

MOST = 20_000
"""Mails that one run looks at."""


class Inbox(Protocol):
    """Mails that nobody has dealt with yet, for one thread at a time."""

    skipped: Counter[str]
    """Mails that `mails` did not yield, by reason."""

    def mails(self) -> Iterator[Arrived]:
        """The unseen mails that are there now, the newest first and no more than MOST.

        Those that wait for a person stay unseen and are read in every run: coming last, they cannot keep new ones from
        being read. One that cannot be read is counted in `skipped`. Raises Unreachable.
        """
        ...

    def remove(self, mails: Iterable[str]) -> None:
        """Remove these for good, by `Arrived.id`; to be called when what they ask for is recorded for good.

        They hold the address, and whatever else their senders wrote: with the record that is kept for nothing. One that
        was removed meanwhile is passed over. Raises Unreachable: they are then read again in the next run.
        """
        ...


@contextmanager
def open_inbox(url: str) -> Iterator[Inbox]:
    """The inbox at ``maildir:///path`` or ``imaps://user:password@host:port/folder`` (see `inbox_source`).

    Raises ValueError for any other URL, NoSuchInbox, LoginRefused or Unreachable; none repeats the password.
    """
    match inbox_source(url):
        case Folder(path):
            yield MaildirInbox(Path(path), MOST)
        case Mailbox() as mailbox:
            with ImapInbox(mailbox, MOST) as inbox:
                yield inbox
