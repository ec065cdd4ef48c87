"""An inbox in a Maildir. What was dealt with is removed; what a mail reader has marked with S (seen) is a person's.

Mails are looked at where they are. Any mail reader may be on the same folder: files may come, go and change their names
at any time, and one that was renamed while we looked at it is read again in the next run.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from lifecycle.reading.arrived import HEADER_BYTES, LEFT, UNREADABLE, Arrived, NoSuchInbox, Unreachable, arrived

_INFO = ":2,"


class MaildirInbox:
    def __init__(self, folder: Path, most: int) -> None:
        """Raises NoSuchInbox: a folder that is made when it is missing would hide a slip of the pen for ever."""
        if not (folder / "new").is_dir() or not (folder / "cur").is_dir():
            raise NoSuchInbox("the mail folder has no new and cur: it is no Maildir, or none that we may open")
        self._folder, self._most = folder, most
        self.skipped: Counter[str] = Counter()

    def mails(self) -> Iterator[Arrived]:
        try:
            waiting = sorted((found for place in ("new", "cur") for found in self._unseen(place)), reverse=True)
        except OSError as error:
            raise Unreachable(f"cannot list the mail folder: {error.strerror}") from None
        self.skipped[LEFT] += len(waiting[self._most :])
        for _, mail in waiting[: self._most]:
            try:
                yield arrived(mail, self._beginning(mail))
            except FileNotFoundError:  # somebody else has read or removed it
                continue
            except OSError:
                self.skipped[UNREADABLE] += 1

    def remove(self, mails: Iterable[str]) -> None:
        try:
            for mail in mails:
                (self._folder / mail).unlink(missing_ok=True)
        except OSError as error:
            raise Unreachable(f"cannot remove a mail: {error.strerror}") from None

    def _unseen(self, place: str) -> Iterator[tuple[int, str]]:
        """When each mail that nobody has seen arrived, and its place."""
        with os.scandir(self._folder / place) as files:
            for file in files:
                seen = place == "cur" and "S" in file.name.partition(_INFO)[2]
                if seen or file.name.startswith(".") or not file.is_file(follow_symlinks=False):
                    continue
                with suppress(FileNotFoundError):
                    yield file.stat(follow_symlinks=False).st_mtime_ns, f"{place}/{file.name}"

    def _beginning(self, mail: str) -> bytes:
        with (self._folder / mail).open("rb", buffering=0) as file:
            return file.read(HEADER_BYTES)
