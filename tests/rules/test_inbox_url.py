"""Where answers arrive: every part of the URL is understood or refused, and its password never shown."""

from pathlib import PurePath

import pytest

from lifecycle.rules.inbox_url import Mailbox, inbox_source
from lifecycle.rules.mail_url import Folder, Security


def test_a_folder_on_this_machine() -> None:
    assert inbox_source("maildir:///var/mail/stop%20it") == Folder(PurePath("/var/mail/stop it"))


@pytest.mark.parametrize(
    ("url", "host", "port", "security", "folder"),
    [
        ("imaps://u:p@mail.example.com", "mail.example.com", 993, "tls", "INBOX"),
        ("imaps://u:p@mail.example.com:1993/", "mail.example.com", 1993, "tls", "INBOX"),
        ("imaps://u:p@mail.example.com/INBOX/Disdette%202", "mail.example.com", 993, "tls", "INBOX/Disdette 2"),
        ("imap://u:p@mail.example.com/%CE%94%CE%B9%CE%B1", "mail.example.com", 143, "starttls", "Δια"),
        ("imap://u:p@localhost?tls=none", "localhost", 143, "none", "INBOX"),
        ("imap://u:p@[::1]:1143/x?tls=none", "::1", 1143, "none", "x"),
    ],
)
def test_a_folder_on_a_server(url: str, host: str, port: int, security: Security, folder: str) -> None:
    assert inbox_source(url) == Mailbox(host, port, security, ("u", "p"), folder)


def test_a_login_can_have_any_character() -> None:
    source = inbox_source("imaps://us%40er:p%3A%2F%C3%A9@mail.example.com")
    assert isinstance(source, Mailbox)
    assert source.login == ("us@er", "p:/é")
    assert "p:/é" not in repr(source)


@pytest.mark.parametrize(
    "url",
    [
        "imaps://",
        "imaps://mail.example.com",
        "imaps://user@mail.example.com",
        "imaps://user:secret@",
        "imaps://user:secret@host:port",
        "imaps://user:secret/@host",
        "imaps://user:secret#@host",
        "imaps://user:secret@host/INBOX#1",
        "imaps://user:secret@host/IN%0D%0ABOX",
        "imaps://us%00er:secret@host",
        "imaps://user:secret%0D%0A@host",
        "imaps://user:secret@παράδειγμα.gr",
        "imaps://user:secret@host?tls=none",
        "imap://user:secret@mail.example.com?tls=none",
        "imap://user:secret@localhost?tls=off",
        "smtp://user:secret@host",
        "maildir://secret/path",
        "maildir:secret",
        "maildir:///secret?x",
    ],
)
def test_what_cannot_be_understood_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match="expected") as error:
        inbox_source(url)
    assert "secret" not in str(error.value)
