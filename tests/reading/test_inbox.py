"""Mails that arrive: all are read, whatever is in them, and again until they are dealt with."""

import mailbox
import os
import ssl
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

import pytest

from lifecycle.reading import imap, inbox
from lifecycle.reading.arrived import LEFT, UNREADABLE, LoginRefused, NoSuchInbox, Unreachable
from lifecycle.reading.imap import ImapInbox
from lifecycle.reading.inbox import Inbox, open_inbox
from lifecycle.rules.inbox_url import Mailbox, inbox_source
from tests.imap import HANG_UP, PASSWORD, USER, imap_server, logged_in, scripted_server
from tests.smtp import Certificate, certificate

LOGIN = f"{quote(USER)}:{quote(PASSWORD, safe='')}"
NUMBERS = count(1)


class Box(Protocol):
    """An inbox as those see it who write to it."""

    def put(self, *mails: bytes) -> None: ...

    def left(self) -> int:
        """How many mails it holds, all of which a person's mail reader shows as unread."""
        ...

    def remove_all(self) -> None: ...

    def open(self) -> AbstractContextManager[Inbox]: ...


@dataclass
class MaildirBox:
    folder: Path
    arrives: Iterator[int] = field(default_factory=lambda: count(1_700_000_000))

    def put(self, *mails: bytes) -> None:
        for content in mails:
            second = next(self.arrives)
            path = self.folder / "new" / f"{second % 7}.{second}"
            path.write_bytes(content)
            os.utime(path, (second, second))

    def left(self) -> int:
        flags = [mail.get_flags() for mail in mailbox.Maildir(self.folder, create=False)]
        assert not any("S" in each for each in flags)
        return len(flags)

    def remove_all(self) -> None:
        for path in self.folder.glob("*/*"):
            path.unlink()

    def open(self) -> AbstractContextManager[Inbox]:
        return open_inbox(self.folder.as_uri().replace("file:", "maildir:"))


@dataclass
class ImapBox:
    port: int
    folder: str
    modified_utf7: str

    def put(self, *mails: bytes) -> None:
        with logged_in(self.port) as session:
            for content in mails:
                assert session.append(self.modified_utf7, "", "", content)[0] == "OK"

    def left(self) -> int:
        with logged_in(self.port) as session:
            session.select(self.modified_utf7, readonly=True)
            assert session.search(None, "SEEN")[1] == [b""]
            return len(session.search(None, "ALL")[1][0].split())

    def remove_all(self) -> None:
        with logged_in(self.port) as session:
            session.select(self.modified_utf7)
            session.store("1:*", "+FLAGS.SILENT", r"(\Deleted)")
            session.expunge()

    def open(self) -> AbstractContextManager[Inbox]:
        return open_inbox(f"imap://{LOGIN}@127.0.0.1:{self.port}/{quote(self.folder)}?tls=none")


@pytest.fixture(scope="module")
def clear() -> Iterator[int]:
    with imap_server() as port:
        yield port


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Certificate]:
    folder = tmp_path_factory.mktemp("tls")
    return folder, certificate(folder)


@pytest.fixture(params=["maildir", "imap"])
def box(request: pytest.FixtureRequest, tmp_path: Path) -> Box:
    if request.param == "maildir":
        for folder in ("tmp", "new", "cur"):
            (tmp_path / folder).mkdir()
        return MaildirBox(tmp_path)
    number = next(NUMBERS)
    made = ImapBox(
        request.getfixturevalue("clear"),
        f'Διαγραφές & "{number}" \\',
        f'"&A5QDuQOxA7MDwQOxA8YDrQPC- &- \\"{number}\\" \\\\"',
    )
    with logged_in(made.port) as session:
        assert session.create(made.modified_utf7)[0] == "OK"
    return made


def mails(*subjects: str) -> list[bytes]:
    return [f"Subject: {subject}\r\n\r\n".encode() for subject in subjects]


def subjects(box: Box) -> list[str]:
    with box.open() as opened:
        return [mail.subject for mail in opened.mails()]


def remove(box: Box, *wanted: str) -> None:
    with box.open() as opened:
        opened.remove([mail.id for mail in opened.mails() if mail.subject in wanted])


def test_a_mail_is_its_header(box: Box) -> None:
    box.put(
        b"Received: from x\r\n by y\r\nSUBJECT: =?utf-8?Q?Disiscriz?=\r\n =?utf-8?Q?ione?= abc-1_2\r\n"
        b"Message-ID: <1@example.com>\r\nDate: Thu, 29 Feb 2024 23:30:00 -0130\r\n\r\nSubject: of the body\r\n"
    )
    with box.open() as opened:
        [mail] = opened.mails()
        assert opened.skipped.total() == 0
    when = datetime(2024, 3, 1, 1, 0, tzinfo=UTC)
    assert (mail.subject, mail.message_id, mail.sent_at) == ("Disiscrizione abc-1_2", "<1@example.com>", when)


def test_a_mail_is_read_until_it_is_removed_and_its_neighbours_stay_unseen(box: Box) -> None:
    box.put(*mails("a", "b", "c"))
    assert subjects(box) == ["c", "b", "a"]
    assert subjects(box) == ["c", "b", "a"], "a run that was killed before its end"
    assert box.left() == 3
    remove(box, "a", "c")
    assert subjects(box) == ["b"]
    assert box.left() == 1
    remove(box, "b")
    assert subjects(box) == []


def test_two_runs_at_once_do_no_harm(box: Box) -> None:
    box.put(*mails("a", "b"))
    with box.open() as one, box.open() as other:
        first, second = list(one.mails()), list(other.mails())
        one.remove(mail.id for mail in first)
        other.remove(mail.id for mail in second)
    assert len(first) == len(second) == 2
    assert box.left() == 0


def test_mails_that_are_removed_meanwhile_are_passed_over(box: Box) -> None:
    box.put(*mails("a", "b"))
    with box.open() as opened:
        found = opened.mails()
        first = next(found)
        box.remove_all()
        box.put(*mails("c"))
        assert first.subject == "b"
        assert {mail.subject for mail in found} <= {"a"}
        opened.remove([first.id])
    assert subjects(box) == ["c"]
    assert box.left() == 1


def test_one_bad_mail_stops_no_other(box: Box) -> None:
    bad = [
        b"\r\n",
        b"\x00\xff\xfe\r\n\r\n",
        b"no field at all",
        b"Subject: \x00=?nope?b?A?= \xff\xfe\r\nDate: 99 Foo\r\n\r\n",
        b"Subject: " + b"x" * 300_000 + b"\r\n\r\n",
        b"X-Huge: " + b"y" * 300_000 + b"\r\n\r\n",
        b"From: a@example.com\r\n\r\nSubject: good\r\n\r\n",
    ]
    box.put(*mails("good 1"), *bad, *mails("good 2"))
    read = subjects(box)
    assert [subject for subject in read if subject.startswith("good")] == ["good 2", "good 1"]
    assert len(read) == len(bad) + 2
    assert max(map(len, read)) <= 1_000


def test_a_run_ends_however_many_wait_for_a_person_and_reads_the_newest(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "MOST", 3)
    monkeypatch.setattr(imap, "FETCHED", 2)
    monkeypatch.setattr(imap, "SEARCHED", 4)
    box.put(*mails("0", "1", "2", "3", "4"))
    with box.open() as opened:
        assert [mail.subject for mail in opened.mails()] == ["4", "3", "2"]
        assert opened.skipped == {LEFT: 2}
    remove(box, "2", "3", "4")
    assert subjects(box) == ["1", "0"]


@pytest.fixture
def folder(tmp_path: Path) -> MaildirBox:
    for name in ("new", "cur"):
        (tmp_path / name).mkdir()
    return MaildirBox(tmp_path)


def test_mails_that_a_reader_listed_and_nobody_opened_are_read_and_others_left_alone(folder: MaildirBox) -> None:
    for name in ("1.x", "2.x:2,", "3.x:2,FR", "4.x:2,S", "5.x:2,RS"):
        (folder.folder / "cur" / name).write_bytes(b"Subject: x\n\n")
    with folder.open() as opened:
        found = [mail.id for mail in opened.mails()]
        opened.remove(found)
    assert len(found) == 3
    assert sorted(path.name for path in (folder.folder / "cur").iterdir()) == ["4.x:2,S", "5.x:2,RS"]


def test_only_files_are_mails(folder: MaildirBox) -> None:
    new = folder.folder / "new"
    (new / "folder").mkdir()
    (new / ".hidden").write_bytes(b"Subject: hidden\n\n")
    (folder.folder / "elsewhere").write_bytes(b"Subject: elsewhere\n\n")
    (new / "link").symlink_to(folder.folder / "elsewhere")
    os.mkfifo(new / "pipe")
    assert subjects(folder) == []


def test_a_file_that_cannot_be_read_is_counted(folder: MaildirBox) -> None:
    folder.put(*mails("a", "b"))
    with folder.open() as opened:
        found = opened.mails()
        assert next(found).subject == "b"
        [unread] = (folder.folder / "new").glob("*.1700000000")
        unread.unlink()
        unread.mkdir()  # the tests may run as root, who has leave to read any file
        assert list(found) == []
        assert opened.skipped[UNREADABLE] == 1


@pytest.mark.parametrize("missing", ["all", "cur", "new"])
def test_a_folder_that_is_no_maildir_is_not_an_empty_inbox(tmp_path: Path, missing: str) -> None:
    if missing != "all":
        (tmp_path / {"cur": "new", "new": "cur"}[missing]).mkdir()
    with pytest.raises(NoSuchInbox, match="no new and cur"), MaildirBox(tmp_path).open():
        pass
    assert not any(tmp_path.glob("*/*"))


def test_memory_and_time_do_not_grow_with_the_mails(folder: MaildirBox) -> None:
    """2,000 mails of 20 KB, which are 40 MB."""
    folder.put(*(mail + b"x" * 20_000 for mail in mails(*map(str, range(2_000)))))
    tracemalloc.start()
    started = time.monotonic()
    with folder.open() as opened:
        for mail in opened.mails():
            opened.remove([mail.id])
    took, (_, peak) = time.monotonic() - started, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert folder.left() == 0
    assert peak < 5_000_000
    assert took < 20


def entered(url: str, trust: ssl.SSLContext | None = None) -> ImapInbox:
    source = inbox_source(url)
    assert isinstance(source, Mailbox)
    return ImapInbox(source, inbox.MOST, trust)


def scripted(port: int) -> ImapInbox:
    return entered(f"imap://user:s3cret@127.0.0.1:{port}?tls=none")


def test_starttls_with_a_trusted_certificate(tls: tuple[Path, Certificate]) -> None:
    folder, certificate = tls
    with imap_server(folder) as port, entered(f"imap://{LOGIN}@localhost:{port}", certificate.client) as opened:
        assert list(opened.mails()) == []


def test_tls_from_the_start_with_a_trusted_certificate(tls: tuple[Path, Certificate]) -> None:
    certificate = tls[1]
    answers = {"UID SEARCH": "* SEARCH\r\nTAG OK done\r\n"}
    with (
        scripted_server(answers, certificate.server) as port,
        entered(f"imaps://u:p@localhost:{port}", certificate.client) as opened,
    ):
        assert list(opened.mails()) == []


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"], ids=["nobody vouches for it", "made for another name"])
def test_a_certificate_that_proves_nothing_is_refused(tls: tuple[Path, Certificate], host: str) -> None:
    trust = tls[1].client if host == "127.0.0.1" else None
    with (
        scripted_server({}, tls[1].server) as port,
        pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"),
        entered(f"imaps://u:p@{host}:{port}", trust),
    ):
        pass


@pytest.mark.parametrize(
    "answers",
    [
        {"STARTTLS": "TAG NO not now\r\n"},
        {"STARTTLS": "TAG BAD what\r\n"},
        {"CAPABILITY": "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nTAG OK done\r\n"},
        {"CONNECT": "* PREAUTH nobody needs TLS here\r\n"},
        {"STARTTLS": HANG_UP},
    ],
)
def test_no_password_is_sent_in_clear_when_starttls_is_refused(answers: dict[str, str | None]) -> None:
    with (
        scripted_server({**answers, "AUTHENTICATE": "* BYE heard it\r\n"}) as port,
        pytest.raises(Unreachable, match="STARTTLS"),
        entered(f"imap://user:s3cret@127.0.0.1:{port}"),
    ):
        pass


@pytest.mark.parametrize("login", ["nobody:s3cret", f"{quote(USER)}:s3cret"])
def test_a_wrong_login(clear: int, login: str) -> None:
    with pytest.raises(LoginRefused) as error, open_inbox(f"imap://{login}@127.0.0.1:{clear}?tls=none"):
        pass
    assert str(error.value) == "the server refused the login"
    assert "s3cret" not in error.value.reply


def test_a_folder_that_is_missing_is_named_and_not_made(clear: int) -> None:
    for _ in range(2):
        with (
            pytest.raises(NoSuchInbox, match="no folder 'Disdette'"),
            open_inbox(f"imap://{LOGIN}@127.0.0.1:{clear}/Disdette?tls=none"),
        ):
            pass


@pytest.mark.parametrize(
    "answers",
    [
        {"CONNECT": HANG_UP},
        {"CONNECT": "* BYE too busy for user s3cret\r\n"},
        {"CONNECT": "220 smtp.example.com\r\n"},
        {"CAPABILITY": "* CAPABILITY IMAP4rev1 \xe9\r\nTAG OK done\r\n"},
        {"AUTHENTICATE": HANG_UP},
        {"SELECT": HANG_UP},
        {"SELECT": "* 3 EXISTS\r\nTAG OK [READ-ONLY]\r\n"},
        {"UID SEARCH": HANG_UP},
        {"UID SEARCH": "TAG NO s3cret\r\n"},
        {"UID SEARCH": "* SEARCH " + "1 " * 600_000 + "\r\nTAG OK done\r\n"},
        {"UID FETCH": HANG_UP},
        {"UID FETCH": "TAG BAD s3cret\r\n"},
        {"UID FETCH": "* 1 FETCH (UID 9 BODY[HEADER] {1000}\r\nSubj"},
    ],
)
def test_a_server_that_fails_at_any_moment_is_unreachable(
    answers: dict[str, str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imap, "REPLY_SECONDS", 0.3)
    with scripted_server(answers) as port, pytest.raises(Unreachable) as error, scripted(port) as opened:
        list(opened.mails())
    assert "s3cret" not in str(error.value)
    assert error.value.__cause__ is None or "s3cret" not in str(error.value.__cause__)


def test_no_server_at_all() -> None:
    with scripted_server({}) as port:
        pass
    with pytest.raises(Unreachable, match="refused"), scripted(port):
        pass


def test_a_server_that_is_gone_after_the_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    capable = {"CAPABILITY": "* CAPABILITY IMAP4rev1 UIDPLUS AUTH=PLAIN\r\nTAG OK done\r\n"}
    for answer, match in ((HANG_UP, "lost"), ("TAG NO [READ-ONLY]\r\n", "refuses")):
        for script in ({"UID STORE": answer}, {"EXPUNGE": answer}, {"UID EXPUNGE": answer, **capable}):
            with (
                scripted_server(script) as port,
                pytest.raises(Unreachable, match=match),
                scripted(port) as opened,
            ):
                opened.remove(["7"])


def test_headers_are_found_wherever_a_server_puts_them() -> None:
    answer = (
        "* 1 FETCH (UID 7 BODY[HEADER.FIELDS (SUBJECT MESSAGE-ID DATE)]<0> {14}\r\nSubject: 7\r\n\r\n)\r\n"
        "* 9 FETCH (FLAGS (\\Seen))\r\n"
        "* 3 FETCH (body[header.fields (subject)]<0> {14}\r\nSubject: 9\r\n\r\n UID 9)\r\n"
        '* 2 FETCH (UID 8 BODY[HEADER.FIELDS (SUBJECT)]<0> "")\r\n'
        "* 4 EXISTS\r\nTAG OK done\r\n"
    )
    with scripted_server({"UID FETCH": answer}) as port, scripted(port) as opened:
        assert [(mail.id, mail.subject) for mail in opened.mails()] == [("9", "9"), ("8", ""), ("7", "7")]


def test_a_mail_that_a_server_cannot_read_is_counted_and_stops_no_other() -> None:
    header = "* 1 FETCH (UID {0} BODY[HEADER] {{14}}\r\nSubject: {0}\r\n\r\n)\r\n"
    answers = {
        "UID FETCH": f"{header.format(9)}TAG NO [SERVERBUG] mail 8\r\n",
        "UID FETCH 9": f"{header.format(9)}TAG OK done\r\n",
        "UID FETCH 7": f"{header.format(7)}TAG OK done\r\n",
    }
    with scripted_server(answers) as port, scripted(port) as opened:
        assert [mail.subject for mail in opened.mails()] == ["9", "7"]
        assert opened.skipped[UNREADABLE] == 1
