"""Billing cards as PDFs, beside a plain reportlab canvas that draws the same."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from decimal import Decimal
from io import BytesIO
from itertools import repeat
from multiprocessing import get_context
from time import perf_counter, process_time
from typing import Any
from unittest.mock import patch

from reportlab.lib.pagesizes import A4
from reportlab.pdfbase.pdfmetrics import registerFont
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from lifecycle.rendering import billing_card
from lifecycle.rendering.paper import HEIGHT, WIDTH, Page
from lifecycle.rendering.typeface import Style, Weight, face
from lifecycle.rules.billing_card import Card, number_of
from lifecycle.rules.languages import LOCALES
from tests.benchmarks.measuring import Figure
from tests.cards import ISSUER, PAYEE, card

LINES, PORTION = 5, 250
_TEMPLATES = [card(LINES, locale) for locale in LOCALES]


def bench(scale: float) -> list[Figure]:
    ours, theirs, processes = max(200, round(10_000 * scale)), max(20, round(500 * scale)), os.cpu_count() or 1
    made = [_card(serial) for serial in range(1, ours + 1)]
    files = [_document(each) for each in made[: 3 * PORTION]]
    for weight in Weight:
        registerFont(TTFont(f"plain {weight}", face(weight).filename))
    plain = [_drawn(each) for each in made[:theirs]]
    sizes, plain_sizes = [len(file) for file in files], [len(_plain(each)) for each in plain]
    rate, plain_rate = _rate(_document, made), _rate(_plain, plain)
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        list(pool.map(_portion, repeat(1, 4 * processes)))
        started = perf_counter()
        list(pool.map(_portion, range(1, processes * ours, PORTION)))
        together = processes * ours / (perf_counter() - started)
    canvas = "plain canvas, same text, no QR code"
    return [
        Figure(f"PDFs of {LINES} lines per CPU second", rate, "cards/s", canvas, plain_rate),
        Figure(f"  in {processes} processes, by the clock", together, "cards/s", "in one, per CPU second", rate),
        Figure("  one file", sum(sizes) / len(sizes) / 1000, "kB", canvas, sum(plain_sizes) / len(plain_sizes) / 1000),
        Figure("  100,000 of them in all processes", 100_000 / together / 60, "min"),
    ]


def _rate(make: Callable[[Any], bytes], of: list[Any]) -> float:
    started = process_time()
    for each in of:
        make(each)
    return len(of) / (process_time() - started)


def _card(serial: int) -> Card:
    """Each with a customer and an amount of its own."""
    template = _TEMPLATES[serial % len(_TEMPLATES)]
    payer = replace(template.payer, code=f"C-{serial}", name=f"{template.payer.name} {serial}")
    return replace(template, number=number_of(2026, serial), payer=payer, paid=Decimal(serial % 30_000) / 100)


def _document(card: Card) -> bytes:
    return billing_card.document(card, PAYEE, ISSUER)


def _portion(start: int) -> None:
    for serial in range(start, start + PORTION):
        _document(_card(serial))


# -- the same with a plain canvas ------------------------------------------------------------------------------------

_Drawing = list[Callable[[Canvas], None]]


class _Recorded(Page):
    """What would be drawn on a page, with its places: the plain canvas need not find them."""

    def __init__(self) -> None:
        super().__init__()
        self.drawing: _Drawing = []

    def text(self, x: float, y: float, text: str, style: Style, width: float = WIDTH) -> None:  # noqa: ARG002 - these texts fit
        def draw(canvas: Canvas) -> None:
            canvas.setFillColorRGB(*map(float, style.colour.split()))
            canvas.setFont(f"plain {style.weight}", style.size)
            canvas.drawString(x, HEIGHT - y, text)

        self.drawing.append(draw)

    def box(self, left: float, top: float, width: float, height: float, colour: str) -> None:
        def draw(canvas: Canvas) -> None:
            canvas.setFillColorRGB(*map(float, colour.split()))
            canvas.rect(left, HEIGHT - top - height, width, height, stroke=0, fill=1)

        self.drawing.append(draw)


def _drawn(card: Card) -> _Drawing:
    pages: list[_Recorded] = []

    def keep(of: Iterable[_Recorded], *_: str) -> bytes:
        pages.extend(of)
        return b""

    with patch.object(billing_card, "Page", _Recorded), patch.object(billing_card, "written", keep):
        _document(card)
    (page,) = pages
    return page.drawing


def _plain(drawing: _Drawing) -> bytes:
    file = BytesIO()
    canvas = Canvas(file, pagesize=A4)
    for draw in drawing:
        draw(canvas)
    canvas.showPage()
    canvas.save()
    return file.getvalue()
