"""Calls to a provisioning system: what each answer means for the call, and what is never said."""

import base64
import logging
import traceback
from datetime import UTC, datetime, timedelta

import pytest

from lifecycle.delivery import provisioning
from lifecycle.delivery.outcomes import Deferred, NotDelivered, Refused, Unreachable
from lifecycle.delivery.provisioning import Webhook, open_provisioning
from tests.receiver import LOST_AFTER, LOST_BEFORE, SECRET, Answer, receiver
from tests.smtp import Certificate, certificate

TOKEN = "0123456789abcdef0123456789abcdef"
BODY = b'{"type":"access.disabled","data":{"subscription":"S-1"}}'


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("tls"))


def now() -> datetime:
    return datetime.now(UTC)


def nowhere() -> str:
    with receiver() as gone:
        return gone.url


def test_a_call_arrives_signed() -> None:
    with receiver() as there, open_provisioning(there.url, SECRET) as system:
        assert system.call(TOKEN, BODY, now()) == "200 ok"
    assert there.applied == {TOKEN: BODY}


def test_a_call_signed_with_another_secret_is_refused() -> None:
    other = base64.b64encode(bytes(32)).decode()
    with receiver() as there, open_provisioning(there.url, other) as system, pytest.raises(Refused) as error:
        system.call(TOKEN, BODY, now())
    assert error.value.reply == "401 not signed by you"
    assert there.applied == {}


@pytest.mark.parametrize("code", [200, 201, 202, 204, 299])
def test_any_2xx_means_done(code: int) -> None:
    with receiver(Answer(code)) as there, open_provisioning(there.url, SECRET) as system:
        assert system.call(TOKEN, BODY, now()) == str(code)


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        *((code, Refused) for code in (300, 301, 304, 308, 400, 401, 403, 404, 409, 410, 413, 422)),
        *((code, Deferred) for code in (408, 425, 429, 500, 501, 502, 503, 504, 599)),
    ],
)
def test_any_other_answer_says_what_may_be_done_next(code: int, outcome: type[NotDelivered]) -> None:
    with (
        receiver(Answer(code)) as there,
        open_provisioning(there.url, SECRET) as system,
        pytest.raises(NotDelivered) as error,
    ):
        system.call(TOKEN, BODY, now())
    assert type(error.value) is outcome
    assert str(error.value) == f"the provisioning system answered {code}"


@pytest.mark.parametrize("lost", [LOST_BEFORE, LOST_AFTER, Answer(503), Answer(500, applied=True)])
def test_a_repeated_call_is_the_same_call_signed_anew(lost: Answer) -> None:
    moment = now()
    with receiver(lost) as there, open_provisioning(there.url, SECRET) as system:
        with pytest.raises(Deferred):
            system.call(TOKEN, BODY, moment)
        assert system.call(TOKEN, BODY, moment + timedelta(seconds=60)) == "200 ok"
    assert list(there.applied) == [TOKEN]
    if lost is not LOST_BEFORE:
        first, second = there.tries
        assert (first.id, first.body) == (second.id, second.body)
        assert int(second.timestamp) - int(first.timestamp) == 60
        assert first.signature != second.signature


def test_a_redirect_is_not_followed() -> None:
    with (
        receiver() as elsewhere,
        receiver(Answer(307, headers={"Location": elsewhere.url})) as there,
        open_provisioning(there.url, SECRET) as system,
        pytest.raises(Refused),
    ):
        system.call(TOKEN, BODY, now())
    assert elsewhere.tries == []


def test_a_receiver_that_takes_too_long_is_tried_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provisioning, "REPLY_SECONDS", 0.2)
    slow = Answer(200, applied=True, delay_seconds=30)
    with (
        receiver(slow) as there,
        open_provisioning(there.url, SECRET) as system,
        pytest.raises(Deferred, match="ReadTimeout"),
    ):
        system.call(TOKEN, BODY, now())


def test_nobody_listening_is_unreachable() -> None:
    with open_provisioning(nowhere(), SECRET) as system:
        with pytest.raises(Unreachable, match="cannot connect"):
            system.call(TOKEN, BODY, now())
        with pytest.raises(Unreachable, match="cannot reach"):
            system.reach()


def test_a_receiver_can_say_when_to_come_back() -> None:
    answers = Answer(429, headers={"Retry-After": "90"}), Answer(503)
    with receiver(*answers) as there, open_provisioning(there.url, SECRET) as system:
        with pytest.raises(Deferred) as asked:
            system.call(TOKEN, BODY, now())
        with pytest.raises(Deferred) as silent:
            system.call(TOKEN, BODY, now())
    assert asked.value.wait == timedelta(seconds=90)
    assert silent.value.wait is None


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (b"x" * 3_000_000, "400 " + "x" * 500),
        ("è".encode() * 600, "400 " + "è" * 500),
        (b" a\0b\xff \r\n", "400 a\ufffdb\ufffd"),
        (b"", "400"),
    ],
)
def test_of_an_answer_the_first_500_characters_are_kept(said: bytes, kept: str) -> None:
    with (
        receiver(Answer(400, said)) as there,
        open_provisioning(there.url, SECRET) as system,
        pytest.raises(Refused) as error,
    ):
        system.call(TOKEN, BODY, now())
    assert error.value.reply == kept


def test_an_answer_that_breaks_off_counts_all_the_same() -> None:
    with (
        receiver(Answer(202, b"tak", {"Content-Length": "5"}, applied=True)) as there,
        open_provisioning(there.url, SECRET) as system,
    ):
        assert system.call(TOKEN, BODY, now()) == "202 tak"
        assert system.call("next", BODY, now()) == "200 ok"


def test_many_calls_share_one_connection() -> None:
    with receiver() as there, open_provisioning(there.url, SECRET) as system:
        system.reach()
        for number in range(3):
            system.call(str(number), BODY, now())
    assert list(there.applied) == ["0", "1", "2"]
    assert there.connections == 1


def test_reaching_a_receiver_calls_nothing() -> None:
    with receiver() as there, open_provisioning(there.url, SECRET) as system:
        system.reach()
    assert there.others == ["OPTIONS"]
    assert there.tries == []


def test_a_proxy_of_the_environment_does_not_see_what_stays_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with receiver() as proxy, receiver() as there:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        with open_provisioning(there.url, SECRET) as system:
            system.call(TOKEN, BODY, now())
    assert (len(there.tries), len(proxy.tries)) == (1, 0)


def test_a_trusted_certificate(tls: Certificate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "localhost")
    with (
        receiver(tls=tls.server) as there,
        Webhook(f"https://localhost:{there.port}/", SECRET, tls.client) as system,
    ):
        assert system.call(TOKEN, BODY, now()) == "200 ok"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"], ids=["nobody vouches for it", "made for another name"])
def test_a_certificate_that_proves_nothing_is_refused(
    tls: Certificate, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", host)
    with (
        receiver(tls=tls.server) as there,
        Webhook(f"https://{host}:{there.port}/", SECRET, tls.client if host == "127.0.0.1" else None) as system,
        pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        system.call(TOKEN, BODY, now())
    assert there.tries == []


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://user:password@example.com/a%20b/access?key=1", "https://example.com:443/a%20b/access"),
        ("https://example.com:8443", "https://example.com:8443/"),
        ("http://[::1]/x", "http://[::1]:80/x"),
    ],
)
def test_a_system_is_known_by_host_port_and_path(url: str, name: str) -> None:
    with open_provisioning(url, SECRET) as system:
        assert system.name == name


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("http://example.com/s3cret", SECRET),
        ("https://example.com/\x7fs3cret", SECRET),
        ("https://example.com/s3cret", None),
        ("https://example.com/s3cret", "whsec_s3cret"),
    ],
)
def test_what_cannot_be_used_is_refused_at_once(url: str, secret: str | None) -> None:
    with pytest.raises(ValueError, match="expected") as error:
        open_provisioning(url, secret)
    assert "s3cret" not in "".join(traceback.format_exception(error.value, limit=0))


def test_without_a_system_changes_are_recorded_only() -> None:
    with open_provisioning(None, None) as system:
        system.reach()
        assert system.name == "recorded"
        assert system.call(TOKEN, BODY, now()) == "recorded only: no provisioning system is configured"


@pytest.mark.parametrize("answer", [Answer(400, BODY), Answer(503, BODY), LOST_AFTER, None], ids=repr)
def test_failures_and_logs_repeat_no_secret_and_no_body(
    answer: Answer | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with receiver(*[answer] if answer else []) as there:
        url = f"http://user:s3cret@127.0.0.1:{there.port}/access?key=s3cret"
        if answer is None:
            url = nowhere().replace("127.0.0.1", "user:s3cret@127.0.0.1")
        with open_provisioning(url, SECRET) as system, pytest.raises(NotDelivered) as error:
            system.call(TOKEN, BODY, now())
    said = "".join(traceback.format_exception(error.value, limit=0)) + caplog.text
    for secret in ("s3cret", SECRET.removeprefix("whsec_"), "S-1"):
        assert secret not in said
