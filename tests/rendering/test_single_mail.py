"""A mail that an operator writes to one customer."""

from datetime import date

import pytest

from lifecycle.rendering.operator_template import Recipient
from lifecycle.rendering.single_mail import checked, content
from lifecycle.rendering.templates import Issuer
from lifecycle.rules.findings import BadInput
from lifecycle.rules.languages import LOCALES, Locale

ISSUER = Issuer("Lifecycle S.r.l.", "Via Roma 1, 33100 Udine", "IT01234567890")
RECIPIENT = Recipient("O'Brien & Figli <srl>")
BODY = "Dear {{ customer_name }},\r\n\r\nfirst line\r\nsecond <b>line</b>\n \n\nBye\n"


@pytest.mark.parametrize("locale", LOCALES)
def test_blank_lines_part_paragraphs_line_breaks_are_kept_and_nothing_is_markup(locale: Locale) -> None:
    mail = content("About {{ customer_name }}\n", BODY, locale, RECIPIENT, date(2026, 5, 1), ISSUER)
    assert mail.subject == "About O'Brien & Figli <srl>"
    assert mail.text.startswith("Dear O'Brien & Figli <srl>,\n\nfirst line\nsecond <b>line</b>\n \n\nBye\n\n-- \n")
    lines = mail.html.replace(' style="margin:0 0 12px;overflow-wrap:anywhere"', "").splitlines()
    assert [line for line in lines if line.startswith("<p>")] == [
        "<p>Dear O&#39;Brien &amp; Figli &lt;srl&gt;,</p>",
        "<p>first line<br>second &lt;b&gt;line&lt;/b&gt;</p>",
        "<p>Bye</p>",
    ]
    for body in (mail.text, mail.html):
        assert all(fact in body for fact in (ISSUER.name, ISSUER.address, ISSUER.vat_number))


@pytest.mark.parametrize(
    ("subject", "body", "findings"),
    [
        ("Hello", "Dear {{ customer_name }}", []),
        ("", "x", ["subject: is empty"]),
        ("a\nb", "{{ x }}", ["subject: has several lines", "body, line 1: there is no value 'x'"]),
        ("a", " \n", ["body: is empty"]),
        ("", "", ["subject: is empty", "body: is empty"]),
        ("a", "x" * 100_001, ["body: is too long"]),
        ("a", "\ud800", ["body, line 1: has the character U+D800"]),
    ],
)
def test_what_cannot_be_sent_is_found_before(subject: str, body: str, findings: list[str]) -> None:
    assert [str(finding).split(";")[0] for finding in checked(subject, body)] == findings


def test_what_was_not_checked_is_not_sent() -> None:
    with pytest.raises(BadInput, match="a method or function is called"):
        content("a", "{{ today.upper() }}", "it", RECIPIENT, date(2026, 5, 1), ISSUER)
