"""Tokens that stop mailings: whose they are, that nobody can make them up, and how they travel."""

from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.rules.unsubscribing import Unsubscribing, checked_url, message_of, subject_of, token_of, tokens_in

SECRET = "correct horse battery staple"
TOKEN = token_of(31, SECRET)


@given(st.integers(min_value=1, max_value=2**63 - 1))
def test_a_token_names_its_message_to_whoever_has_the_secret(message_id: int) -> None:
    token = token_of(message_id, SECRET)
    assert message_of(token, SECRET) == message_id == message_of(token.upper(), SECRET)
    assert message_of(token, "another") is None
    assert token == token.lower()
    assert len(token) <= 51


def test_tokens_stay_the_same() -> None:
    """Mails that were sent carry them for years."""
    assert TOKEN == "u-1f-802e1180d3d10801a5afb8773ff8373f"


@pytest.mark.parametrize(
    "token",
    [
        "",
        "u-1f-",
        TOKEN.replace("1f", "20"),
        TOKEN[:-1] + ("0" if TOKEN[-1] != "0" else "1"),
        f"{TOKEN}\n",
        f" {TOKEN}",
        f"{TOKEN}00",
        TOKEN.replace("-", "_"),
        f"u-{'f' * 17}-{TOKEN[-32:]}",
        f"u-١-{TOKEN[-32:]}",
    ],
)
def test_anything_else_names_no_message(token: str) -> None:
    assert message_of(token, SECRET) is None


@pytest.mark.parametrize(
    ("subject", "found"),
    [
        (subject_of(TOKEN), [TOKEN]),
        (f"Re: UNSUBSCRIBE {TOKEN.upper()}", [TOKEN]),
        (f"Fwd: [{TOKEN}] {TOKEN} u-2-{'0' * 32}.", [TOKEN, f"u-2-{'0' * 32}"]),
        (TOKEN, [TOKEN]),
        ("unsubscribe", []),
        (f"x{TOKEN}", []),
        (f"{TOKEN}0", []),
        ("u-" * 5000, []),
    ],
)
def test_tokens_are_found_in_whatever_subject_comes_back(subject: str, found: list[str]) -> None:
    assert tokens_in(subject) == found


@pytest.mark.parametrize(
    ("address", "mailto"),
    [
        ("stop@example.com", "mailto:stop@example.com"),
        ("stop+it@example.com", "mailto:stop+it@example.com"),
        ("a&b?c%d@example.com", "mailto:a%26b%3Fc%25d@example.com"),
        ("stop@παράδειγμα.gr", "mailto:stop@xn--hxajbheg2az3al.gr"),
    ],
)
def test_the_mail_to_write_is_a_link(address: str, mailto: str) -> None:
    assert Unsubscribing(address, TOKEN).mailto == f"{mailto}?subject=unsubscribe%20{TOKEN}"
    assert unquote(Unsubscribing(address, TOKEN).mailto).endswith(f"subject={subject_of(TOKEN)}")


@pytest.mark.parametrize(
    ("url", "link"),
    [
        ("https://example.com/stop", f"https://example.com/stop?token={TOKEN}"),
        ("https://example.com", f"https://example.com?token={TOKEN}"),
        ("https://example.com/stop?list=a%20b&x", f"https://example.com/stop?list=a%20b&x&token={TOKEN}"),
        ("http://127.0.0.1:8080/stop?", f"http://127.0.0.1:8080/stop?token={TOKEN}"),
        ("http://[::1]/", f"http://[::1]/?token={TOKEN}"),
    ],
)
def test_the_page_keeps_its_own_query(url: str, link: str) -> None:
    made = Unsubscribing("stop@example.com", TOKEN, checked_url(url)).link
    assert made == link
    assert dict(parse_qsl(urlsplit(link).query))["token"] == TOKEN


def test_without_a_page_there_is_no_link() -> None:
    assert Unsubscribing("stop@example.com", TOKEN).link is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/stop",
        "http://example.com/stop",
        "ftp://example.com/stop",
        "https://user:secret@example.com/stop",
        "https://example.com/stop#there",
        "https://example.com/a,b",
        "https://example.com/<b>",
        "https://example.com/a b",
        "https://example.com/\r\nBcc: eve@example.com",
        "https://example.com/stop\n",
        "https://example.com/στοπ",
        "https://example.com/?token=mine",
        "https://example.com/?a&token=",
        "https://example.com/" + "a" * 500,
    ],
)
def test_what_could_not_stand_in_a_header_is_no_page(url: str) -> None:
    with pytest.raises(ValueError, match="expected https://host/path") as error:
        checked_url(url)
    assert "example.com" not in str(error.value)
