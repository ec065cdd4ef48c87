"""A small bar chart for run summaries, as SVG.

It brings its own background: shown as an image, it cannot tell which theme the page around it has.
"""

from collections.abc import Sequence
from datetime import date

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# Pixels: the width of a month and of its bar, the edge, where the longest bar ends and where all stand; the width of a
# letter of the title, which is longer than a few months are wide.
_COLUMN, _BAR, _EDGE, _TOP, _BASE, _LETTER = 38, 24, 16, 84, 190, 9

_PAST, _CURRENT, _AHEAD = "#8a939e", "#b93a12", "#2b6cb0"


def monthly(title: str, per_month: Sequence[tuple[date, int]], current: date) -> str:
    """A number per month as an SVG image, the month of `current` marked. `title` is plain text.

    `per_month` has one pair for each month, in order: the month's first day and the number of what is in it.
    """
    this_month = current.replace(day=1)
    longest = max(count for _, count in per_month)
    bars = [_bar(_EDGE + _COLUMN * at, m, n, longest, this_month) for at, (m, n) in enumerate(per_month)]
    years = [_year(_EDGE + _COLUMN * at, m) for at, (m, _) in enumerate(per_month) if at == 0 or m.month == 1]
    width = 2 * _EDGE + max(_COLUMN * len(per_month), _LETTER * len(title))
    facts = ", ".join(f"{_MONTHS[m.month - 1]} {m.year}: {n}" for m, n in per_month)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="232" viewBox="0 0 {width} 232" role="img" '
        f'aria-labelledby="title facts"><title id="title">{title}</title><desc id="facts">{facts}</desc>'
        f'<rect x=".5" y=".5" width="{width - 1}" height="231" rx="8" fill="#f6f7f9" stroke="#c4cad2"/>'
        '<g font-family="system-ui,sans-serif" font-size="11" text-anchor="middle" fill="#1f2328">'
        f'<text x="{_EDGE}" y="28" font-size="14" font-weight="bold" text-anchor="start">{title}</text>'
        f'{"".join(bars)}<path d="M{_EDGE} {_BASE}.5H{width - _EDGE}" stroke="#59636e"/>{"".join(years)}</g></svg>'
    )


def _bar(left: int, month: date, count: int, longest: int, this_month: date) -> str:
    """One month's column. A bar for any number but 0 is at least two pixels high."""
    middle = left + _COLUMN // 2
    height = max(round((_BASE - _TOP) * count / longest), 2) if count else 0
    colour = _CURRENT if month == this_month else _AHEAD if month > this_month else _PAST
    weight = ' font-weight="bold"' if month == this_month else ""
    return (
        (_mark(left, middle) if month == this_month else "")
        + f'<rect x="{middle - _BAR // 2}" y="{_BASE - height}" width="{_BAR}" height="{height}" fill="{colour}"/>'
        f'<g{weight}><text x="{middle}" y="{_BASE - height - 5}">{_short(count)}</text>'
        f'<text x="{middle}" y="{_BASE + 16}">{_MONTHS[month.month - 1]}</text></g>'
    )


def _mark(left: int, middle: int) -> str:
    return (
        f'<rect x="{left}" y="54" width="{_COLUMN}" height="{_BASE - 54 + 22}" rx="4" fill="#e0e5eb"/>'
        f'<text x="{middle}" y="48" fill="{_CURRENT}" font-weight="bold">current</text>'
    )


def _year(left: int, month: date) -> str:
    return f'<text x="{left + _COLUMN // 2}" y="{_BASE + 31}" fill="#59636e">{month.year}</text>'


def _short(count: int) -> str:
    """``9876``, ``12.3k``, ``1.23M``: at most five characters up to 999 million."""
    if count < 10_000:
        return str(count)
    # From 999,500 on, three digits of thousands would round up to a fourth.
    return f"{count / 1_000:.3g}k" if count < 999_500 else f"{count / 1_000_000:.3g}M"
