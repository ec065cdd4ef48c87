"""The two notices as customers get them, in three languages."""

import re
from dataclasses import replace
from datetime import date

import pytest

from lifecycle.rendering.licence_notice import content
from lifecycle.rendering.templates import Issuer
from lifecycle.rules.languages import LOCALES, Locale
from lifecycle.rules.licence_notice import Contact, Notice, NoticeKind

ISSUER = Issuer("Lifecycle S.r.l.", "Via Roma 1, 33100 Udine", "IT01234567890")
RESELLER = Contact("D'Alò <srl>", "info@dalo.example", "+39 0432 123456")
EXPIRED = Notice(
    NoticeKind.EXPIRED_3_MONTHS,
    customer_name="O'Brien & Figli <srl>",
    licence="L-20",
    reference="sito20.it",
    product="Cloud",
    locale="it",
    expires_on=date(2019, 3, 31),
    access_ends_on=date(2019, 10, 1),
    contact=RESELLER,
    direct=False,
)
DISABLED = replace(EXPIRED, kind=NoticeKind.ACCESS_DISABLED)


@pytest.mark.parametrize(
    ("locale", "subject", "sentences"),
    [
        (
            "it",
            "Licenza scaduta: Cloud (L-20)",
            ("è scaduta in data 31 marzo 2019", "se la licenza non viene rinnovata", "dal giorno 1º ottobre 2019."),
        ),
        (
            "el",
            "Έληξε η άδεια: Cloud (L-20)",
            ("ίσχυε έως και 31 Μαρτίου 2019", "αν η άδεια δεν ανανεωθεί", "θα διακοπεί από 1 Οκτωβρίου 2019."),
        ),
        (
            "en",
            "Licence expired: Cloud (L-20)",
            ("expired on 31 March 2019", "unless the licence is renewed", "will be disabled on 1 October 2019."),
        ),
    ],
)
def test_the_first_notice_says_what_expired_and_when_access_will_end(
    locale: Locale, subject: str, sentences: tuple[str, ...]
) -> None:
    mail = content(replace(EXPIRED, locale=locale), ISSUER)
    assert mail.subject == subject
    for body in (mail.text, _read(mail.html)):
        assert all(sentence in body for sentence in sentences)


@pytest.mark.parametrize(
    ("locale", "subject", "sentences"),
    [
        (
            "it",
            "Accesso disattivato: Cloud (L-20)",
            ("L’accesso è stato quindi disattivato in data 1º ottobre 2019.", "Rinnovando la licenza si riattiva."),
        ),
        (
            "el",
            "Διακοπή πρόσβασης: Cloud (L-20)",
            (
                "Η πρόσβαση έχει επομένως διακοπεί από 1 Οκτωβρίου 2019.",
                "Με την ανανέωση της άδειας ενεργοποιείται ξανά.",
            ),
        ),
        (
            "en",
            "Access disabled: Cloud (L-20)",
            ("Access was therefore disabled on 1 October 2019.", "Renewing the licence brings it back."),
        ),
    ],
)
def test_the_second_notice_says_that_access_has_ended_and_what_brings_it_back(
    locale: Locale, subject: str, sentences: tuple[str, ...]
) -> None:
    mail = content(replace(DISABLED, locale=locale), ISSUER)
    assert mail.subject == subject
    for body in (mail.text, _read(mail.html)):
        assert all(sentence in body for sentence in sentences)


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("notice", [EXPIRED, DISABLED], ids=lambda notice: notice.kind)
def test_a_notice_names_the_customer_the_licence_the_contact_and_the_issuer(notice: Notice, locale: Locale) -> None:
    mail = content(replace(notice, locale=locale), ISSUER)
    facts = (
        "O'Brien & Figli <srl>",
        "Cloud",
        "L-20",
        "sito20.it",
        "D'Alò <srl>",
        "info@dalo.example",
        "+39 0432 123456",
    )
    for body in (mail.text, _read(mail.html)):
        assert all(fact in body for fact in (*facts, ISSUER.name, ISSUER.address, "IT01234567890"))
    assert f'<html lang="{locale}">' in mail.html


@pytest.mark.parametrize("locale", LOCALES)
def test_a_late_notice_names_the_later_day_and_no_number_of_months(locale: Locale) -> None:
    mail = content(replace(EXPIRED, locale=locale, access_ends_on=date(2020, 2, 15)), ISSUER)
    for body in (mail.text, _read(mail.html)):
        assert body.count("2020") == 2  # in the sentence and among the facts
        assert not re.search(r"mesi|μήν|month", body)


@pytest.mark.parametrize(
    ("locale", "reseller", "issuer"),
    [
        ("it", "rivolgersi al proprio rivenditore:", "Per il rinnovo siamo a disposizione:"),
        ("el", "στον μεταπωλητή σας:", "Για την ανανέωση είμαστε στη διάθεσή σας:"),
        ("en", "contact your reseller:", "contact us:"),
    ],
)
@pytest.mark.parametrize("notice", [EXPIRED, DISABLED], ids=lambda notice: notice.kind)
def test_a_direct_customer_is_not_sent_to_a_reseller(
    notice: Notice, locale: Locale, reseller: str, issuer: str
) -> None:
    through = content(replace(notice, locale=locale), ISSUER)
    direct = content(replace(notice, locale=locale, direct=True), ISSUER)
    for ours, theirs in ((direct.text, through.text), (direct.html, through.html)):
        assert issuer in ours
        assert reseller not in ours
        assert reseller in theirs
        assert issuer not in theirs


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("notice", [EXPIRED, DISABLED], ids=lambda notice: notice.kind)
def test_what_is_not_known_leaves_no_empty_words(notice: Notice, locale: Locale) -> None:
    bare = replace(notice, locale=locale, reference="", contact=Contact("D'Alò", None, None))
    mail = content(bare, Issuer("Lifecycle S.r.l."))
    assert mail.text.endswith(":\n\n  D'Alò\n\n-- \nLifecycle S.r.l.\n")
    labels = r"E-mail|Telefono|Τηλέφωνο|Telephone|Riferimento|Αναφορά|Reference|IVA|ΑΦΜ|VAT|None"
    assert not re.search(labels, mail.text + mail.html)


def test_names_are_text_and_never_markup() -> None:
    mail = content(EXPIRED, ISSUER)
    assert "Gentile O&#39;Brien &amp; Figli &lt;srl&gt;," in mail.html
    assert "<srl>" not in mail.html
    assert mail.text.startswith("Gentile O'Brien & Figli <srl>,\n\nla licenza")


def _read(html: str) -> str:
    """The page's words as a person reads them."""
    text = re.sub(r"<[^>]*>", "", html)
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&#39;", "'").replace("&amp;", "&")
