"""A mail that an operator writes to one customer: a subject and plain text, in which the offered values can be used."""

import re
from dataclasses import dataclass
from datetime import date

from lifecycle.rendering import operator_template
from lifecycle.rendering.operator_template import Recipient
from lifecycle.rendering.templates import Content, Issuer, render
from lifecycle.rules.findings import Finding
from lifecycle.rules.languages import Locale

LONGEST = 100_000
"""Characters."""

_BLANK_LINES = re.compile(r"\n(?:[ \t]*\n)+")


@dataclass(frozen=True, slots=True)
class _Letter:
    """The operator's text whole, and as paragraphs of lines."""

    text: str
    paragraphs: list[list[str]]


def checked(subject: str, body: str) -> list[Finding]:
    """All that keeps the two from being sent, so that nothing of it happens."""
    empty = [] if body.strip() else [Finding("body", "is empty", "the text of the mail")]
    long = [
        Finding(where, "is too long", f"at most {LONGEST} characters")
        for where, text in (("subject", subject), ("body", body))
        if len(text) > LONGEST
    ]
    return long or [
        *operator_template.checked_subject(subject, "subject"),
        *(empty or operator_template.checked(body, "body")),
    ]


def content(subject: str, body: str, locale: Locale, recipient: Recipient, day: date, issuer: Issuer) -> Content:
    """The mail, written on `day`. Blank lines part paragraphs; line breaks are kept; nothing in it is markup.

    Raises BadInput for what `checked` finds fault with.
    """
    values = operator_template.values(recipient, day, locale, issuer)
    text = operator_template.rendered(body, "text", values).strip("\n")
    return render(
        "single",
        locale,
        subject=operator_template.rendered(subject, "text", values).strip(),
        letter=_Letter(text, [paragraph.split("\n") for paragraph in _BLANK_LINES.split(text)]),
        issuer=issuer,
    )
