"""Mails as bytes, read by decoders that share no code with us: a Rust parser and the standard library's old policy."""

import email
from dataclasses import replace
from datetime import UTC, datetime
from email.header import decode_header, make_header
from email.utils import parseaddr

import pytest
from fast_mail_parser import parse_email
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lifecycle.rendering.message import Attachment, Letter, Mailbox, compose, message_id
from lifecycle.rendering.templates import Content
from lifecycle.rules.unsubscribing import Unsubscribing

LETTER = Letter(
    message_id=message_id("reseller-report/R-1/2019-09", "example.com"),
    kind="reseller-report",
    sent_at=datetime(2019, 9, 1, 4, 0, tzinfo=UTC),
    sender=Mailbox("from@example.com", "Lifecycle S.r.l."),
    recipient=Mailbox("to@example.com", "Ηλεκτρονική Α.Ε."),
    reply_to=Mailbox("reply@example.com"),
    content=Content("Licenze", "testo\n", "<p>testo</p>\n"),
    attachment=Attachment("2019-09-R-1.xlsx", "application/octet-stream", b"\x00\xff" * 99),
)
WAYS = Unsubscribing("stop@example.com", "u-1f-0123456789abcdef0123456789abcdef", "https://example.com/stop?list=1")
HEADERS = {
    "From",
    "To",
    "Reply-To",
    "Subject",
    "Date",
    "Message-ID",
    "Auto-Submitted",
    "X-Lifecycle-Kind",
    "MIME-Version",
    "Content-Type",
}

PIECES = st.one_of(
    st.text(max_size=12),
    st.text("αβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώΐΰΑΩ", max_size=40),
    st.text("abcèéìòùàÈ'", max_size=30),
    st.sampled_from(
        [
            "  ",
            " ",
            ",",
            '"',
            "\\",
            "<",
            ">",
            "@",
            "(",
            ")",
            ":",
            ";",
            "=?",
            "?=",
            "=?utf-8?q?=41?=",
            "\r\n",
            "\n",
            "\r",
            "\t",
        ]
    ),
    st.sampled_from(
        ["👩‍👩‍👧‍👦", "e\u0301\u0327", "🎉", "\u2028", "\x85", "\x00", "\r\nBcc: eve@example.com", "x" * 80, " " * 80]
    ),
)
TEXTS = st.lists(PIECES, max_size=8).map("".join)


def shown(text: str) -> str:
    """What a reader must see: the text with each control character as a space."""
    return "".join(" " if ch < " " or "\x7f" <= ch <= "\x9f" or ch in "\u2028\u2029" else ch for ch in text)


def decoded(raw: str) -> str:
    return str(make_header(decode_header(raw)))


@settings(max_examples=500, deadline=None)
@given(subject=TEXTS, name=TEXTS)
@example(subject=" spaces  kept ", name='O\'Brien, "Figli" <srl> \\ ')
@example(subject="=?utf-8?q?not_a_word?=", name="=?x?=")
def test_subjects_and_names_survive_intact_and_add_no_header(subject: str, name: str) -> None:
    content = replace(LETTER.content, subject=subject)
    wire = compose(replace(LETTER, content=content, recipient=Mailbox("to@example.com", name)))
    head = wire.partition(b"\r\n\r\n")[0]
    rust, old = parse_email(wire), email.message_from_bytes(wire)

    assert all(len(line) <= 78 for line in head.split(b"\r\n"))
    assert b"\n" not in head.replace(b"\r\n", b"")
    assert b"\r" not in head.replace(b"\r\n", b"")
    assert set(rust.headers) == set(old.keys()) == HEADERS
    assert len(old.keys()) == len(HEADERS)
    assert rust.subject == decoded(old["Subject"].replace("\r\n", "")) == shown(subject)

    expected = shown(name) if shown(name).strip() else ""
    phrase, address = parseaddr(old["To"].replace("\r\n", ""))
    assert (decoded(phrase), address) == (expected, "to@example.com")
    [to] = rust.to
    assert ((to.display_name or "").strip(), to.address) == (expected.strip(), "to@example.com")  # it trims names


BODIES = st.text(max_size=200) | st.just("=_boundary\n--=_x\n.\nFrom x\n") | st.text("άβγ \n", max_size=200)


@settings(max_examples=300, deadline=None)
@given(text=BODIES, html=BODIES, data=st.binary(max_size=300))
def test_bodies_and_attachment_survive_byte_for_byte(text: str, html: str, data: bytes) -> None:
    attachment = Attachment("a.bin", "application/octet-stream", data)
    parts = list(
        email.message_from_bytes(
            compose(replace(LETTER, content=Content("s", text, html), attachment=attachment))
        ).walk()
    )
    canonical = [part.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n").encode() for part in (text, html)]
    assert [part.get_content_type() for part in parts] == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "text/html",
        "application/octet-stream",
    ]
    assert [part.get_payload(decode=True) for part in parts[2:]] == [*canonical, data]
    assert parts[4].get_filename() == "a.bin"


def test_without_attachment_there_are_only_the_two_texts() -> None:
    mail = parse_email(compose(replace(LETTER, attachment=None)))
    assert (mail.text_plain, mail.text_html, mail.attachments) == (["testo\r\n"], ["<p>testo</p>\r\n"], [])


def test_the_same_letter_gives_the_same_bytes() -> None:
    assert compose(LETTER) == compose(LETTER)


def test_lines_fit_and_are_ended_as_smtp_wants_them() -> None:
    wire = compose(replace(LETTER, attachment=Attachment("a", "a/b", bytes(10_000))))
    assert wire.endswith(b"\r\n")
    assert max(map(len, wire.split(b"\r\n"))) <= 78
    assert wire.isascii()
    assert b"\n" not in wire.replace(b"\r\n", b"")


def test_headers_say_when_who_and_that_a_machine_writes() -> None:
    headers = email.message_from_bytes(compose(LETTER))
    assert headers["Date"] == "Sun, 01 Sep 2019 04:00:00 +0000"
    assert headers["Message-ID"] == LETTER.message_id
    assert headers["Auto-Submitted"] == "auto-generated"
    assert headers["X-Lifecycle-Kind"] == "reseller-report"
    assert headers["Reply-To"] == "reply@example.com"
    assert headers["From"].split() == ['"Lifecycle', 'S.r.l."', "<from@example.com>"]


def test_a_letter_can_name_the_ways_to_unsubscribe() -> None:
    wire = compose(replace(LETTER, unsubscribing=WAYS))
    rust, old = parse_email(wire).headers, email.message_from_bytes(wire)
    expected = (
        "<mailto:stop@example.com?subject=unsubscribe%20u-1f-0123456789abcdef0123456789abcdef>, "
        "<https://example.com/stop?list=1&token=u-1f-0123456789abcdef0123456789abcdef>"
    )
    assert set(rust) == set(old.keys()) == HEADERS | {"List-Unsubscribe", "List-Unsubscribe-Post"}
    assert old["List-Unsubscribe"].replace("\r\n", "") == expected
    assert old["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert (rust["List-Unsubscribe"], rust["List-Unsubscribe-Post"]) == ([expected], ["List-Unsubscribe=One-Click"])


def test_one_click_is_promised_only_where_there_is_a_page() -> None:
    old = email.message_from_bytes(compose(replace(LETTER, unsubscribing=replace(WAYS, url=None))))
    assert old["List-Unsubscribe"] == f"<{WAYS.mailto}>"
    assert "List-Unsubscribe-Post" not in old


def test_links_are_never_folded_and_no_line_is_longer_than_servers_take() -> None:
    longest = Unsubscribing(f"{'a' * 64}@{'b' * 60}.{'c' * 60}.example", WAYS.token, f"https://example.com/{'a' * 480}")
    lines = compose(replace(LETTER, unsubscribing=longest)).split(b"\r\n")
    assert [line[-1:] for line in lines if b"token=" in line or b"mailto:" in line] == [b",", b">"]
    assert max(map(len, lines)) <= 998


def test_message_id_is_the_same_on_every_try_and_tells_nothing() -> None:
    assert (
        message_id("a/C-1", "example.com") == message_id("a/C-1", "example.com") != message_id("a/C-2", "example.com")
    )
    assert "C-1" not in message_id("a/C-1", "example.com")
    assert message_id("k", "παράδειγμα.gr").endswith("@xn--hxajbheg2az3al.gr>")


def test_international_domains_are_written_in_ascii() -> None:
    wire = compose(replace(LETTER, recipient=Mailbox("info@παράδειγμα.gr")))
    assert b"To: info@xn--hxajbheg2az3al.gr\r\n" in wire


@pytest.mark.parametrize(
    "broken",
    [
        replace(LETTER, recipient=Mailbox("to@example.com\r\nBcc: eve@example.com")),
        replace(LETTER, sender=Mailbox("nobody")),
        replace(LETTER, reply_to=Mailbox("<a@example.com>")),
        replace(LETTER, message_id="<a@b>\r\nBcc: eve@example.com"),
        replace(LETTER, kind="a\nb"),
        replace(LETTER, unsubscribing=replace(WAYS, address="stop@example.com>, <mailto:eve@example.com")),
        *(
            replace(LETTER, unsubscribing=replace(WAYS, url=url))
            for url in (
                "https://example.com/\r\nBcc: e",
                "https://example.com/ ",
                "https://a>, <https://b",
                "https://ε",
                "javascript:x",
                "https://a,b",
            )
        ),
        replace(LETTER, attachment=Attachment('a"; x="y', "application/pdf", b"")),
        replace(LETTER, attachment=Attachment("a.pdf", "application/pdf\r\nX: y", b"")),
    ],
)
def test_what_is_no_address_or_token_is_refused_without_quoting_it(broken: Letter) -> None:
    with pytest.raises(ValueError, match=r"is not an e-mail address|does not match") as error:
        compose(broken)
    assert "example.com" not in str(error.value)
