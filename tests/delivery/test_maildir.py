"""Mails as files: written once, whatever is repeated, killed or read in between."""

import mailbox
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lifecycle.delivery.carriers import open_carrier
from lifecycle.delivery.maildir import Maildir
from lifecycle.delivery.outcomes import Unreachable

TOKEN = "0123456789abcdef"
FROM, TO = "from@example.com", "info@παράδειγμα.gr"
MAIL = b"Subject: x\r\n\r\nciao\r\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "posta in arrivo" / "mail"


def send(folder: Path, content: bytes = MAIL) -> str:
    with open_carrier(folder.as_uri().replace("file:", "maildir:")) as carrier:
        return carrier.send(TOKEN, FROM, TO, content)


def evidence(folder: Path) -> bool | None:
    return open_carrier(folder.as_uri().replace("file:", "maildir:")).evidence(TOKEN)


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_mail_is_one_file_with_its_envelope_that_other_readers_understand(folder: Path) -> None:
    assert send(folder) == "written to the folder"
    assert files(folder) == [f"new/{TOKEN}"]
    [mail] = mailbox.Maildir(folder, create=False)
    assert mail["Return-Path"] == "<from@example.com>"
    assert mail["Delivered-To"] == "info@xn--hxajbheg2az3al.gr"
    assert mail["Subject"] == "x"
    assert mail.get_payload() == "ciao\n"


def test_a_mail_is_for_its_owner_only(folder: Path) -> None:
    send(folder)
    assert (folder / "new" / TOKEN).stat().st_mode & 0o077 == 0


def test_a_mail_is_written_once(folder: Path) -> None:
    send(folder)
    assert send(folder, b"Subject: y\r\n\r\n") == "already in the folder"
    assert files(folder) == [f"new/{TOKEN}"]
    assert b"Subject: x\n" in (folder / "new" / TOKEN).read_bytes()


@pytest.mark.parametrize("flags", ["", ":2,", ":2,S", ":2,FRST"])
def test_a_mail_that_was_read_is_not_written_again(folder: Path, flags: str) -> None:
    send(folder)
    (folder / "new" / TOKEN).rename(folder / "cur" / f"{TOKEN}{flags}")
    assert evidence(folder) is True
    send(folder)
    assert files(folder) == [f"cur/{TOKEN}{flags}"]


def test_there_is_evidence_of_what_was_written_and_of_nothing_else(folder: Path) -> None:
    assert evidence(folder) is False
    send(folder)
    assert evidence(folder) is True
    (folder / "new" / TOKEN).rename(folder / "new" / f"{TOKEN}0")
    assert evidence(folder) is False


def test_what_a_crash_left_behind_does_no_harm(folder: Path) -> None:
    (folder / "tmp").mkdir(parents=True)
    (folder / "tmp" / TOKEN).write_bytes(b"Subj")
    (folder / "tmp" / f"{TOKEN}.abc").write_bytes(b"Subj")
    assert evidence(folder) is False
    send(folder)
    assert f"new/{TOKEN}" in files(folder)


def test_two_deliverers_of_one_mail_leave_one_file(folder: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        notes = list(pool.map(lambda _: send(folder), range(40)))
    assert files(folder) == [f"new/{TOKEN}"]
    assert len(notes) == 40


@pytest.mark.parametrize("place", ["file", "folder without leave"])
def test_a_folder_that_cannot_be_written_fails_no_mail(folder: Path, place: str) -> None:
    folder.parent.mkdir(parents=True)
    if place == "file":
        folder.write_bytes(b"")
    else:
        folder.symlink_to("/proc/nowhere")
    with pytest.raises(Unreachable) as error:
        send(folder)
    assert str(folder) not in str(error.value)
    assert os.fspath(folder.parent) not in str(error.value)


def test_what_is_forgotten_is_gone_unread_read_or_half_written_and_its_neighbours_stay(folder: Path) -> None:
    maildir = Maildir(folder)
    tokens = [f"{number:032x}" for number in range(5)]
    for token in tokens:
        maildir.send(token, FROM, TO, MAIL)
    for token in tokens[1:3]:
        (folder / "new" / token).rename(folder / "cur" / f"{token}:2,RS")
    (folder / "tmp" / f"{tokens[3]}.draft").write_bytes(MAIL)
    (folder / "tmp" / f"{tokens[4]}.draft").write_bytes(MAIL)
    assert maildir.forget({tokens[0], tokens[1], tokens[3], "of none"}) == 4
    assert files(folder) == [f"cur/{tokens[2]}:2,RS", f"new/{tokens[4]}", f"tmp/{tokens[4]}.draft"]
    assert maildir.forget({tokens[0], tokens[1]}) == 0


def test_in_a_folder_that_is_not_there_nothing_has_to_be_forgotten(folder: Path) -> None:
    assert Maildir(folder).forget({TOKEN}) == 0
    assert not folder.exists()
