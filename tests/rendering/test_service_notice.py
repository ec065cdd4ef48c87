"""The three notices about an unpaid service as customers get them, in three languages."""

import re
from dataclasses import replace
from datetime import date
from decimal import Decimal
from html import unescape

import pytest

from lifecycle.rendering.service_notice import content
from lifecycle.rendering.templates import Content, Issuer
from lifecycle.rules.languages import LOCALES, Locale
from lifecycle.rules.licence_notice import Contact
from lifecycle.rules.service_notice import Notice, NoticeKind
from tests.cards import ISSUER, PAYEE

SUSPENDED = Notice(
    NoticeKind.SUSPENDED,
    customer_name="O'Brien & Figli <srl>",
    service="S-20",
    reference="sito20.it",
    product="Hosting",
    locale="it",
    expires_on=date(2026, 12, 15),
    day=date(2026, 12, 23),
    card="PF-2026-000123",
    to_pay=Decimal("1417.60"),
    currency="EUR",
    payee=PAYEE,
    contact=Contact("D'Alò <srl>", "info@dalo.example", "+39 0432 123456"),
)
WARNED = replace(SUSPENDED, kind=NoticeKind.DELETION_WARNING, day=date(2027, 2, 14))
DELETED = replace(SUSPENDED, kind=NoticeKind.DELETED, day=date(2027, 2, 14), payee=None)
each_notice = pytest.mark.parametrize("notice", [SUSPENDED, WARNED, DELETED], ids=lambda notice: notice.kind)


def bodies(mail: Content) -> tuple[str, str]:
    """Both forms as a person reads them."""
    return mail.text.replace("\xa0", " "), unescape(re.sub(r"<[^>]*>", "", mail.html)).replace("\xa0", " ")


@pytest.mark.parametrize(
    ("notice", "locale", "subject", "sentences"),
    [
        (
            SUSPENDED,
            "it",
            "Servizio sospeso: Hosting (S-20)",
            ("scaduto in data 15 dicembre 2026", "sospeso in data 23 dicembre 2026.", "viene rinnovato e riattivato."),
        ),
        (
            SUSPENDED,
            "el",
            "Αναστολή υπηρεσίας: Hosting (S-20)",
            ("έληξε στις 15 Δεκεμβρίου 2026", "ανεστάλη στις 23 Δεκεμβρίου 2026.", "και ενεργοποιείται ξανά."),
        ),
        (
            SUSPENDED,
            "en",
            "Service suspended: Hosting (S-20)",
            ("expired on 15 December 2026", "suspended on 23 December 2026.", "renews the service and brings it back."),
        ),
        (
            WARNED,
            "it",
            "Il servizio sarà eliminato: Hosting (S-20)",
            ("dal giorno 14 febbraio 2027 il servizio sarà eliminato", "non sarà più possibile recuperarlo."),
        ),
        (
            WARNED,
            "el",
            "Επικείμενη διαγραφή υπηρεσίας: Hosting (S-20)",
            ("από 14 Φεβρουαρίου 2027 η υπηρεσία θα διαγραφεί", "δεν θα είναι πλέον δυνατή η ανάκτησή της."),
        ),
        (
            WARNED,
            "en",
            "Service about to be deleted: Hosting (S-20)",
            ("will be deleted for good from 14 February 2027", "it cannot be recovered."),
        ),
        (
            DELETED,
            "it",
            "Servizio eliminato: Hosting (S-20)",
            (
                "In data 14 febbraio 2027 è stato quindi eliminato",
                "insieme a tutti i suoi dati",
                "PF-2026-000123 è annullata.",
            ),
        ),
        (
            DELETED,
            "el",
            "Διαγραφή υπηρεσίας: Hosting (S-20)",
            (
                "διαγράφηκε οριστικά στις 14 Φεβρουαρίου 2027",
                "μαζί με όλα τα δεδομένα της",
                "PF-2026-000123 ακυρώθηκε.",
            ),
        ),
        (
            DELETED,
            "en",
            "Service deleted: Hosting (S-20)",
            ("deleted for good on 14 February 2027", "together with all its data", "PF-2026-000123 is void."),
        ),
    ],
)
def test_a_notice_says_what_happened_or_will_on_which_day(
    notice: Notice, locale: Locale, subject: str, sentences: tuple[str, ...]
) -> None:
    mail = content(replace(notice, locale=locale), ISSUER)
    assert mail.subject == subject
    for body in bodies(mail):
        assert all(sentence in body for sentence in sentences)


@pytest.mark.parametrize("locale", LOCALES)
@each_notice
def test_a_notice_names_the_customer_the_service_the_contact_and_the_issuer(notice: Notice, locale: Locale) -> None:
    mail = content(replace(notice, locale=locale), ISSUER)
    facts = ("O'Brien & Figli <srl>", "Hosting", "S-20", "sito20.it", "D'Alò <srl>", "info@dalo.example", "+39 0432")
    for body in bodies(mail):
        assert all(fact in body for fact in (*facts, ISSUER.name, ISSUER.address, "IT01234567890"))
        assert not re.search(r"\d giorni|\d ημέρες|\d days", body)
    assert f'<html lang="{locale}">' in mail.html


@pytest.mark.parametrize(("locale", "amount"), [("it", "1.417,60 €"), ("el", "1.417,60 €"), ("en", "€1,417.60")])
@pytest.mark.parametrize("notice", [SUSPENDED, WARNED], ids=lambda notice: notice.kind)
def test_while_it_can_be_saved_a_notice_says_how_to_pay(notice: Notice, locale: Locale, amount: str) -> None:
    facts = ("PF-2026-000123", "IT60 X054 2811 1010 0000 0123 456", "BPPIITRRXXX", "RF92 PF20 2600 0123", amount)
    for body in bodies(content(replace(notice, locale=locale), ISSUER)):
        assert all(fact in body for fact in facts)


@pytest.mark.parametrize(
    ("locale", "sentence"),
    [
        ("it", "Per questo servizio non c’è più nulla da pagare."),
        ("el", "Για αυτή την υπηρεσία δεν οφείλετε πλέον τίποτα."),
        ("en", "There is nothing left to pay for this service."),
    ],
)
def test_for_a_deleted_service_nothing_is_to_pay(locale: Locale, sentence: str) -> None:
    for body in bodies(content(replace(DELETED, locale=locale), ISSUER)):
        assert sentence in body
        assert "PF-2026-000123" in body
        assert not re.search(r"IBAN|417", body)


def test_a_notice_that_asks_for_money_says_to_whom() -> None:
    with pytest.raises(ValueError, match="a deletion-warning asks for money and names no payee"):
        content(replace(WARNED, payee=None), ISSUER)


@pytest.mark.parametrize("locale", LOCALES)
@each_notice
def test_what_is_not_known_leaves_no_empty_words(notice: Notice, locale: Locale) -> None:
    bare = replace(notice, locale=locale, reference="", contact=Contact("D'Alò", None, None))
    mail = content(bare, Issuer("Lifecycle S.r.l."))
    assert mail.text.endswith(":\n\n  D'Alò\n\n-- \nLifecycle S.r.l.\n")
    labels = r"E-mail|Telefono|Τηλέφωνο|Telephone|Riferimento|Αναφορά|Reference|IVA|ΑΦΜ|VAT|None"
    assert not any(re.search(labels, body) for body in bodies(mail))


@each_notice
def test_names_are_text_and_never_markup(notice: Notice) -> None:
    mail = content(notice, ISSUER)
    assert "Gentile O&#39;Brien &amp; Figli &lt;srl&gt;," in mail.html
    assert not re.search(r"<srl>|&amp;(lt|#39|amp)", mail.html)
    assert mail.text.startswith("Gentile O'Brien & Figli <srl>,\n\nil servizio")
