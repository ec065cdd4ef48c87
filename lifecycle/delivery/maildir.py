"""Mails as files in a Maildir, which every mail reader on the machine opens.

A message is written to ``tmp`` under a name of its own, forced to disk, and linked into ``new`` under its token. A link
never replaces a file: two deliverers of one message leave one file, and a crash leaves nothing but a file in ``tmp``,
which readers ignore and clean up.
"""

import os
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

    def _make(self) -> None:
        for folder in ("tmp", "new", "cur"):
            (self._folder / folder).mkdir(parents=True, exist_ok=True)

    def _holds(self, token: str) -> bool:
        """Readers move files from ``new`` to ``cur`` and add flags to the name: asked in that order, none is missed."""
        if (self._folder / "new" / token).exists():
            return True
        try:
            read = os.listdir(self._folder / "cur")  # noqa: PTH208 - a path per mail ever read would take seconds
        except FileNotFoundError:
            return False
        return any(name.partition(":")[0] == token for name in read)

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
        directory = os.open(new, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
