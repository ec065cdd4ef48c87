"""A value is found however it is written, and not where it is not."""

import gzip
import html
import json
import random
from base64 import b64encode
from collections.abc import Callable
from email.message import EmailMessage
from io import BytesIO
from pickle import dumps
from quopri import encodestring
from urllib.parse import quote
from zipfile import ZIP_DEFLATED, ZipFile

import pytest

from deployments.traces import found
from lifecycle.rendering import paper
from lifecycle.rendering.spreadsheet import spreadsheet
from lifecycle.rendering.typeface import Style, Weight
from tests.billing import DAY

MARKER = "71934 Γεωργία Καλλιγά, Aosta"
OTHERS = {"71934 Γεωργία Καλλιγάς", "71935 Γεωργία Καλλιγά, Aosta", "40275"}
"""Values that begin like it, or end like it, or are a part of neither."""
TEXT = f"before, {MARKER}; after " + "and so on " * 20


def zipped(name: str, content: bytes) -> bytes:
    file = BytesIO()
    with ZipFile(file, "w", ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return file.getvalue()


def pdf(text: str, title: str = "") -> bytes:
    page = paper.Page()
    for line, word in enumerate(text.split()):
        page.text(50, 50 + 12 * line, word, Style(Weight.REGULAR, 10, "0 0 0"))
    return paper.document([page], title, "", "el")


def workbook(text: str) -> bytes:
    return spreadsheet("", DAY, "dd/mm/yyyy", [(("sheet", "column"), [(text,)])])


def mail(transfer: str, charset: str = "utf-8", *, subject: str = "", attached: bytes | None = None) -> bytes:
    made = EmailMessage()
    made["Subject"] = subject
    made.set_content("nothing" if subject or attached else TEXT, cte=transfer, charset=charset)
    if attached:
        made.add_attachment(attached, "application", "octet-stream", filename="some.bin")
    return made.as_bytes()


WRITTEN: dict[str, bytes] = {
    "UTF-8": TEXT.encode(),
    "UTF-8, broken into lines": TEXT.replace(" ", "\r\n ").encode(),
    "UTF-16": TEXT.encode("utf-16"),
    "8 bits": TEXT.encode("iso8859-7"),
    "JSON": json.dumps({"text": TEXT}).encode(),
    "JSON in JSON": json.dumps(json.dumps(TEXT)).encode(),
    "JSON, broken into lines": json.dumps(TEXT.replace(" ", "\n")).encode(),
    "HTML": TEXT.encode("ascii", "xmlcharrefreplace"),
    "HTML, hexadecimal": "".join(f"&#x{ord(letter):X};" for letter in TEXT).encode(),
    "HTML, by name": TEXT.replace("Γ", "&Gamma;").replace("ω", "&omega;").encode(),
    "HTML with escaped quotes": html.escape(f'"{TEXT}"').encode(),
    "percent": quote(TEXT).encode(),
    "percent, small letters": quote(TEXT).replace("%CE", "%ce").replace("%AF", "%af").encode(),
    "percent in JSON": json.dumps(quote(TEXT)).encode(),
    "quoted-printable": encodestring(TEXT.encode()),
    "zip": zipped("some.txt", TEXT.encode()),
    "a name in a zip": zipped(f"{MARKER}.txt", b""),
    "zip in zip": zipped("outer.zip", zipped("some.txt", TEXT.encode())),
    "XLSX": workbook(MARKER),
    "gzip": gzip.compress(TEXT.encode()),
    "PDF, word by word": pdf(MARKER),
    "PDF's title": pdf("nothing", MARKER),
    "mail in 8 bits": mail("8bit"),
    "mail in quoted-printable": mail("quoted-printable"),
    "mail in base64": mail("base64"),
    "mail in another charset": mail("quoted-printable", "utf-16-le"),
    "subject": mail("7bit", subject=MARKER),
    "PDF at a mail": mail("7bit", attached=pdf(MARKER)),
    "XLSX at a mail": mail("7bit", attached=workbook(MARKER)),
    "PDF in a dump": b"12\t\\\\x" + pdf(MARKER).hex().encode() + b"\t34\n",
    "text in a dump of bytes": b"\\\\x" + TEXT.encode().hex().encode(),
    "pickle in base64": b'{"result": "' + b64encode(dumps({"text": TEXT})) + b'"}',
    "zip in base64": b'"' + b64encode(zipped("some.txt", TEXT.encode())) + b'"',
}


@pytest.mark.parametrize("way", WRITTEN)
def test_a_value_is_found_however_it_is_written_and_no_other(way: str) -> None:
    assert found({MARKER, *OTHERS}, WRITTEN[way]).keys() == {MARKER}


@pytest.mark.parametrize("shift", range(3))
@pytest.mark.parametrize("folded", [str, lambda code: "\n".join(code[at : at + 7] for at in range(0, len(code), 7))])
def test_a_value_is_found_in_base64_wherever_it_begins(shift: int, folded: Callable[[str], str]) -> None:
    code = b64encode(b"x" * shift + TEXT.encode()).decode()
    # Letters before it, so that nobody can tell where the code begins.
    assert found({MARKER, *OTHERS}, f"id{folded(code)}".encode()).keys() == {MARKER}


@pytest.mark.parametrize("way", WRITTEN)
def test_a_value_is_not_found_where_another_one_stands(way: str) -> None:
    assert found({"71934 Γιώργος", "40275"}, WRITTEN[way]) == {}


def test_a_value_is_found_among_bytes_that_are_anything() -> None:
    noise = random.Random(7).randbytes(50_000)
    assert found({MARKER}, noise) == {}
    assert found({MARKER}, noise + MARKER.encode() + noise) == {MARKER: "UTF-8"}


def test_the_way_to_it_is_told() -> None:
    assert found({MARKER}, WRITTEN["XLSX at a mail"]) == {MARKER: "mail, zip, UTF-8"}
