"""The question whether a consent shall go on, in three languages."""

import re
from datetime import date
from html import unescape

import pytest

from lifecycle.rendering.consent_renewal import content
from lifecycle.rendering.templates import Issuer
from lifecycle.rules.languages import Locale

ISSUER = Issuer("Lifecycle S.r.l.", "Via Roma 1, 33100 Udine", "IT01234567890")


@pytest.mark.parametrize(
    ("locale", "subject", "words"),
    [
        (
            "it",
            "Il consenso «News & <co>» sta per scadere: desiderate rinnovarlo?",
            ("fino al giorno 8 marzo 2026 compreso", "rispondete a questa mail", "non occorre fare nulla"),
        ),
        (
            "el",
            "Η συγκατάθεση «News & <co>» λήγει σύντομα: επιθυμείτε να την ανανεώσετε;",
            ("έως και 8 Μαρτίου 2026", "απαντήστε σε αυτό το μήνυμα", "δεν χρειάζεται να κάνετε τίποτα"),
        ),
        (
            "en",
            "Your consent “News & <co>” is about to lapse: would you like to renew it?",
            ("until 8 March 2026, that day included", "answer this mail", "nothing you need to do"),
        ),
    ],
)
def test_it_names_the_consent_and_its_last_day_and_asks_for_an_answer(
    locale: Locale, subject: str, words: tuple[str, ...]
) -> None:
    mail = content("O'Brien & Figli <srl>", "News & <co>", date(2026, 3, 8), locale, ISSUER)
    assert mail.subject == subject
    for body in (mail.text, unescape(re.sub(r"<[^>]*>", "", mail.html))):
        assert all(word in body for word in (*words, "O'Brien & Figli <srl>", "News & <co>", ISSUER.name, "IT0123"))
    assert "<co>" not in mail.html
