"""The acknowledgement of a withdrawal as its customer gets it, in three languages."""

import re
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from html import unescape
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from lifecycle.rendering.templates import Content, Issuer
from lifecycle.rendering.withdrawal_acknowledgement import content
from lifecycle.rules.instalments import Instalment, InstalmentStatus
from lifecycle.rules.languages import LOCALES, Locale
from lifecycle.rules.licence_notice import Contact
from lifecycle.rules.money import NOTHING
from lifecycle.rules.withdrawal_acknowledgement import Acknowledgement, Mandate, Withdrawn, number_of
from tests.cards import ISSUER, PAYEE


def due(month: int, amount: str) -> Instalment:
    return Instalment(month, date(2026, month, 1), Decimal(amount), InstalmentStatus.DUE)


PLAN = Withdrawn(
    reference="Palestra <centro>",
    product="Abbonamento annuale",
    code="M-1",
    currency="EUR",
    owed=(due(5, "700"), due(6, "717.60")),
    in_collection=Decimal("45.50"),
    removed=Decimal(2100),
    to_be_refunded=Decimal("350.25"),
    goes_on=False,
)
BARE = Withdrawn("", "Piscina", "M-2", "EUR", (), NOTHING, NOTHING, NOTHING, goes_on=False)
WITHDRAWAL = Acknowledgement(
    number="3F2A9C1B",
    submitted_at=datetime(2026, 6, 3, 14, 5, 12, tzinfo=ZoneInfo("Europe/Rome")),
    customer="C-0042",
    customer_name="O'Brien & Figli <srl>",
    locale="it",
    last_day=date(2026, 6, 30),
    memberships=(PLAN, BARE),
    mandates=(Mandate("RUM-7", is_card=False, ended=True),),
    payee=PAYEE,
    contact=Contact("D'Alò <srl>", "info@dalo.example", "+39 0432 123456"),
)
SHORT = replace(WITHDRAWAL, memberships=(BARE,), mandates=(), contact=Contact("D'Alò", None, None))


def bodies(mail: Content) -> tuple[str, str]:
    """Both forms as a person reads them."""
    page = re.sub(r"<style>.*</style>", "", mail.html, flags=re.DOTALL)
    return mail.text.replace("\xa0", " "), unescape(re.sub(r"<[^>]*>", " ", page)).replace("\xa0", " ")


def test_a_withdrawal_is_named_by_the_beginning_of_its_id() -> None:
    assert number_of(UUID("3f2a9c1b-77d0-4c0e-9d5a-000000000000")) == "3F2A9C1B"


@pytest.mark.parametrize(
    ("locale", "subject", "facts"),
    [
        (
            "it",
            "Recesso 3F2A9C1B: conferma di ricevimento",
            (
                "dai contratti elencati qui sotto",
                "3 giugno 2026, 14:05:12 CEST",
                "30 giugno 2026",
                "nulla viene rinnovato",
                "1 mag 2026",
                "700,00 €",
                "717,60 €",
                "1.417,60 €",
                "(45,50 €)",
                "2.100,00 €",
                "vi rimborseremo 350,25 €.",
                "SEPA RUM-7 è cessato.",
            ),
        ),
        (
            "el",
            "Διακοπή συνδρομής 3F2A9C1B: επιβεβαίωση παραλαβής",
            (
                "των συνδρομών που αναφέρονται παρακάτω",
                "3 Ιουνίου 2026, 14:05:12 CEST",
                "30 Ιουνίου 2026",
                "δεν ανανεώνεται τίποτα",
                "1 Μαΐ 2026",
                "700,00 €",
                "717,60 €",
                "1.417,60 €",
                "(45,50 €)",
                "2.100,00 €",
                "θα σας επιστρέψουμε 350,25 €.",
                "SEPA RUM-7 έπαυσε να ισχύει.",
            ),
        ),
        (
            "en",
            "Withdrawal 3F2A9C1B: acknowledgement of receipt",
            (
                "from the contracts below",
                "3 June 2026, 14:05:12 CEST",
                "30 June 2026",
                "nothing renews after that day",
                "1 May 2026",
                "€700.00",
                "€717.60",
                "€1,417.60",
                "(€45.50)",
                "€2,100.00",
                "we shall refund €350.25.",
                "SEPA Direct Debit mandate RUM-7 has ended.",
            ),
        ),
    ],
)
def test_it_says_what_was_submitted_when_and_what_that_does(
    locale: Locale, subject: str, facts: tuple[str, ...]
) -> None:
    mail = content(replace(WITHDRAWAL, locale=locale), ISSUER)
    assert mail.subject == subject
    what = ("O'Brien & Figli <srl> (C-0042)", "Palestra <centro>", "Abbonamento annuale", "M-1", "Piscina", "M-2")
    whom = ("D'Alò <srl>", "info@dalo.example", "+39 0432", ISSUER.name, ISSUER.address, "IT01234567890")
    for body in bodies(mail):
        for fact in (*facts, *what, *whom):
            assert fact in body
    assert f'<html lang="{locale}">' in mail.html


@pytest.mark.parametrize("locale", LOCALES)
def test_what_is_still_owed_is_paid_by_transfer_under_the_number_of_the_withdrawal(locale: Locale) -> None:
    how = ("IT60 X054 2811 1010 0000 0123 456", "BPPIITRRXXX", "3F2A9C1B C-0042")
    for body in bodies(content(replace(WITHDRAWAL, locale=locale), ISSUER)):
        assert all(fact in body for fact in how)


@pytest.mark.parametrize(
    ("locale", "sentence"),
    [
        ("it", "Per sapere come pagare le rate ancora dovute rivolgetevi"),
        ("el", "Για τον τρόπο πληρωμής των δόσεων που οφείλονται απευθυνθείτε"),
        ("en", "To learn how to pay what is still owed, please turn"),
    ],
)
def test_without_an_account_it_says_whom_to_ask_how_to_pay(locale: Locale, sentence: str) -> None:
    mail = content(replace(WITHDRAWAL, locale=locale, payee=None), ISSUER)
    assert all(sentence in body and "IBAN" not in body for body in bodies(mail))


@pytest.mark.parametrize(
    ("locale", "sentence"),
    [
        ("it", "con una rata per ogni mese: M-2."),
        ("el", "με μία δόση για κάθε μήνα: M-2."),
        ("en", "with an instalment for each month: M-2."),
    ],
)
def test_what_is_renewed_until_the_last_day_has_instalments_to_come_and_says_how_they_are_paid(
    locale: Locale, sentence: str
) -> None:
    mail = content(replace(SHORT, locale=locale, memberships=(replace(BARE, goes_on=True),)), ISSUER)
    assert all(sentence in body and "IBAN" in body for body in bodies(mail))


@pytest.mark.parametrize(
    ("locale", "mandate", "sentence"),
    [
        ("it", Mandate("RUM-7", is_card=False, ended=False), "SEPA RUM-7 resta valido per un altro vostro contratto."),
        ("it", Mandate("CARD-7", is_card=True, ended=False), "La carta CARD-7 resta in uso per un altro vostro"),
        ("it", Mandate("CARD-7", is_card=True, ended=True), "La carta CARD-7 non verrà più addebitata."),
        ("el", Mandate("RUM-7", is_card=False, ended=False), "SEPA RUM-7 παραμένει σε ισχύ για άλλη σύμβασή σας."),
        ("el", Mandate("CARD-7", is_card=True, ended=False), "Η κάρτα CARD-7 παραμένει σε χρήση για άλλη σύμβασή"),
        ("el", Mandate("CARD-7", is_card=True, ended=True), "Η κάρτα CARD-7 δεν θα χρεωθεί ξανά."),
        ("en", Mandate("RUM-7", is_card=False, ended=False), "RUM-7 remains valid for another contract of yours."),
        ("en", Mandate("CARD-7", is_card=True, ended=False), "Card CARD-7 remains in use for another contract"),
        ("en", Mandate("CARD-7", is_card=True, ended=True), "Card CARD-7 will not be charged any more."),
    ],
)
def test_it_says_whether_a_mandate_or_card_ends_or_stays(locale: Locale, mandate: Mandate, sentence: str) -> None:
    mail = content(replace(WITHDRAWAL, locale=locale, mandates=(mandate,)), ISSUER)
    assert all(sentence in body for body in bodies(mail))


def test_amounts_of_several_currencies_are_not_added_up() -> None:
    francs = replace(PLAN, code="M-3", currency="CHF", owed=(due(6, "20"),), removed=NOTHING)
    for body in bodies(content(replace(WITHDRAWAL, memberships=(PLAN, francs)), ISSUER)):
        assert "20,00 CHF + 1.417,60 €" in body
        assert "2.100,00 €\n" in body or "2.100,00 € " in body


@pytest.mark.parametrize(
    ("locale", "one", "none"),
    [
        ("it", "dal contratto indicato qui sotto", "nessuna"),
        ("el", "της συνδρομής που αναφέρεται παρακάτω", "καμία"),
        ("en", "from the contract below", "none"),
    ],
)
def test_of_what_there_is_nothing_there_are_no_empty_words(locale: Locale, one: str, none: str) -> None:
    mail = content(replace(SHORT, locale=locale), Issuer("Lifecycle S.r.l."))
    assert mail.text.endswith(":\n\n  D'Alò\n\n-- \nLifecycle S.r.l.\n")
    labels = (
        r"IBAN|E-mail|Telefono|Τηλέφωνο|Telephone|incasso|είσπραξη|collect|imbors|πιστρέψουμε|refund|€|SEPA|None|VAT"
    )
    for body in bodies(mail):
        assert one in body
        assert none in body
        assert not re.search(labels, body)


@pytest.mark.parametrize("locale", LOCALES)
def test_names_are_text_and_never_markup(locale: Locale) -> None:
    mail = content(replace(WITHDRAWAL, locale=locale), ISSUER)
    assert "O&#39;Brien &amp; Figli &lt;srl&gt;" in mail.html
    assert not re.search(r"<srl>|<centro>|&amp;(lt|#39|amp)", mail.html)
