"""Mails as files in a Maildir, which every mail reader on the machine opens.

A message is written to ``tmp`` under a name of its own, forced to disk, and linked into ``new`` under its token. A link
never replaces a file: two deliverers of one message leave one file, and a crash leaves nothing but a file in ``tmp``,
which readers ignore and clean up.
"""

import os
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import TracebackType
from typing import Self

from lifecycle.delivery.outcomes import Unreachable
from lifecycle.rules.addresses import ascii_form


class Maildir:
    """A folder with ``tmp``, ``new`` and ``cur``, made when it is missing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def name(self) -> str:
        return f"maildir:{self._folder}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def reach(self) -> None:
        try:
            self._make()
            with NamedTemporaryFile(dir=self._folder / "tmp"):
                pass
        except OSError as error:
            raise Unreachable(f"cannot write to the mail folder: {error.strerror}") from None

    def send(self, token: str, sender: str, recipient: str, content: bytes) -> str:
        """Write the message unless it is there: the envelope on top and LF line ends, as files in a Maildir have."""
        try:
            if self._holds(token):
                return "already in the folder"
            self._make()
            envelope = f"Return-Path: <{ascii_form(sender)}>\nDelivered-To: {ascii_form(recipient)}\n"
            self._write(token, envelope.encode("ascii") + content.replace(b"\r\n", b"\n"))
        except OSError as error:
            raise Unreachable(f"cannot write to the mail folder: {error.strerror}") from None
        return "written to the folder"

    def evidence(self, token: str) -> bool:
        """Whether the message is in the folder, unread or read. One that its reader deleted counts as not arrived."""
        try:
            return self._holds(token)
        except OSError as error:
            raise Unreachable(f"cannot read the mail folder: {error.strerror}") from None

    def forget(self, tokens: Collection[str]) -> int:
        """Remove these messages, unread, read, or left half written. Returns how many files that were.

        Nobody may be about to send one of them. Raises Unreachable: the others are then still there.
        """
        try:
            # In the order in which files move on: none is missed.
            half = self._remove("tmp", (name for name in self._names("tmp") if name.partition(".")[0] in tokens))
            unread = self._remove("new", tokens)
            read = self._remove("cur", (name for name in self._names("cur") if name.partition(":")[0] in tokens))
        except OSError as error:
            raise Unreachable(f"cannot remove from the mail folder: {error.strerror}") from None
        return half + unread + read

    def _names(self, place: str) -> list[str]:
        try:
            return os.listdir(self._folder / place)  # noqa: PTH208 - a path per mail ever read would take seconds
        except FileNotFoundError:
            return []

    def _remove(self, place: str, names: Iterable[str]) -> int:
        removed = 0
        for name in names:
            with suppress(FileNotFoundError):
                (self._folder / place / name).unlink()
                removed += 1
        if removed:
            self._keep(place)
        return removed

    def _make(self) -> None:
        for folder in ("tmp", "new", "cur"):
            (self._folder / folder).mkdir(parents=True, exist_ok=True)

    def _holds(self, token: str) -> bool:
        """Readers move files from ``new`` to ``cur`` and add flags to the name: asked in that order, none is missed."""
        if (self._folder / "new" / token).exists():
            return True
        return any(name.partition(":")[0] == token for name in self._names("cur"))

    def _write(self, token: str, content: bytes) -> None:
        new = self._folder / "new"
        with NamedTemporaryFile(dir=self._folder / "tmp", prefix=f"{token}.") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            try:
                os.link(file.name, new / token)
            except FileExistsError:  # another deliverer was faster
                return
        self._keep("new")

    def _keep(self, place: str) -> None:
        """Force to disk which files are there."""
        directory = os.open(self._folder / place, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
