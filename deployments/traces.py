"""Looks for values in bytes of any kind, however they are written there: the eyes of ``lifecycle erasure selftest``.

It rather finds too much than too little. White space counts for nothing, so that lines may break anywhere. What is
packed (mails, spreadsheets and other archives, PDFs, columns of bytes in a dump) is unpacked, to any depth.
"""

import gzip
import html
import re
from base64 import b64encode
from binascii import a2b_base64, a2b_hex
from collections.abc import Callable, Collection, Iterable, Iterator
from email import message_from_bytes
from email.message import Message
from email.policy import default
from functools import cache
from io import BytesIO
from zipfile import ZipFile

from pypdf import PdfReader

_CHARSETS = ("utf-16-le", "utf-16-be", "iso8859-1", "iso8859-7")
_WHITE = b" \t\r\n\f\v"

_MAIL = re.compile(rb"(?:[!-9;-~]+:[^\n]*\n(?:[ \t][^\n]*\n)*)+\r?\n")
_HEX = re.compile(rb"\\x((?:[0-9a-f]{2}){4,})")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{80,}={0,2}")
"""Longer than the lines of mails, which are pieces of one."""


def found(markers: Collection[str], content: bytes) -> dict[str, str]:
    """Which of the markers are in `content`, each with the first way by which it is read, such as ``mail, zip, HTML``.

    Markers that begin alike are looked for together, which is many times faster.
    """
    ways: dict[str, str] = {}
    for way, text in _texts(content):
        tight = text.translate(None, _WHITE)
        for writing, stem, needles in _writings(frozenset(markers)):
            place = text if writing in _CHARSETS else tight
            if stem in place:
                for needle, marker in needles.items():
                    if needle in place:
                        ways.setdefault(marker, ", ".join((*way, writing)))
    return ways


@cache
def _writings(markers: frozenset[str]) -> list[tuple[str, bytes, dict[bytes, str]]]:
    """Ways to write the markers that are looked for as they are: the way's name, what all begin with, and each."""
    ways = {"UTF-8": {marker.encode().translate(None, _WHITE): marker for marker in markers}}
    ways |= {charset: {marker.encode(charset, "namereplace"): marker for marker in markers} for charset in _CHARSETS}
    ways |= {f"base64, {shift} bytes in": {_base64(marker, shift): marker for marker in markers} for shift in range(3)}
    return [(way, _stem(needles), needles) for way, needles in ways.items() if needles]


def _stem(needles: Iterable[bytes]) -> bytes:
    first, last = min(needles), max(needles)
    return first[: next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))]


def _base64(marker: str, shift: int) -> bytes:
    """What is the same whatever stands around the marker, of which `shift` bytes are in the same group of three."""
    shifted = bytes(shift) + marker.encode()
    return b64encode(shifted)[-(-8 * shift // 6) : 8 * len(shifted) // 6]


def _texts(content: bytes, *way: str) -> Iterator[tuple[tuple[str, ...], bytes]]:
    """`content` as it is, with what is escaped in it turned into what it stands for, and the same of all it holds."""
    yield way, content
    plain = content
    for escape, sign, unescaped in _ESCAPES:
        if sign in plain:
            plain = unescaped(plain)
            yield (*way, escape), plain
    for kind, inner in _held(content):
        yield from _texts(inner, *way, kind)


def _held(content: bytes) -> Iterator[tuple[str, bytes]]:
    if content.startswith(b"PK\x03\x04"):
        with ZipFile(BytesIO(content)) as archive:
            yield "zip", "\n".join(archive.namelist()).encode()
            yield from (("zip", archive.read(name)) for name in archive.namelist())
    elif content.startswith(b"\x1f\x8b"):
        yield "gzip", gzip.decompress(content)
    elif content.startswith(b"%PDF-"):
        yield "PDF", _pdf(content)
    else:
        if _MAIL.match(content):
            yield from _mail(message_from_bytes(content, policy=default))
        yield from (("hexadecimal", a2b_hex(run)) for run in _HEX.findall(content))
        yield from (("base64", _decoded(run)) for run in _BASE64.findall(content))


def _pdf(content: bytes) -> bytes:
    document = PdfReader(BytesIO(content))
    described = map(str, (document.metadata or {}).values())
    return "\n".join([*described, *(page.extract_text() for page in document.pages)]).encode()


def _mail(mail: Message) -> Iterator[tuple[str, bytes]]:
    for part in mail.walk():
        yield "header", "\n".join(map(str, part.values())).encode(errors="replace")
        packed = part.get_payload(decode=True)
        if isinstance(packed, bytes):
            charset = part.get_content_charset()
            yield "mail", packed.decode(charset, "replace").encode() if charset else packed


def _decoded(run: bytes) -> bytes:
    digits = run.rstrip(b"=")
    whole = digits[: len(digits) - (len(digits) % 4 == 1)]
    return a2b_base64(whole + b"==")


def _json(escaped: re.Match[bytes]) -> bytes:
    if escaped[0][-1:] in b"nrt":
        return b"\n"
    return a2b_hex(re.sub(rb"\\+u", b"", escaped[0])).decode("utf-16-be", "replace").encode()


def _octets(escaped: re.Match[bytes]) -> bytes:
    return a2b_hex(escaped[0].translate(None, b"%=\r\n"))


def _entity(escaped: re.Match[bytes]) -> bytes:
    return html.unescape(escaped[0].decode()).encode(errors="replace")


def _sub(pattern: bytes, plain: Callable[[re.Match[bytes]], bytes]) -> Callable[[bytes], bytes]:
    compiled = re.compile(pattern)
    return lambda content: compiled.sub(plain, content)


_ESCAPES = (
    ("JSON", b"\\", _sub(rb"(?:\\+u[0-9a-fA-F]{4})+|\\+[nrt]", _json)),
    ("percent", b"%", _sub(rb"(?:%[0-9a-fA-F]{2})+", _octets)),
    ("HTML", b"&", _sub(rb"&#?[0-9a-zA-Z]{2,10};", _entity)),
    ("quoted-printable", b"=", _sub(rb"(?:=(?:[0-9A-Fa-f]{2}|\r?\n))+", _octets)),
)
"""By name: what it always has in it, and how to read it. Each is read in what the one before it gave."""
