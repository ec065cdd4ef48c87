"""Certificates of erasure and the mail that brings one, in three languages, read back by another program."""

from dataclasses import replace
from datetime import date, datetime
from io import BytesIO
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from lxml import html
from pypdf import PdfReader

from lifecycle.rendering.erasure_certificate import file_name, mail, pdf
from lifecycle.rendering.templates import Issuer
from lifecycle.rules.erasure import ACTIVE_AGAIN, ERASED_BEFORE, Certificate, Criteria, Kept, Preset
from lifecycle.rules.languages import LOCALES, Locale
from tests.cards import ISSUER

ROME = ZoneInfo("Europe/Rome")
CERTIFICATE = Certificate(
    erasure=UUID("1b4e28ba-2fa1-11d2-883f-0016d3cca427"),
    criteria=Criteria.of_preset(date(2026, 11, 22), Preset.YEARS_2),
    segment="",
    shown_at=datetime(2026, 11, 22, 9, 0, 1, tzinfo=ROME),
    digest="9ccb728d8e4ad845",
    inactive=1_290,
    kept=48,
    kept_by=((Kept.UNEXPIRED, 46), (Kept.HOLD, 3)),
    shown=1_242,
    taken_out=2,
    left_out=((ACTIVE_AGAIN, 4), (f"{ACTIVE_AGAIN}, {Kept.OPEN_CARD}", 1)),
    erased=1_235,
    portions=7,
    approved_by="anna",
    approved_at=datetime(2026, 11, 22, 14, 3, 22, tzinfo=ROME),
    finished_at=datetime(2026, 11, 22, 14, 3, 24, tzinfo=ROME),
)
EVERYTHING = replace(
    CERTIFICATE,
    segment=f"reseller={','.join(f'R-{number:04}' for number in range(160))} policy=licence",
    kept_by=tuple((reason, 8) for reason in Kept),
    left_out=tuple((reason, 1) for reason in (*Kept, ACTIVE_AGAIN, ERASED_BEFORE, ", ".join((ACTIVE_AGAIN, *Kept)))),
)


def pages(certificate: Certificate, locale: Locale, issuer: Issuer = ISSUER) -> list[str]:
    return [page.extract_text() for page in PdfReader(BytesIO(pdf(certificate, issuer, locale))).pages]


@pytest.mark.parametrize(
    ("locale", "phrases"),
    [
        (
            "it",
            [
                "Certificato di cancellazione",
                "Periodo di inattività 2 anni senza appuntamenti, e nessuno in seguito",
                "Primo giorno del periodo 22 novembre 2024",
                "Data di riferimento 22 novembre 2026",
                "Parte dei clienti tutti",
                "Clienti inattivi trovati 1.290\nConservati 48\n",
                "abbonamento non scaduto 46\nvincolo di un operatore 3\n",
                "Mostrati all’amministratore 1.242\nTolti dall’amministratore 2\n",
                (
                    "Lasciati fuori all’ultimo controllo 5\ndi nuovo attivo 4\n"
                    "di nuovo attivo, scheda di addebito aperta 1\n"
                ),
                "Clienti cancellati 1.235",
                "Approvata dall’operatore anna\nApprovata il 22 novembre 2026, 14:03:22 CET",
                "Impronta di ciò che è stato approvato 9ccb728d8e4ad845",
                "Conclusa il 22 novembre 2026, 14:03:24 CET",
                "Righe nel registro delle cancellazioni 7",
                "La cancellazione non si può annullare.",
                "Pagina 1 di 1",
            ],
        ),
        (
            "el",
            [
                "Πιστοποιητικό διαγραφής",
                "2 έτη χωρίς ραντεβού, και κανένα αργότερα",
                "Διατηρήθηκαν 48\nσυνδρομή που δεν έχει λήξει 46\nδέσμευση από χειριστή 3\n",
                "Πελάτες που διαγράφηκαν 1.235",
                "22 Νοεμβρίου 2026, 14:03:22 CET",
                "Η διαγραφή δεν αναιρείται.",
            ],
        ),
        (
            "en",
            [
                "Certificate of erasure",
                "2 years without an appointment, and none after it",
                "Kept 48\nsubscription not expired 46\nhold placed by an operator 3\n",
                "Customers erased 1,235",
                "22 November 2026, 14:03:22 CET",
                "Erasing cannot be undone.",
            ],
        ),
    ],
)
def test_says_what_was_asked_found_approved_and_done(locale: Locale, phrases: list[str]) -> None:
    (said,) = pages(CERTIFICATE, locale)
    for phrase in (*phrases, *("Lifecycle S.r.l.", "IT01234567890", str(CERTIFICATE.erasure))):
        assert phrase in said


@pytest.mark.parametrize(
    ("period", "said"), [("1 year", "1 anno"), ("1 days", "1 giorno"), ("30 days", "30 giorni"), ("5 years", "5 anni")]
)
def test_periods_are_written_in_words(period: str, said: str) -> None:
    asked = replace(CERTIFICATE, criteria=replace(CERTIFICATE.criteria, period=period))
    assert f"{said} senza appuntamenti" in pages(asked, "it")[0]


def test_says_how_many_are_left_for_the_next_one_where_there_were_too_many_to_show() -> None:
    assert "Left for" not in pages(CERTIFICATE, "en")[0]
    assert "Left for the next erasure 8,710\n" in pages(replace(CERTIFICATE, inactive=10_000), "en")[0]


@pytest.mark.parametrize("locale", LOCALES)
def test_long_criteria_and_all_reasons_are_said_in_full_on_further_sheets(locale: Locale) -> None:
    issuer = Issuer("Società Cooperativa " * 8, "Via del Molino Nuovo 128, " * 9, "IT01234567890")
    made = pages(EVERYTHING, locale, issuer)
    assert len(made) == 2
    assert "…" not in "".join(made)[500:]
    for number in range(160):
        assert f"R-{number:04}" in made[0]
    assert all(str(EVERYTHING.erasure) in page for page in made)


@pytest.mark.parametrize("locale", LOCALES)
def test_the_same_certificate_makes_the_same_bytes(locale: Locale) -> None:
    assert pdf(EVERYTHING, ISSUER, locale) == pdf(EVERYTHING, ISSUER, locale)


def test_a_certificates_file_is_named_by_its_day_and_id() -> None:
    assert file_name(CERTIFICATE) == "erasure-2026-11-22-1b4e28ba.pdf"


@pytest.mark.parametrize(
    ("locale", "subject", "phrases"),
    [
        (
            "it",
            "Cancellazione di clienti conclusa: 1.235",
            [
                "Gentile Anna <Bianchi>,",
                "Clienti cancellati: 1.235.",
                "Tolti da voi: 2",
                (
                    "Lasciati fuori all’ultimo controllo: 5 "
                    "(di nuovo attivo: 4; di nuovo attivo, scheda di addebito aperta: 1)"
                ),
                "Non si può annullare.",
            ],
        ),
        (
            "el",
            "Ολοκληρώθηκε η διαγραφή πελατών: 1.235",
            ["Προς: Anna <Bianchi>", "Πελάτες που διαγράφηκαν: 1.235.", "Δεν αναιρείται."],
        ),
        (
            "en",
            "Customers erased: 1,235",
            ["Dear Anna <Bianchi>,", "Customers erased: 1,235.", "Approved by the operator: anna", "cannot be undone."],
        ),
    ],
)
def test_the_mail_says_the_same_in_short(locale: Locale, subject: str, phrases: list[str]) -> None:
    content = mail(CERTIFICATE, "Anna <Bianchi>", ISSUER, locale)
    assert content.subject == subject
    page = " ".join(str(html.fromstring(content.html).xpath("string()")).split())
    for phrase in phrases:
        assert phrase in content.text
        assert all(part in page for part in phrase.split(": "))
    assert CERTIFICATE.digest in content.text
    assert CERTIFICATE.digest in page


def test_where_nobody_was_left_out_the_mail_says_so() -> None:
    content = mail(replace(CERTIFICATE, left_out=()), "Anna", ISSUER, "en")
    assert "Left out at the last look: 0\n" in content.text
