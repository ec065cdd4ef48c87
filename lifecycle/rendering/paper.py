"""Many PDFs of one kind, quickly: what they have in common is written once, each adds its own pages to it.

A PDF costs most where its fonts are cut, compressed and written, and that is the same for every document of a kind. So
reportlab writes a *form* once per process and kind: fonts, catalogue, language, blank pages. A document is that form,
byte for byte, followed by an incremental update (ISO 32000-1, 7.5.6): what stands on each page, the title, and a
cross-reference table of just these, which points back to the form's.

Relied on of reportlab: the fonts of all pages are the dictionary ``BasicFonts`` of its document; each page refers to
its ``/Contents``, page after page; a canvas that begins with a TrueType font embeds nothing on its own; and
`TTFontFace.addSubsetObjects` cuts a face to the characters it is given, each at the place it has in that list.
"""

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from io import BytesIO
from typing import Any

from reportlab.lib.pagesizes import A4
from reportlab.pdfbase import pdfdoc
from reportlab.pdfbase.ttfonts import makeToUnicodeCMap
from reportlab.pdfgen.canvas import Canvas

from lifecycle.rendering.typeface import Style, Weight, blocks, clean, face, shown, widths

WIDTH, HEIGHT = A4

_LEVEL = 3
"""Of compression: the default takes twice the time to make a page of 2.6 kB 250 bytes smaller."""

_Font = tuple[Weight, int]
"""A weight and one of its blocks of characters: a font as the PDF knows it."""


class Page:
    """What stands on one page, an A4 sheet. Points; x from the left, y from the top, a text's y is its baseline."""

    def __init__(self) -> None:
        self.fonts: set[_Font] = set()
        self._operators: list[str] = []

    def text(self, x: float, y: float, text: str, style: Style, width: float = WIDTH) -> None:
        """What is wider than `width` is set smaller. Figures are: they must not be cut short."""
        operators, fonts, actual = _text(text, style)
        if actual > width:
            operators, fonts, _ = _text(text, style.scaled(width / actual))
        self._operators.append(f"BT {x:.2f} {HEIGHT - y:.2f} Td {operators} ET")
        self.fonts |= fonts

    def text_right(self, x: float, y: float, text: str, style: Style, width: float = WIDTH) -> None:
        """It ends at `x`."""
        self.text(x - min(_text(text, style)[2], width), y, text, style, width)

    def rule(self, left: float, right: float, y: float, colour: str, thickness: float) -> None:
        self.box(left, y - thickness / 2, right - left, thickness, colour)

    def box(self, left: float, top: float, width: float, height: float, colour: str) -> None:
        self._operators.append(f"{colour} rg {left:.2f} {HEIGHT - top - height:.2f} {width:.2f} {height:.2f} re f")

    def across(self, text: str, style: Style) -> None:
        """Over the whole page, from the lower left to the upper right."""
        slope = "0.574 0.819 -0.819 0.574"  # 55°, about an A4's diagonal
        operators, fonts, width = _text(text, style)
        start = f"{-width / 2:.2f} {-style.size / 3:.2f}"
        self._operators.append(f"q {slope} {WIDTH / 2:.2f} {HEIGHT / 2:.2f} cm BT {start} Td {operators} ET Q")
        self.fonts |= fonts

    def mask(self, left: float, top: float, side: float, pixels: int, bits: bytes) -> None:
        """A black and white square image of `pixels` times `pixels`, 1 is black, each row from a new byte on."""
        self._operators.append(
            f"q 0 g {side:.2f} 0 0 {side:.2f} {left:.2f} {HEIGHT - top - side:.2f} cm BI /IM true /D [1 0] /BPC 1 "
            f"/W {pixels} /H {pixels} ID {bits.decode('latin-1')}\nEI Q"
        )

    def content(self) -> bytes:
        return "\n".join(self._operators).encode("latin-1")


@lru_cache(maxsize=1 << 14)
def _text(text: str, style: Style) -> tuple[str, frozenset[_Font], float]:
    """The operators that show it, the fonts they use, and how wide it is."""
    text = clean(text)
    runs, weight = shown(text), style.weight
    operators = " ".join(f"/{_name((weight, block))} {style.size:g} Tf ({codes}) Tj" for block, codes in runs)
    return f"{style.colour} rg {operators}", frozenset((weight, block) for block, _ in runs), style.width(text)


def _name(font: _Font) -> str:
    weight, block = font
    return f"{weight.name}{block}"


def document(pages: Sequence[Page], title: str, author: str, language: str) -> bytes:
    """The PDF of these pages. `language` as in RFC 5646; the same pages make the same bytes."""
    form = _form(len(pages), frozenset().union(*(page.fonts for page in pages)), language)
    contents = [zlib.compress(page.content(), _LEVEL) for page in pages]
    objects = {
        number: b"<< /Filter /FlateDecode /Length %d >>\nstream\n%b\nendstream" % (len(content), content)
        for number, content in zip(form.contents, contents, strict=True)
    }
    objects[form.size] = f"<< /Title {_hexadecimal(title)} /Author {_hexadecimal(author)} >>".encode()
    return _updated(form, objects)


def _hexadecimal(text: str) -> str:
    """A text string outside of pages (ISO 32000-1, 7.9.2.2): UTF-16 with its mark."""
    return f"<FEFF{clean(text).encode('utf-16-be').hex()}>"


@dataclass(frozen=True, slots=True)
class _Form:
    """A PDF of blank pages. `contents` are the numbers of what stands on them, `size` is the next free number."""

    data: bytes
    contents: tuple[int, ...]
    size: int
    root: int
    table: int


@lru_cache(maxsize=256)
def _form(pages: int, fonts: frozenset[_Font], language: str) -> _Form:
    written = BytesIO()
    canvas = Canvas(
        written,
        A4,
        pageCompression=1,
        invariant=1,
        lang=language,
        pdfVersion=(1, 7),
        initialFontName=Weight.REGULAR.value,  # type: ignore[arg-type] # its stub says float
    )
    canvas.setViewerPreference("DisplayDocTitle", "true")
    for _ in range(pages):
        canvas.showPage()
    document: Any = canvas._doc  # type: ignore[attr-defined]
    basic = document.idToObject[pdfdoc.BasicFonts].dict
    basic.update((_name(font), _embedded(document, font)) for font in sorted(fonts))
    canvas.save()
    data = written.getvalue()
    return _Form(
        data,
        contents=tuple(map(int, re.findall(rb"/Contents (\d+) 0 R", data))),
        size=_last_number(rb"/Size (\d+)", data),
        root=_last_number(rb"/Root (\d+) 0 R", data),
        table=_last_number(rb"startxref\s+(\d+)", data),
    )


def _last_number(pattern: bytes, data: bytes) -> int:
    return int(re.findall(pattern, data)[-1])


def _embedded(document: Any, font: _Font) -> Any:
    """The font's objects, named alike in every form, with what it takes to search and copy its text."""
    weight, block = font
    name = f"{_tag(font)}+{weight}"
    characters = [ord(character) for character in blocks()[block]]
    to_unicode = pdfdoc.PDFStream(content=makeToUnicodeCMap(name, characters), filters=[pdfdoc.PDFZCompress])
    dictionary: Any = pdfdoc.PDFTrueTypeFont()
    dictionary.Name = _name(font)
    dictionary.BaseFont = name
    dictionary.FirstChar, dictionary.LastChar = 0, len(characters) - 1
    dictionary.Widths = pdfdoc.PDFArray([widths(weight).get(character, 0) for character in blocks()[block]])
    dictionary.ToUnicode = document.Reference(to_unicode, f"ToUnicode {name}")
    dictionary.FontDescriptor = face(weight).addSubsetObjects(document, name, characters)  # type: ignore[no-untyped-call]
    document.Reference(dictionary, name)
    return dictionary


def _tag(font: _Font) -> str:
    """Six letters that tell subsets of one font apart (ISO 32000-1, 9.6.4)."""
    weight, block = font
    return f"LC{weight.name[0]}{block:03}".translate(str.maketrans("0123456789", "ABCDEFGHIJ"))


def _updated(form: _Form, objects: dict[int, bytes]) -> bytes:
    parts, at, offsets = [form.data], len(form.data), []
    for number, body in sorted(objects.items()):
        part = b"%d 0 obj\n%b\nendobj\n" % (number, body)
        offsets.append(b"%d 1\n%010d 00000 n \n" % (number, at))
        parts.append(part)
        at += len(part)
    digest = sha256(b"".join(parts[1:])).hexdigest()[:32]
    trailer = (
        f"trailer\n<< /Size {form.size + 1} /Root {form.root} 0 R /Info {form.size} 0 R /Prev {form.table} "
        f"/ID [<{digest}> <{digest}>] >>\nstartxref\n{at}\n%%EOF\n"
    )
    return b"".join((*parts, b"xref\n", *offsets, trailer.encode()))
