"""What the provisioning system is told, and how it is signed."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.rules.provisioning import (
    Access,
    AccessChange,
    asked_wait,
    body_of,
    checked_url,
    key_of,
    signed_headers,
)
from tests.receiver import proven

NOW = datetime(2019, 10, 1, 3, 30, tzinfo=UTC)
DAY = timedelta(days=1)

# The vector of the specification's own libraries ("sign function works", libraries/javascript/src/webhook.test.ts in
# standard-webhooks/standard-webhooks; the Python, Go and other tests there hold the same one).
VECTOR_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
VECTOR_ID, VECTOR_BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}'
VECTOR_TIME = datetime.fromtimestamp(1614265330, UTC)
VECTOR_SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_signature_is_that_of_the_specification() -> None:
    headers = signed_headers(key_of(VECTOR_SECRET), VECTOR_ID, VECTOR_BODY, VECTOR_TIME)
    assert headers == {
        "webhook-id": VECTOR_ID,
        "webhook-timestamp": "1614265330",
        "webhook-signature": VECTOR_SIGNATURE,
    }


def test_the_receiver_of_the_tests_reads_the_specification_the_same_way() -> None:
    headers = {"webhook-id": VECTOR_ID, "webhook-timestamp": "1614265330", "webhook-signature": VECTOR_SIGNATURE}
    assert proven(VECTOR_SECRET, headers, VECTOR_BODY, 1614265330)
    assert proven(VECTOR_SECRET, headers, VECTOR_BODY, 1614265330 + 300)
    assert not proven(VECTOR_SECRET, headers, VECTOR_BODY, 1614265330 + 301)
    assert not proven(VECTOR_SECRET, headers, VECTOR_BODY, 1614265330 - 301)
    assert not proven(VECTOR_SECRET, headers, VECTOR_BODY + b" ", 1614265330)
    assert not proven(VECTOR_SECRET, headers | {"webhook-id": "another"}, VECTOR_BODY, 1614265330)
    assert not proven(VECTOR_SECRET, headers | {"webhook-timestamp": "1614265331"}, VECTOR_BODY, 1614265331)


@given(st.binary(min_size=24, max_size=64), st.booleans(), st.booleans())
def test_a_secret_is_read_with_or_without_prefix_and_padding(key: bytes, prefix: bool, padding: bool) -> None:
    text = base64.b64encode(key).decode()
    assert key_of(("whsec_" if prefix else "") + (text if padding else text.rstrip("="))) == key


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "whsec_" + base64.b64encode(bytes(23)).decode(),
        "whsec_" + base64.b64encode(bytes(65)).decode(),
        "whpk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw!",
        "MfKQ9r8GKYqrTwjU PD8ILPZIo2LaLaSw",
        "λfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "A" * 33,
    ],
)
def test_another_secret_is_refused_and_not_repeated(secret: str) -> None:
    with pytest.raises(ValueError, match="expected whsec_ and 24 to 64 random bytes in base64") as error:
        key_of(secret)
    assert error.value.__cause__ is None
    assert len(secret) < 10 or secret not in str(error.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://provisioning.example.com/access",
        "https://user:password@provisioning.example.com:8443/access?key=1",
        "https://10.0.0.1",
        "http://127.0.0.1:8080/access",
        "http://127.1.2.3/",
        "http://[::1]:8080/",
        "http://localhost/",
    ],
)
def test_calls_go_encrypted_or_to_this_machine(url: str) -> None:
    assert checked_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "s3cret",
        "http://s3cret@provisioning.example.com/",
        "http://127.0.0.1.s3cret.example.com/",
        "http://localhost.s3cret.example.com/",
        "http://127.0.0.1@s3cret.example.com/",
        "http://0.0.0.0/s3cret",
        "http://10.0.0.1/s3cret",
        "http://[::2]/s3cret",
        "ftp://127.0.0.1/s3cret",
        "https:///s3cret",
        "https://s3cret:a@",
        "https://example.com:port/s3cret",
        "https://example.com:0/s3cret",
        "https://example..com/s3cret",
        "https://example.com/s3cret#fragment",
        "https://999.1.1.1/s3cret",
        "http://127.1/s3cret",
        "https://exam|ple.com/s3cret",
        "https://[::1]s3cret/",
        "https://[1::2::3]/s3cret",
        "https://example.com/s3 cret",
        "http://127.0.0.1\\@example.com/s3cret",
        "https://example.com/s3cret\r\nx: y",
        "https://[::1/s3cret",
    ],
)
def test_any_other_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match=r"^expected https://") as error:
        checked_url(url)
    assert "s3" not in str(error.value)


def change(recorded_at: datetime = NOW) -> AccessChange:
    return AccessChange(
        access=Access.DISABLED,
        subscription="S-1",
        customer="C-1",
        product="LIC-1",
        business_date=date(2019, 10, 1),
        rule="disabled-6m",
        expires_on=date(2019, 3, 31),
        transition=42,
        recorded_at=recorded_at,
    )


def test_a_change_is_told_in_codes_and_dates() -> None:
    assert json.loads(body_of(change())) == {
        "type": "access.disabled",
        "timestamp": "2019-10-01T03:30:00.000000Z",
        "data": {
            "subscription": "S-1",
            "customer": "C-1",
            "product": "LIC-1",
            "business_date": "2019-10-01",
            "rule": "disabled-6m",
            "expires_on": "2019-03-31",
            "transition": 42,
        },
    }


def test_the_same_change_is_the_same_bytes_wherever_it_is_read() -> None:
    """The database hands instants out in the time zone of the session."""
    elsewhere = NOW.astimezone(timezone(timedelta(hours=2)))
    assert body_of(change(elsewhere)) == body_of(change())
    assert body_of(change()).startswith(b'{"type":"access.disabled","timestamp":"2019-10-01T03:30:00.000000Z","data":{')


@given(st.binary(), st.binary(min_size=24, max_size=64))
def test_each_body_is_signed_as_it_is(body: bytes, key: bytes) -> None:
    headers = signed_headers(key, "t", body, NOW)
    expected = hmac.new(key, b"t.%d." % NOW.timestamp() + body, hashlib.sha256).digest()
    assert base64.b64decode(headers["webhook-signature"].removeprefix("v1,")) == expected


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("0", timedelta(0)),
        ("120", timedelta(seconds=120)),
        ("86400", DAY),
        ("999999999", DAY),  # never longer than our own longest wait
        ("Tue, 01 Oct 2019 03:40:00 GMT", timedelta(minutes=10)),
        ("Tuesday, 01-Oct-19 03:40:00 GMT", timedelta(minutes=10)),
        ("Tue Oct  1 03:40:00 2019", timedelta(minutes=10)),
        ("Tue, 01 Oct 2019 03:00:00 GMT", timedelta(0)),  # past
        ("Fri, 01 Oct 2100 03:00:00 GMT", DAY),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("9" * 5000, None),
    ],
)
def test_the_wait_that_a_receiver_asks_for(header: str, wait: timedelta | None) -> None:
    assert asked_wait(header, NOW) == wait


@given(st.text() | st.from_regex(r"[A-Z][a-z]{2}, \d{1,4} [A-Z][a-z]{2} \d{1,6} \d{1,3}:\d\d:\d\d [-+A-Z0-9]{1,7}"))
def test_no_wish_is_too_strange_to_be_read(header: str) -> None:
    wait = asked_wait(header, NOW)
    assert wait is None or timedelta(0) <= wait <= DAY
