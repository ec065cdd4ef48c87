"""The chart of expiries: what it says, and that a browser needs nothing else to show it."""

from collections.abc import Sequence
from datetime import date
from xml.etree import ElementTree

import pytest

from lifecycle.rendering.chart import monthly
from lifecycle.rules.calendar import add_months

SVG = "{http://www.w3.org/2000/svg}"
TITLE = "Expiries per month"
CURRENT = date(2019, 9, 15)
MONTHS = [add_months(date(2019, 9, 1), months) for months in range(-12, 7)]


def drawn(counts: Sequence[int]) -> ElementTree.Element:
    return ElementTree.fromstring(monthly(TITLE, list(zip(MONTHS, counts, strict=True)), CURRENT))


def words(chart: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in chart.iter(f"{SVG}text")]


def heights(chart: ElementTree.Element) -> list[int]:
    return [int(bar.get("height", "")) for bar in chart.iter(f"{SVG}rect") if bar.get("width") == "24"]


def test_each_month_has_its_name_and_its_number() -> None:
    shown = words(drawn(range(100, 119)))
    assert [word for word in shown if word.isdigit() and len(word) == 3] == [str(n) for n in range(100, 119)]
    names = " ".join(word for word in shown if word.isalpha() and len(word) == 3)
    assert names == "Sep Oct Nov Dec Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec Jan Feb Mar"
    assert shown[-3:] == ["2018", "2019", "2020"]


def test_the_current_month_is_marked_in_words_and_weight() -> None:
    chart = drawn(range(100, 119))
    assert words(chart).count("current") == 1
    bold = [list(group.itertext()) for group in chart.iter(f"{SVG}g") if group.get("font-weight") == "bold"]
    assert bold == [["112", "Sep"]]


def test_bars_are_as_high_as_their_numbers_and_few_are_not_none() -> None:
    assert heights(drawn([1_000_000, 500_000, 1, 0, *[0] * 15])) == [106, 53, 2, 0, *[0] * 15]


@pytest.mark.parametrize("counts", [[0] * 19, [*[0] * 12, 1, *[0] * 6]], ids=["none", "one"])
def test_months_without_expiries_are_shown_as_0(counts: list[int]) -> None:
    chart = drawn(counts)
    assert words(chart).count("0") == counts.count(0)
    assert heights(chart) == [106 * count for count in counts]


@pytest.mark.parametrize(
    ("count", "short"),
    [
        (9_999, "9999"),
        (10_000, "10k"),
        (12_345, "12.3k"),
        (99_950, "100k"),
        (999_499, "999k"),
        (999_500, "1M"),
        (1_000_000, "1M"),
        (1_234_567, "1.23M"),
    ],
)
def test_large_numbers_are_shortened(count: int, short: str) -> None:
    assert short in words(drawn([count, *[0] * 18]))


def test_the_chart_is_small_and_tells_its_figures_to_screen_readers() -> None:
    svg = monthly(TITLE, [(month, 1_000_000) for month in MONTHS], CURRENT)
    assert len(svg.encode()) < 8_000
    assert '<title id="title">Expiries per month</title><desc id="facts">Sep 2018: 1000000, Oct 2018: ' in svg


def test_the_chart_needs_nothing_from_outside() -> None:
    svg = monthly(TITLE, [(month, 1) for month in MONTHS], CURRENT).replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not any(sign in svg for sign in ("http", "href", "url(", "<script", "<style", "<image"))


def test_a_title_that_is_longer_than_its_months_is_not_cut_off() -> None:
    widths = [
        int(ElementTree.fromstring(monthly(title, [(CURRENT.replace(day=1), 1)], CURRENT)).get("width", ""))
        for title in ("Few", TITLE)
    ]
    assert widths == [70, 2 * 16 + 9 * len(TITLE)]
