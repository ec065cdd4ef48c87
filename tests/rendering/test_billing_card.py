"""Billing cards as people get them: the PDF in three languages, read back by other programs."""

import re
import subprocess
from collections.abc import Callable
from dataclasses import fields, replace
from decimal import Decimal
from io import BytesIO
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import html
from pypdf import PdfReader

from lifecycle.rendering.billing_card import attachment_name, document
from lifecycle.rendering.locales import money, percentage, short_day
from lifecycle.rendering.templates import Issuer
from lifecycle.rules.billing_card import Card, Payee, Payer, RateTotal, print_form
from lifecycle.rules.languages import LOCALES, Locale
from lifecycle.rules.money import NOTHING
from tests.cards import ISSUER, PAYEE, card


def opened(card: Card, payee: Payee = PAYEE, issuer: Issuer = ISSUER) -> PdfReader:
    return PdfReader(BytesIO(document(card, payee, issuer)))


def pages(card: Card) -> list[str]:
    return [page.extract_text() for page in opened(card).pages]


def text(card: Card) -> str:
    return "\n".join(pages(card))


def amount(value: Decimal, card: Card) -> str:
    """As it is drawn: with a space that a search finds."""
    return money(value, card.currency, card.locale).replace("\xa0", " ")


@pytest.mark.parametrize(
    ("locale", "phrases"),
    [
        (
            "it",
            [
                "Scheda di addebito",
                "Data di emissione 31 marzo 2026",
                "Da pagare entro il 30 aprile 2026",
                "Questo non è un documento fiscale.",
                "La fattura sarà emessa dall’Amministrazione dopo il pagamento.",
                "Imponibile 322,79 €",
                "IVA 22% su 204,80 € 45,06 €",
                "Importo da pagare 394,17 €",
                "D'Alò & Figli S.n.c.\nCorso Vittorio Emanuele II 118\n10121 Torino\nItalia\n",
                "P. IVA / C.F. IT09876543210",
                "sito-0.example\nWeb hosting Pro\n30 apr 2026 1 mag 2026\nal 30 apr 2027\n1 120,00 € 22% 120,00 €",
                "Pagina 1 di 1",
            ],
        ),
        (
            "el",
            [
                "Καρτέλα Χρέωσης",
                "Ημερομηνία έκδοσης 31 Μαρτίου 2026",
                "Πληρωτέο έως 30 Απριλίου 2026",
                "Το παρόν δεν αποτελεί φορολογικό παραστατικό.",
                "Το τιμολόγιο εκδίδεται από το Λογιστήριο μετά την πληρωμή.",
                "Καθαρή αξία 322,79 €",
                "ΦΠΑ 22% επί 204,80 € 45,06 €",
                "Ποσό πληρωμής 394,17 €",
                "Ανθοπωλείο Παπαδόπουλος & Υιοί\nΛεωφ. Κηφισίας 12\n115 23 Αθήνα\nΕλλάδα\nΑΦΜ EL123456783",
                "sito-0.example\nWeb hosting Pro\n30 Απρ 2026 1 Μαΐ 2026\nέως 30 Απρ 2027\n1 120,00 € 22% 120,00 €",
                "Σελίδα 1 από 1",
            ],
        ),
        (
            "en",
            [
                "Billing card",
                "Date of issue 31 March 2026",
                "Payable by 30 April 2026",
                "This is not a tax document.",
                "The invoice follows from Accounting after payment.",
                "Net €322.79",
                "VAT 22% on €204.80 €45.06",
                "Amount to pay €394.17",
                "O'Brien & Sons Ltd\n12 Harbour Row\nD01 F5P2 Dublin\nIreland\nTax ID IE6388047V",
                "sito-0.example\nWeb hosting Pro\n30 Apr 2026 1 May 2026\nto 30 Apr 2027\n1 €120.00 22% €120.00",
                "Page 1 of 1",
            ],
        ),
    ],
)
def test_says_everything_in_the_customers_language(locale: Locale, phrases: list[str]) -> None:
    made = card(5, locale)
    said = text(made)
    for phrase in (
        *phrases,
        "PF-2026-000123",
        "RF92 PF20 2600 0123",
        "IT60 X054 2811 1010 0000 0123 456",
        "BPPIITRRXXX",
    ):
        assert phrase in said
    for item in made.items:
        assert f"{item.reference}\n{item.product}\n{short_day(item.line.expires_on, locale)}" in said
        prices = amount(item.line.unit_price, made), percentage(item.line.vat_rate, locale), amount(item.line.net, made)
        assert " ".join((str(item.line.quantity), *prices)) in said


@pytest.mark.parametrize(("locale", "taxes"), [("it", "IVA"), ("el", "ΦΠΑ"), ("en", "VAT")])
def test_without_vat_only_amounts_with_taxes_are_shown(locale: Locale, taxes: str) -> None:
    made = card(5, locale, shows_vat=False)
    said = PdfReader(BytesIO(document(made, PAYEE, Issuer("Lifecycle")))).pages[0].extract_text()
    assert "%" not in said
    assert not re.search(rf"\b{taxes}\b", said.replace("P. IVA", ""))
    assert {"it": "imposte incluse", "el": "με φόρους", "en": "taxes included"}[locale] in said
    for item in made.items:
        assert amount(item.gross, made) in said
        assert amount(item.line.unit_price, made) not in said
    assert sum(item.gross for item in made.items) == made.total


@pytest.mark.parametrize(("locale", "mark"), [("it", "PROVA"), ("el", "ΔΟΚΙΜΗ"), ("en", "TRIAL")])
def test_a_trial_card_says_so_on_every_page_and_has_no_code(
    locale: Locale, mark: str, scanned: Callable[..., str]
) -> None:
    made = card(40, locale, trial=True)
    # Once across the page, once in words at its top, and once more where the code would be.
    assert [page.count(mark) for page in pages(made)] == [2, 2, 3]
    assert scanned(made) == ""


def test_credit_that_was_used_is_taken_off() -> None:
    said = text(card(5, "it", paid=Decimal("100.00")))
    assert "Totale 394,17 €\nGià pagato -100,00 €\nImporto da pagare 294,17 €" in said
    assert "Importo 294,17 €\nCausale" in said


def test_a_card_that_credit_covered_asks_for_nothing() -> None:
    said = text(card(1, "en", paid=card(1).total))
    assert "Nothing is to be paid: the whole amount is already paid." in said
    assert "IBAN" not in said
    assert "RF92" not in said


def test_a_later_revision_says_that_it_replaces_the_earlier_ones() -> None:
    first, third = card(revision=1, locale="en"), card(revision=3, locale="en")
    assert "Revision" not in text(first)
    assert "Revision 3: replaces all earlier ones" in text(third)
    assert [attachment_name(each) for each in (first, third)] == ["PF-2026-000123.pdf", "PF-2026-000123-3.pdf"]


@pytest.mark.parametrize("locale", LOCALES)
def test_the_same_card_makes_the_same_bytes(locale: Locale) -> None:
    made = card(5, locale)
    assert document(made, PAYEE, ISSUER) == document(card(5, locale), PAYEE, ISSUER)
    assert document(replace(made, number="PF-2026-000124"), PAYEE, ISSUER) != document(made, PAYEE, ISSUER)


@pytest.mark.parametrize("locale", LOCALES)
def test_states_title_author_and_language(locale: Locale) -> None:
    file = opened(card(1, locale))
    assert file.metadata is not None
    title = {"it": "Scheda di addebito", "el": "Καρτέλα Χρέωσης", "en": "Billing card"}[locale]
    assert (file.metadata.title, file.metadata.author) == (f"{title} PF-2026-000123", ISSUER.name)
    assert str(file.root_object["/Lang"]) == {"it": "it-IT", "el": "el-GR", "en": "en-GB"}[locale]


@pytest.mark.parametrize("locale", LOCALES)
def test_brings_its_fonts_and_their_characters_in_a_small_file(locale: Locale) -> None:
    data = document(card(1, locale), PAYEE, ISSUER)
    fonts = PdfReader(BytesIO(data)).pages[0]["/Resources"]["/Font"].values()  # type: ignore[index]
    for font in (each.get_object() for each in fonts):
        assert "/FontFile2" in font["/FontDescriptor"]
        assert "/ToUnicode" in font
    assert len(data) < (40_000 if locale == "el" else 25_000)


# -- the code that banking apps read ---------------------------------------------------------------------------------


@pytest.fixture
def scanned(pdftoppm: str, zbarimg: str, tmp_path: Path) -> Callable[..., str]:
    """What a banking app reads on a card's last page, shown at 150 dpi."""

    def scan(card: Card, payee: Payee = PAYEE) -> str:
        file, image = tmp_path / "card.pdf", tmp_path / "page"
        file.write_bytes(document(card, payee, ISSUER))
        last = str(len(PdfReader(file).pages))
        subprocess.run([pdftoppm, "-r", "150", "-f", last, "-singlefile", "-png", file, image], check=True)
        found = subprocess.run([zbarimg, "-q", "--raw", image.with_suffix(".png")], capture_output=True)
        assert found.returncode == (0 if found.stdout else 4), found.stderr  # 4: there is none
        return found.stdout.decode().removesuffix("\n")

    return scan


GREEK = Payee("Ανθοπωλείο Παπαδόπουλος & Υιοί Α.Ε. " * 3, "GR1601101250000000012300695")


@pytest.mark.parametrize(
    ("payee", "made", "euro"),
    [
        (PAYEE, card(5, "it"), "394.17"),
        (GREEK, card(1, "el", number="PF-2027-999999"), "146.40"),
        (PAYEE, card(60, "en", paid=Decimal("0.01")), "6075.77"),
    ],
)
def test_the_code_is_a_transfer_of_what_is_to_pay(
    payee: Payee, made: Card, euro: str, scanned: Callable[..., str]
) -> None:
    assert scanned(made, payee).split("\n") == [
        "BCD",
        "002",
        "1",
        "SCT",
        payee.bic,
        payee.beneficiary[:70],
        payee.iban,
        f"EUR{euro}",
        "",
        made.reference,
    ]


def test_a_card_in_another_currency_has_no_code(scanned: Callable[..., str]) -> None:
    made = card(1, "en", currency="CHF")
    assert scanned(made) == ""
    assert print_form(PAYEE.iban) in text(made)


def test_a_card_of_more_than_a_code_can_say_has_none(scanned: Callable[..., str]) -> None:
    assert "EUR999999999.99" in scanned(
        card(1, "en", totals=(RateTotal(Decimal(0), Decimal("999999999.99"), NOTHING),))
    )
    assert scanned(card(1, "en", totals=(RateTotal(Decimal(0), Decimal("1000000000.00"), NOTHING),))) == ""


# -- many lines ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shows_vat", [True, False])
@pytest.mark.parametrize(("lines", "count"), [(1, 1), (5, 1), (60, 4), (400, 21)])
def test_totals_are_carried_from_page_to_page(lines: int, count: int, shows_vat: bool) -> None:
    made = card(lines, "en", shows_vat=shows_vat)
    said = pages(made)
    assert len(said) == count
    shown = [re.findall(r"^sito-(\d+)\.example$", page, re.MULTILINE) for page in said]
    assert [int(at) for page in shown for at in page] == list(range(lines))
    so_far = NOTHING
    for at, page in enumerate(said, start=1):
        assert f"Page {at} of {count}" in page
        assert "Service Current expiry Renewal period Qty" in page
        assert "PF-2026-000123" in page.splitlines()[0] or at == 1
        assert (f"Brought forward {amount(so_far, made)}" in page) == (at > 1)
        for number in shown[at - 1]:
            item = made.items[int(number)]
            so_far += item.line.net if shows_vat else item.gross
        assert (f"Carried over {amount(so_far, made)}" in page) == (at < count)
    assert f"{'Net' if shows_vat else 'Total, taxes included'} {amount(so_far, made)}" in said[-1]


def test_what_is_to_pay_is_never_torn_apart() -> None:
    """On whatever line the page ends, sums, instructions and notes stand on one page."""
    for lines in range(5, 35):
        last = pages(card(lines, "en"))[-1]
        assert all(words in last for words in ("Net €", "Total €", "How to pay", "RF92", "This is not a tax document."))


# -- text from outside -----------------------------------------------------------------------------------------------

HOSTILE = [
    "<b>bold</b> <para>&amp;</para> <font size=99>",
    "W" * 300,
    "Donaudampfschifffahrtsgesellschaft " * 20,
    "line\nfeed\ttab\x00nul\x1bescape",
    r"\\( ) %PDF endstream (unbalanced",
    "漢字 عربي 🌍 \ud800",
    "",
]


def hostile(words: str, *, shows_vat: bool) -> tuple[Card, Payee, Issuer]:
    """A card with `words` wherever a text comes from outside, and enormous amounts."""
    usual = card(3, "el", shows_vat=shows_vat)
    dear = replace(usual.items[0].line, unit_price=Decimal("9999999999.99"), quantity=123456, vat_rate=Decimal("22.55"))
    items = tuple(
        replace(each, reference=words, product=words, code=words, line=dear, gross=dear.net) for each in usual.items
    )
    totals = tuple(replace(each, net=dear.net) for each in usual.totals)
    payer = Payer(**{field.name: words for field in fields(Payer)})
    made = replace(usual, payer=payer, items=items, totals=totals, currency="XTS")
    return made, Payee(words, PAYEE.iban, PAYEE.bic), Issuer(words, words, words)


@pytest.mark.parametrize("shows_vat", [True, False])
@pytest.mark.parametrize("words", HOSTILE)
def test_no_text_leaves_its_column(words: str, shows_vat: bool, pdftotext: str, tmp_path: Path) -> None:
    file = tmp_path / "card.pdf"
    file.write_bytes(document(*hostile(words, shows_vat=shows_vat)))
    boxes = subprocess.run([pdftotext, "-bbox", file, "-"], capture_output=True, check=True).stdout
    for page in html.fromstring(boxes).iter("page"):
        words_at = [[float(word.get(edge, "nan")) for edge in ("xmin", "ymin", "xmax", "ymax")] for word in page]
        for left, top, right, bottom in words_at:
            assert 47 < left < right < 549
            assert 0 < top < bottom < 842
        for (left, top, right, bottom), (left2, top2, right2, bottom2) in combinations(words_at, 2):
            # A quarter of a line's height is above and below its letters.
            shared = min(bottom, bottom2) - max(top, top2)
            assert min(right, right2) - max(left, left2) < 0.1 or shared < 0.26 * (bottom - top)


def test_markup_is_shown_as_it_is_and_what_controls_is_not() -> None:
    made = card(1, "en")
    said = text(replace(made, payer=replace(made.payer, name="<b>A & B</b>\x00\x1b\u202e\nC", street="(\\a) e\u0301")))
    assert "<b>A & B</b> C\n(\\a) é" in said


def test_characters_of_a_hundred_languages_are_searchable_the_others_visibly_missing() -> None:
    made = card(1, "en")
    for name in ("Žofia Őrsi", "Łukasz Şahin", "ᾄνθρωπος ὁ Ἕλλην", "Дмитрий Їжак", "Nguyễn Ánh"):
        assert name in text(replace(made, payer=replace(made.payer, name=name)))
    assert "A\ufffd\ufffdZ" in text(replace(made, payer=replace(made.payer, name="A漢🌍Z")))


@settings(max_examples=25, deadline=None)
@given(st.text(max_size=60), st.text(), st.sampled_from(LOCALES))
def test_any_text_can_be_drawn(short: str, long: str, locale: Locale) -> None:
    made = card(1, locale)
    item = replace(made.items[0], reference=long, product=short)
    made = replace(made, items=(item,), payer=replace(made.payer, name=short, street=long, city=short, country=short))
    assert len(opened(made, Payee(short, PAYEE.iban), Issuer(short, long)).pages) == 1
