"""The mails about billing cards as customers get them, in three languages."""

import re
from dataclasses import replace
from datetime import date
from decimal import Decimal
from html import unescape
from typing import Any

import pytest

from lifecycle.rendering.card_mail import SHOWN, card, confirmation, reminder
from lifecycle.rendering.templates import Content, Issuer
from lifecycle.rules.billing_card import Card, Confirmation, Renewed
from lifecycle.rules.languages import LOCALES, Locale
from tests import cards
from tests.cards import ISSUER, PAYEE

NOTHING = Decimal(0)
BEFORE, AFTER = date(2026, 4, 15), date(2026, 5, 13)
HOW_TO_PAY = ("IT60 X054 2811 1010 0000 0123 456", "BPPIITRRXXX", "RF92 PF20 2600 0123")
NO_VAT_NUMBER = Issuer("Lifecycle S.r.l.")

CONFIRMED = Confirmation(
    "PF-2026-000123",
    "O'Brien & Figli <srl>",
    "it",
    "EUR",
    Decimal("316.68"),
    (
        Renewed("sito1.it", "Hosting <Pro>", "S-1", date(2026, 12, 16), date(2027, 12, 15), reactivated=False),
        Renewed("", "Backup", "S-2", date(2026, 12, 16), date(2027, 12, 15), reactivated=True),
    ),
)


def made(lines: int, locale: Locale, **changes: Any) -> Card:
    """A card of 120.00 and 2 × 14.90 at 22 %, then 3 × 36.00 at 24 %, for a customer whose name looks like markup."""
    payer = replace(cards.PAYERS[locale], name="O'Brien & Figli <srl>")
    return replace(cards.card(lines, locale, **changes), payer=payer)


def bodies(mail: Content) -> tuple[str, str]:
    """Both forms as a person reads them."""
    page = re.sub(r"<style>.*</style>", "", mail.html, flags=re.DOTALL)
    return mail.text.replace("\xa0", " "), unescape(re.sub(r"<[^>]*>", " ", page)).replace("\xa0", " ")


@pytest.mark.parametrize(
    ("locale", "subject", "facts"),
    [
        (
            "it",
            "Scheda di addebito PF-2026-000123, scadenza 30 aprile 2026",
            ("31 marzo 2026", "149,80 €", "IVA 22%", "32,96 €", "316,68 €", "non è un documento fiscale"),
        ),
        (
            "el",
            "Καρτέλα Χρέωσης PF-2026-000123, λήξη 30 Απριλίου 2026",
            ("31 Μαρτίου 2026", "149,80 €", "ΦΠΑ 22%", "32,96 €", "316,68 €", "δεν αποτελεί φορολογικό παραστατικό"),
        ),
        (
            "en",
            "Billing card PF-2026-000123, due 30 April 2026",
            ("31 March 2026", "€149.80", "VAT 22%", "€32.96", "€316.68", "not a tax document"),
        ),
    ],
)
def test_a_card_says_what_is_renewed_what_it_costs_and_how_to_pay(
    locale: Locale, subject: str, facts: tuple[str, ...]
) -> None:
    mail = card(made(3, locale), PAYEE, ISSUER)
    assert mail.subject == subject
    lines = ("sito-2.example", "Φιλοξενία", "S-0002", "O'Brien & Figli <srl>", "3 × ")
    for body in bodies(mail):
        assert all(fact in body for fact in (*facts, *lines, *HOW_TO_PAY, PAYEE.beneficiary, ISSUER.address))
    assert f'<html lang="{locale}">' in mail.html


@pytest.mark.parametrize(
    ("locale", "expiry", "period"),
    [
        ("it", "Scadenza: 30 apr 2026", "1 mag 2026 – 30 apr 2027"),
        ("el", "Λήξη: 30 Απρ 2026", "1 Μαΐ 2026 – 30 Απρ 2027"),
        ("en", "Expiry: 30 Apr 2026", "1 May 2026 – 30 Apr 2027"),
    ],
)
def test_a_line_shows_the_expiry_and_the_period_it_would_be_renewed_for(
    locale: Locale, expiry: str, period: str
) -> None:
    for body in bodies(card(made(1, locale), PAYEE, ISSUER)):
        words = re.sub(r"\s+", " ", body)
        assert expiry in words
        assert period in words


@pytest.mark.parametrize("locale", LOCALES)
def test_a_card_that_shows_no_vat_shows_none_anywhere(locale: Locale) -> None:
    without = made(3, locale, shows_vat=False)
    mail = card(without, PAYEE, NO_VAT_NUMBER)
    for body in bodies(mail):
        assert not re.search(r"IVA|ΦΠΑ|VAT|%|120[.,]00|14[.,]90|32[.,]96", body)
        assert all(re.search(gross, body) for gross in (r"146[.,]40", r"36[.,]36", r"133[.,]92", r"316[.,]68"))


@pytest.mark.parametrize(
    ("locale", "credit", "left"),
    [
        ("it", "Già pagato", "Da pagare"),
        ("el", "Έχει ήδη πληρωθεί", "Πληρωτέο ποσό"),
        ("en", "Already paid", "To pay"),
    ],
)
def test_credit_is_taken_off_and_what_is_left_is_what_to_pay(locale: Locale, credit: str, left: str) -> None:
    for body in bodies(card(made(3, locale, paid=Decimal("50.00")), PAYEE, ISSUER)):
        assert re.search(rf"{credit}:?\s+-€?50[.,]00", body)
        assert re.search(rf"{left}:?\s+€?266[.,]68", body)
        assert len(re.findall(r"266[.,]68", body)) == 3  # in the sentence, as the sum, among the payment's facts
    for body in bodies(card(made(3, locale), PAYEE, ISSUER)):
        assert credit not in body


@pytest.mark.parametrize(
    ("locale", "sentence"), [("it", "non c’è nulla da pagare"), ("el", "δεν χρειάζεται"), ("en", "nothing to pay")]
)
def test_a_card_that_credit_pays_in_full_asks_for_nothing(locale: Locale, sentence: str) -> None:
    covered = made(3, locale)
    for body in bodies(card(replace(covered, paid=covered.total), PAYEE, ISSUER)):
        assert sentence in body
        assert "IBAN" not in body


@pytest.mark.parametrize(("locale", "word"), [("it", "revisione 2"), ("el", "αναθεώρηση 2"), ("en", "revision 2")])
def test_a_later_revision_says_that_it_replaces_the_earlier_one(locale: Locale, word: str) -> None:
    first, second = (card(made(1, locale, revision=revision), PAYEE, ISSUER) for revision in (1, 2))
    assert f"({word})" in second.subject
    for body in bodies(second):
        assert word in body
    assert not any(word[:-1] in body for body in (first.subject, *bodies(first)))


def test_a_long_card_is_cut_in_the_mail_and_its_totals_are_not() -> None:
    for locale in LOCALES:
        mail = card(made(SHOWN + 3, locale), PAYEE, ISSUER)
        for body in bodies(mail):
            assert f"S-{SHOWN - 1:04}" in body
            assert f"S-{SHOWN:04}" not in body
            assert re.search(r"PDF[^.]*: 3\.", body)
        assert len(mail.html.encode()) < 100_000


@pytest.mark.parametrize(
    ("day", "words"),
    [
        (date(2026, 4, 15), {"it": "fra 15 giorni", "el": "σε 15 ημέρες", "en": "in 15 days"}),
        (date(2026, 4, 29), {"it": "domani", "el": "αύριο", "en": "tomorrow"}),
        (date(2026, 4, 30), {"it": "oggi", "el": "σήμερα", "en": "today"}),
    ],
)
def test_a_reminder_says_how_many_days_are_left(day: date, words: dict[Locale, str]) -> None:
    for locale, word in words.items():
        mail = reminder(made(3, locale), NOTHING, day, PAYEE, ISSUER)
        for body in bodies(mail):
            assert word in body
            assert all(fact in body for fact in ("PF-2026-000123", "sito-2.example", *HOW_TO_PAY))
            assert re.search(r"316[.,]68", body)


@pytest.mark.parametrize(
    ("locale", "subject", "sentence"),
    [
        ("it", "Sollecito di pagamento", "è scaduta in data 30 aprile 2026 e non risulta ancora pagata."),
        ("el", "Εκπρόθεσμη πληρωμή", "έληξε στις 30 Απριλίου 2026 και δεν έχει ακόμη πληρωθεί."),
        ("en", "Payment overdue", "was due on 30 April 2026 and has not been paid yet."),
    ],
)
def test_past_its_expiry_a_reminder_says_so_and_names_no_number_of_days(
    locale: Locale, subject: str, sentence: str
) -> None:
    mail = reminder(made(3, locale), NOTHING, AFTER, PAYEE, ISSUER)
    assert mail.subject.startswith(subject)
    for body in bodies(mail):
        assert sentence in re.sub(r"\s+", " ", body)
        assert not re.search(r"giorni|ημέρες|days", body)


@pytest.mark.parametrize(
    ("locale", "thanks", "received"),
    [
        ("it", "Ringraziamo per il pagamento parziale", "Ricevuto nel frattempo"),
        ("el", "ευχαριστούμε για τη μερική πληρωμή", "Λάβαμε στο μεταξύ"),
        ("en", "Thank you for the part payment", "Received since"),
    ],
)
def test_a_part_payment_is_acknowledged_apart_from_what_was_paid_before(
    locale: Locale, thanks: str, received: str
) -> None:
    credited = made(3, locale, paid=Decimal("20.00"))
    for body in bodies(reminder(credited, Decimal("100.00"), AFTER, PAYEE, ISSUER)):
        assert thanks in body
        assert re.search(rf"{received}:?\s+-€?80[.,]00", body)
        assert re.search(r"-€?20[.,]00", body)
        assert len(re.findall(r"216[.,]68", body)) == 3
    for body in bodies(reminder(credited, Decimal("20.00"), AFTER, PAYEE, ISSUER)):
        assert thanks not in body
        assert received not in body
        assert re.search(r"296[.,]68", body)


@pytest.mark.parametrize(
    ("locale", "subject", "active", "expiry"),
    [
        ("it", "Rinnovo confermato: scheda di addebito PF-2026-000123", "di nuovo attivo", "15 dic 2027"),
        ("el", "Επιβεβαίωση ανανέωσης: Καρτέλα Χρέωσης PF-2026-000123", "και πάλι ενεργή", "15 Δεκ 2027"),
        ("en", "Renewal confirmed: billing card PF-2026-000123", "active again", "15 Dec 2027"),
    ],
)
def test_a_confirmation_names_each_new_expiry_and_what_is_active_again(
    locale: Locale, subject: str, active: str, expiry: str
) -> None:
    mail = confirmation(replace(CONFIRMED, locale=locale), ISSUER)
    assert mail.subject == subject
    for body in bodies(mail):
        assert all(fact in body for fact in ("O'Brien & Figli <srl>", "sito1.it", "Hosting <Pro>", "Backup", "S-2"))
        assert body.count(expiry) == 4
        assert re.search(r"316[.,]68", body)
        before, _, after = body.partition("Backup")
        assert active in after
        assert active not in before.partition("sito1.it")[2]
    plain = replace(CONFIRMED, locale=locale, services=CONFIRMED.services[:1])
    assert not any(active in body for body in bodies(confirmation(plain, ISSUER)))


@pytest.mark.parametrize("locale", LOCALES)
def test_what_is_not_known_leaves_no_empty_words(locale: Locale) -> None:
    one = made(1, locale)
    bare = replace(one, items=(replace(one.items[0], reference=""),))
    payee = replace(PAYEE, bic="")
    for mail in (card(bare, payee, NO_VAT_NUMBER), reminder(bare, NOTHING, BEFORE, payee, NO_VAT_NUMBER)):
        assert mail.text.endswith("-- \nLifecycle S.r.l.\n")
        assert "- Web hosting Pro\n  S-0000\n" in mail.text
        for body in bodies(mail):
            assert not re.search(r"BIC|None|Partita|ΑΦΜ|VAT number", body)


@pytest.mark.parametrize("locale", LOCALES)
def test_names_are_text_and_never_markup(locale: Locale) -> None:
    one = made(1, locale)
    hostile = replace(one, items=(replace(one.items[0], product="Hosting <Pro>"),))
    mails = (
        card(hostile, PAYEE, ISSUER),
        reminder(hostile, NOTHING, BEFORE, PAYEE, ISSUER),
        confirmation(replace(CONFIRMED, locale=locale), ISSUER),
    )
    for mail in mails:
        assert "O&#39;Brien &amp; Figli &lt;srl&gt;" in mail.html
        assert "Hosting &lt;Pro&gt;" in mail.html
        assert "O'Brien & Figli <srl>" in mail.text
        assert not re.search(r"<srl>|<Pro>|&amp;(lt|#39|amp)", mail.html)
