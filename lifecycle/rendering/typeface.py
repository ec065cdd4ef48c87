"""The typeface of our PDFs: which characters it has, how wide they are, where lines break.

Noto Sans comes with the package (``fonts/``, SIL Open Font License), cut down to the Latin, Greek and Cyrillic scripts,
punctuation and currencies. Its figures all have one width, so that columns of amounts align.

A font in a PDF knows 256 characters. Ours are dealt out to fixed blocks, the first for what Italian and English need,
the second for Greek; a document embeds the blocks that occur in it. A character's block and code never change, so what
was prepared for one document fits the next.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from unicodedata import category, normalize

from reportlab.pdfbase.pdfmetrics import registerFont
from reportlab.pdfbase.ttfonts import TTFont, TTFontFace

_FONTS = Path(__file__).with_name("fonts")

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
ELLIPSIS = "…"
_NONE = "\0"


class Weight(StrEnum):
    """The values are file names."""

    REGULAR = "NotoSans-SemiCondensed"
    BOLD = "NotoSans-SemiCondensedSemiBold"


@cache
def face(weight: Weight) -> TTFontFace:
    """Parsed once in a process, and known to reportlab under the weight's value."""
    font = TTFont(weight.value, _FONTS / f"{weight}.ttf")
    registerFont(font)
    return font.face


_ASCII = [chr(code) for code in range(0x20, 0x7F)]
_SIGNS = [*f"ÀÈÉÌÒÙàèéìòù·«»‘’“”–—×−€{ELLIPSIS}{REPLACEMENT}"]
_GREEK = [chr(code) for code in (*range(0x384, 0x38B), 0x38C, *range(0x38E, 0x3A2), *range(0x3A3, 0x3CF))]
_SIZE = 64
"""Characters of each further block. A name with one rare letter adds some 3 kB to its document."""


@cache
def blocks() -> tuple[tuple[str, ...], ...]:
    """The characters of each block; a character's code is its place there. NUL stands where there is none.

    In the first block the codes of ASCII are ASCII, so that a page's content can be read.
    """
    dealt = {*_SIGNS, *_ASCII, *_GREEK}
    visible = (chr(code) for code in sorted(face(Weight.REGULAR).charToGlyph) if category(chr(code))[0] not in "CZ")
    rest = [character for character in visible if character not in dealt]
    further = [rest[at : at + _SIZE] for at in range(0, len(rest), _SIZE)]
    first = [*_SIGNS, *[_NONE] * (31 - len(_SIGNS)), *_ASCII]
    return tuple((_NONE, *characters) for characters in (first, _GREEK, *further))


@cache
def _places() -> dict[str, tuple[int, str]]:
    """Each character's block, and its code as it stands in a string of the PDF."""
    escaped = {code: f"\\{code:03o}" for code in b"\r\n\\()"}
    return {
        character: (block, escaped.get(code, chr(code)))
        for block, characters in enumerate(blocks())
        for code, character in enumerate(characters)
        if character != _NONE
    }


def shown(text: str) -> tuple[tuple[int, str], ...]:
    """A clean text as runs of one block each: strings of the PDF (ISO 32000-1, 7.3.4.2) without their parentheses."""
    places = _places()
    runs = groupby(map(places.__getitem__, text), key=itemgetter(0))
    return tuple((block, "".join(code for _, code in run)) for block, run in runs)


@lru_cache(maxsize=1 << 14)
def clean(text: str) -> str:
    """`text` on one line and of characters that we have; what we lack becomes the replacement character.

    Letters and accents are joined, blanks of all kinds become one space each, what only controls a display is dropped.
    """
    places, text = _places(), normalize("NFC", text.replace("\xa0", " "))
    if places.keys() >= set(text) and "  " not in text:
        return text.strip()
    kinds = ((character, category(character)) for character in text)
    spaced = " ".join("".join(" " if kind == "Cc" else c for c, kind in kinds if kind != "Cf").split())
    return "".join(c if c in places else REPLACEMENT for c in spaced)


@dataclass(frozen=True, eq=False, slots=True)
class Style:
    """How a text looks. `size` in points, `colour` as PDF operands: red, green, blue, 0 to 1."""

    weight: Weight
    size: float
    colour: str

    def width(self, text: str) -> float:
        """Of a clean text, in points."""
        return _width(text, self.weight) * self.size / 1000

    def scaled(self, factor: float) -> "Style":
        """The same object for the same factor, so that what was prepared for it is found again."""
        return _scaled(self, factor)

    def lines(self, text: str, width: float, most: int) -> tuple[str, ...]:
        """`text` made clean, broken into lines of at most `width` points; words longer than that are broken too.

        The last of `most` lines ends with an ellipsis where more would follow. An empty text has no line.
        """
        return _lines(clean(text), self.weight, width * 1000 / self.size, most)


@lru_cache(maxsize=1 << 10)
def _scaled(style: Style, factor: float) -> Style:
    return Style(style.weight, style.size * factor, style.colour)


def _width(text: str, weight: Weight) -> int:
    return sum(map(widths(weight).__getitem__, text))


@cache
def widths(weight: Weight) -> dict[str, int]:
    """Of every character, in thousandths of the size."""
    of_code = face(weight).charWidths
    return {character: round(of_code[ord(character)]) for character in _places()}


@lru_cache(maxsize=1 << 14)
def _lines(text: str, weight: Weight, width: float, most: int) -> tuple[str, ...]:
    if _width(text, weight) <= width:
        return (text,) if text else ()
    lines: list[str] = []
    rest = text
    while rest and len(lines) < most - 1:
        line = _beginning(rest, weight, width)
        lines.append(line)
        rest = rest[len(line) :].lstrip()
    if _width(rest, weight) > width:
        rest = rest[: _fitting(rest, weight, width - _width(ELLIPSIS, weight))].rstrip() + ELLIPSIS
    return (*lines, rest) if rest else tuple(lines)


def _beginning(text: str, weight: Weight, width: float) -> str:
    """As many words of `text` as fit, else as many characters, at least one."""
    fitting = _fitting(text, weight, width)
    if fitting == len(text):
        return text
    words = text.rfind(" ", 0, fitting + 1)
    return text[:words] if words > 0 else text[: max(fitting, 1)]


def _fitting(text: str, weight: Weight, width: float) -> int:
    of, used = widths(weight), 0
    for at, character in enumerate(text):
        used += of[character]
        if used > width:
            return at
    return len(text)
