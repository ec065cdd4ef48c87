"""Mails handed to SMTP servers: real ones, and ones that misbehave at every step."""

import ssl

import pytest

from lifecycle.delivery import smtp
from lifecycle.delivery.carriers import open_carrier
from lifecycle.delivery.outcomes import Deferred, InDoubt, NotDelivered, Refused, Unreachable
from lifecycle.delivery.smtp import Smtp
from lifecycle.rules.mail_url import Server, mail_target
from tests.smtp import HANG_UP, Certificate, Inbox, asks_for, certificate, mail_server, scripted_server

TOKEN = "0123456789abcdef"
FROM, TO = "from@example.com", "to@example.com"
MAIL = b"Subject: x\r\n\r\nciao\r\n"


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("tls"))


def at(url: str, trust: ssl.SSLContext | None = None) -> Smtp:
    server = mail_target(url)
    assert isinstance(server, Server)
    return Smtp(server, trust)


def clear(port: int) -> Smtp:
    return at(f"smtp://127.0.0.1:{port}?tls=none")


@pytest.mark.parametrize(
    "mail",
    [
        b"Subject: x\r\n\r\n.\r\n..\r\n.dot\r\n\r\n.\r\n",
        b".a line with a dot comes first\r\n",
    ],
)
def test_a_mail_arrives_as_it_was_handed_over(mail: bytes) -> None:
    inbox = Inbox()
    with mail_server(inbox) as port, clear(port) as carrier:
        assert carrier.send(TOKEN, FROM, TO, mail) == "250 2.0.0 taken"
    assert inbox.received == [(FROM, [TO], mail)]


def test_a_last_line_without_an_end_gets_one() -> None:
    inbox = Inbox()
    with mail_server(inbox) as port, clear(port) as carrier:
        carrier.send(TOKEN, FROM, TO, MAIL.removesuffix(b"\r\n"))
    assert inbox.received == [(FROM, [TO], MAIL)]


def test_an_international_domain_is_addressed_in_ascii() -> None:
    inbox = Inbox()
    with mail_server(inbox) as port, clear(port) as carrier:
        carrier.send(TOKEN, FROM, "info@παράδειγμα.gr", MAIL)
    assert inbox.received == [(FROM, ["info@xn--hxajbheg2az3al.gr"], MAIL)]


def test_many_mails_share_one_connection() -> None:
    with scripted_server({}) as server:
        with clear(server.port) as carrier:
            for _ in range(3):
                carrier.send(TOKEN, FROM, TO, MAIL)
        assert server.heard == ["CONNECT", "EHLO", *["MAIL", "RCPT", "DATA", "."] * 3, "QUIT"]


@pytest.mark.parametrize("step", ["RCPT", "DATA"])
@pytest.mark.parametrize(("reply", "outcome"), [("450 4.2.0 later", Deferred), ("550 5.1.1 no such user", Refused)])
def test_a_refused_mail_does_not_hold_up_the_next(step: str, reply: str, outcome: type[NotDelivered]) -> None:
    inbox = Inbox({step: reply})
    with mail_server(inbox) as port, clear(port) as carrier:
        with pytest.raises(outcome) as error:
            carrier.send(TOKEN, FROM, TO, MAIL)
        inbox.answers.clear()
        carrier.send(TOKEN, FROM, TO, MAIL)
    assert error.value.reply == reply
    assert len(inbox.received) == 1


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        ({"CONNECT": "554 no service"}, Unreachable),
        ({"CONNECT": "421 too busy"}, Unreachable),
        ({"CONNECT": HANG_UP}, Unreachable),
        ({"CONNECT": "no mail server"}, Unreachable),
        ({"EHLO": HANG_UP}, Unreachable),
        ({"MAIL": "550 sender not allowed"}, Unreachable),
        ({"MAIL": "451 try later"}, Unreachable),
        ({"MAIL": HANG_UP}, Unreachable),
        ({"RCPT": "451 later"}, Deferred),
        ({"RCPT": "550 unknown"}, Refused),
        ({"RCPT": "530 log in first"}, Unreachable),
        ({"RCPT": "421 going down"}, Unreachable),
        ({"RCPT": HANG_UP}, Unreachable),
        ({"DATA": "451 later"}, Deferred),
        ({"DATA": "554 no valid recipients"}, Refused),
        ({"DATA": "250 what"}, Unreachable),
        ({"DATA": "421 going down"}, Unreachable),
        ({"DATA": HANG_UP}, Unreachable),
        ({".": "452 disk full"}, Deferred),
        ({".": "554 spam"}, Refused),
        ({".": "421 going down"}, Unreachable),
        ({".": HANG_UP}, InDoubt),
        ({".": "what"}, InDoubt),
        ({".": "354 go on"}, InDoubt),
    ],
)
def test_each_failure_says_what_may_be_done_next(script: dict[str, str | None], outcome: type[NotDelivered]) -> None:
    with (
        scripted_server(script) as server,
        clear(server.port) as carrier,
        pytest.raises(NotDelivered) as error,
    ):
        carrier.send(TOKEN, FROM, TO, MAIL)
    assert type(error.value) is outcome


def test_a_connection_lost_in_the_middle_of_a_mail_is_no_doubt() -> None:
    with (
        scripted_server({"BODY": HANG_UP}) as server,
        clear(server.port) as carrier,
        pytest.raises(Unreachable, match="before the message was complete"),
    ):
        carrier.send(TOKEN, FROM, TO, MAIL + bytes(20_000_000))


def test_a_server_that_never_answers_leaves_the_mail_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp, "REPLY_SECONDS", 0.3)
    with scripted_server({".": "250-never ending"}) as server:
        carrier = clear(server.port)
        with pytest.raises(InDoubt):
            carrier.send(TOKEN, FROM, TO, MAIL)


@pytest.mark.parametrize("farewell", ["421 idle for too long", HANG_UP])
def test_a_server_that_hung_up_between_two_mails_is_called_again(farewell: str | None) -> None:
    with scripted_server({"MAIL 2": farewell}, {}) as server, clear(server.port) as carrier:
        for _ in range(3):
            assert carrier.send(TOKEN, FROM, TO, MAIL) == "250 OK"
        assert server.heard.count("CONNECT") == 2


@pytest.mark.parametrize("script", [{"RCPT": "421 going down"}, {".": HANG_UP}, {"RCPT": "550 no", "RSET": HANG_UP}])
def test_after_a_lost_connection_the_next_mail_opens_another(script: dict[str, str | None]) -> None:
    with scripted_server(script, {}) as server, clear(server.port) as carrier:
        with pytest.raises(NotDelivered):
            carrier.send(TOKEN, FROM, TO, MAIL)
        assert carrier.send(TOKEN, FROM, TO, MAIL) == "250 OK"


def test_nobody_listening_is_unreachable() -> None:
    with scripted_server({}) as server:
        port = server.port
    with clear(port) as carrier, pytest.raises(Unreachable, match="cannot connect"):
        carrier.send(TOKEN, FROM, TO, MAIL)


def test_without_starttls_nothing_is_said_in_clear() -> None:
    with scripted_server({}) as server:
        with at(f"smtp://user:secret@127.0.0.1:{server.port}") as carrier, pytest.raises(Unreachable):
            carrier.send(TOKEN, FROM, TO, MAIL)
        assert server.heard == ["CONNECT", "EHLO"]


def test_a_refused_starttls_is_not_taken_for_one() -> None:
    with scripted_server({"EHLO": "250-test\r\n250 STARTTLS", "STARTTLS": "454 not now"}) as server:
        with at(f"smtp://127.0.0.1:{server.port}") as carrier, pytest.raises(Unreachable):
            carrier.send(TOKEN, FROM, TO, MAIL)
        assert server.heard == ["CONNECT", "EHLO", "STARTTLS"]


def test_starttls_with_a_trusted_certificate(tls: Certificate) -> None:
    inbox = Inbox()
    with (
        mail_server(inbox, tls_context=tls.server, require_starttls=True) as port,
        at(f"smtp://localhost:{port}", tls.client) as carrier,
    ):
        carrier.send(TOKEN, FROM, TO, MAIL)
    assert inbox.encrypted == [True]


def test_tls_from_the_start_with_a_trusted_certificate(tls: Certificate) -> None:
    inbox = Inbox()
    with (
        mail_server(inbox, ssl_context=tls.server) as port,
        at(f"smtps://localhost:{port}", tls.client) as carrier,
    ):
        carrier.send(TOKEN, FROM, TO, MAIL)
    assert len(inbox.received) == 1


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"], ids=["nobody vouches for it", "made for another name"])
def test_a_certificate_that_proves_nothing_is_refused(tls: Certificate, host: str) -> None:
    inbox = Inbox()
    trust = tls.client if host == "127.0.0.1" else ssl.create_default_context()
    with (
        mail_server(inbox, tls_context=tls.server) as port,
        at(f"smtp://{host}:{port}", trust) as carrier,
        pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        carrier.send(TOKEN, FROM, TO, MAIL)
    assert inbox.received == []


def test_a_login_with_unusual_characters(tls: Certificate) -> None:
    inbox = Inbox()
    with (
        mail_server(inbox, tls_context=tls.server, **asks_for("us@er", "p:/ss")) as port,
        at(f"smtp://us%40er:p%3A%2Fss@localhost:{port}", tls.client) as carrier,
    ):
        carrier.send(TOKEN, FROM, TO, MAIL)
    assert len(inbox.received) == 1


@pytest.mark.parametrize("login", ["user:wrong@", ""])
def test_a_wrong_or_missing_login_fails_no_mail(tls: Certificate, login: str) -> None:
    with (
        mail_server(Inbox(), tls_context=tls.server, **asks_for("user", "right")) as port,
        at(f"smtp://{login}localhost:{port}", tls.client) as carrier,
        pytest.raises(Unreachable) as error,
    ):
        carrier.send(TOKEN, FROM, TO, MAIL)
    assert error.value.reply.startswith(("535", "530"))


def test_failures_name_nobody() -> None:
    inbox = Inbox({"RCPT": f"550 <{TO}> is unknown"})
    with mail_server(inbox) as port, clear(port) as carrier, pytest.raises(Refused) as error:
        carrier.send(TOKEN, FROM, TO, MAIL)
    assert TO not in str(error.value)
    assert TO in error.value.reply


def test_nobody_can_know_what_a_server_took() -> None:
    assert open_carrier("smtp://mail.example.com").evidence(TOKEN) is None


@pytest.mark.parametrize(
    "url",
    [
        "smtp://",
        "smtp://user:secret@",
        "smtp://user:secret@host:port",
        "smtp://user:secret/@host",
        "smtp://user:secret@host?tls=off",
        "smtps://user:secret@host?tls=none",
        "smtp://user:secret@host/path",
        "smtp://user:secr%C3%A8t@host",
        "imap://user:secret@host",
        "maildir://secret/path",
        "maildir:secret",
    ],
)
def test_a_mail_url_that_cannot_be_understood_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match="expected") as error:
        open_carrier(url)
    assert "secret" not in str(error.value)
