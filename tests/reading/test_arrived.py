"""Headers of mails: whatever is in them, they are read into one line each and nothing is raised."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.reading.arrived import arrived


def subject(header: bytes) -> str:
    return arrived("1", header).subject


@pytest.mark.parametrize(
    ("header", "read"),
    [
        (b"Subject: a b\r\n\tc\r\n d\r\n", "a b c d"),
        (b"sUBJECT :x\nSubject: second\n", "x"),
        (b"X-Subject: no\nSubject:\n", ""),
        (b"Subject: \xce\x94\n", "Δ"),
        (b"Subject: caf\xe9 token\n", "caf\N{REPLACEMENT CHARACTER} token"),
        (b"Subject: =?iso-8859-7?Q?=C4=E9?= x\n", "Δι x"),
        (b"Subject: =?UTF-8*el?b?zpTOuQ?=\n", "Δι"),
        (b"Subject: =?utf-8?q?=CE?=\r\n =?utf-8?q?=94?=\n", "Δ"),
        (b"Subject: =?utf-8?q?a_b?==?us-ascii?q?c?= d\n", "a bc d"),
        (b"Subject: =?utf-8?q?with blanks?=\n", "with blanks"),
        (b"Subject: =?x-unknown?q?token=3D1?=\n", "token=1"),
        (b"Subject: =?hex?q?token?= =?utf-7?q?+2AA-?=\n", "token"),
        (b"Subject: =?us-ascii?q?lie=E9?=\n", "lie\N{REPLACEMENT CHARACTER}"),
        (b"Subject: =?utf-8?b?A?= token\n", "A token"),
        (b"Subject: =?utf-8?q?=00=0A?=Bcc: x\n", "Bcc: x"),
        (b"Subject: =?utf-8?x?y?= =?utf-8?q?\n", "=?utf-8?x?y?= =?utf-8?q?"),
        (b"From: x\n\nSubject: of the body\n", ""),
        (b"\nSubject: of the body\n", ""),
    ],
)
def test_subjects_are_decoded_as_far_as_they_can_be(header: bytes, read: str) -> None:
    assert subject(header) == read


@pytest.mark.parametrize(
    "date",
    [
        b"",
        b"yesterday",
        b"31 Feb 2024 10:00",
        b"1 Jan 2024 00:00 +9999999999",
        b"1 Jan 99999999999999999999 0:0 +0",
        b"\x00",
    ],
)
def test_a_date_that_is_none(date: bytes) -> None:
    assert arrived("1", b"Date: " + date).sent_at is None


WORDS = st.builds(
    lambda charset, encoding, text: f"=?{charset}?{encoding}?{text}?=".encode(),
    st.sampled_from(["utf-8", "utf-7", "utf-16", "unicode_escape", "raw-unicode-escape", "idna", "punycode", "cp037"])
    | st.text(max_size=8),
    st.sampled_from("bBqQ"),
    st.text(st.characters(max_codepoint=255), max_size=20),
)
PIECES = st.sampled_from([b"Subject:", b"Date:", b"Message-ID:", b"\r\n", b"\n", b" ", b"\n\n", b"\x00", b"?=", b"=?"])


@given(st.lists(st.binary(max_size=30) | WORDS | PIECES, max_size=12).map(b"".join))
def test_any_bytes_are_read_into_what_a_database_takes(content: bytes) -> None:
    mail = arrived("1", b"Subject:" + content)
    for text in (mail.subject, mail.message_id):
        assert text.isprintable()
        text.encode()


@pytest.mark.parametrize(
    "piece", [b"=?", b"=?a?q?", b"=?a?q?b?=", b"=?a?q?b?= ", b" ", b"\n ", b"?", b"Subject:\n", b"\n"]
)
def test_no_header_takes_long(piece: bytes) -> None:
    started = time.process_time()
    arrived("1", b"Subject: =?a?q?b?=" + piece * (64 * 1024 // len(piece)))
    assert time.process_time() - started < 1
