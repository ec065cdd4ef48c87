"""Certificates of erasure as PDFs, and the mail that brings one to the administrator: in the installation's language.

They name no customer. Text is drawn, never read as markup.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from lifecycle.rendering.locales import long_day, moment, number
from lifecycle.rendering.paper import HEIGHT, WIDTH, Page
from lifecycle.rendering.paper import document as written
from lifecycle.rendering.templates import Content, Issuer, render
from lifecycle.rendering.typeface import Style, Weight
from lifecycle.rules.documents import Document
from lifecycle.rules.erasure import ACTIVE_AGAIN, ERASED_BEFORE, Certificate, Kept
from lifecycle.rules.languages import Locale

_INK, _GREY, _LINE, _TINT = "0.12 0.14 0.16", "0.41 0.44 0.49", "0.87 0.89 0.91", "0.94 0.96 0.965"
_ACCENT = "0.08 0.33 0.40"

_TITLE = Style(Weight.BOLD, 20, _ACCENT)
_NAME = Style(Weight.BOLD, 12.5, _INK)
_HEADING = Style(Weight.BOLD, 10.5, _ACCENT)
_STRONG = Style(Weight.BOLD, 9, _INK)
_TEXT = Style(Weight.REGULAR, 9, _INK)
_SMALL = Style(Weight.REGULAR, 8.5, _GREY)
_FOOT = Style(Weight.REGULAR, 7.5, _GREY)
_TOTAL = Style(Weight.BOLD, 13, _ACCENT)

_LEFT, _RIGHT = 64.0, WIDTH - 64
_VALUES = 250.0
"""Where what stands beside a label begins."""
_INDENT = 16.0
_BOTTOM = HEIGHT - 62
_LEADING = 11.5
_MOST_LINES = 40
"""Of a segment: more than anybody types."""


@dataclass(frozen=True, slots=True)
class _Words:
    """The words of a certificate in one language."""

    title: str
    vat_number: str
    criteria: str
    period: str
    period_of: str
    since: str
    day: str
    segment: str
    all_customers: str
    figures: str
    inactive: str
    kept: str
    left_for_later: str
    shown: str
    taken_out: str
    left_out: str
    erased: str
    several: str
    approval: str
    shown_at: str
    approved_by: str
    approved_at: str
    finished_at: str
    digest: str
    portions: str
    meaning: str
    what_it_means: str
    for_ever: str
    page: str
    units: dict[str, str]
    """Of periods: "1 year" has another word than "2 years"."""
    reasons: dict[str, str]


_WORDS: dict[Locale, _Words] = {
    "it": _Words(
        title="Certificato di cancellazione",
        vat_number="Partita IVA",
        criteria="Che cosa è stato chiesto",
        period="Periodo di inattività",
        period_of="{} senza appuntamenti, e nessuno in seguito",
        since="Primo giorno del periodo",
        day="Data di riferimento",
        segment="Parte dei clienti",
        all_customers="tutti",
        figures="Che cosa è stato trovato e fatto",
        inactive="Clienti inattivi trovati",
        kept="Conservati",
        left_for_later="Lasciati a una prossima cancellazione",
        shown="Mostrati all’amministratore",
        taken_out="Tolti dall’amministratore",
        left_out="Lasciati fuori all’ultimo controllo",
        erased="Clienti cancellati",
        several="Chi è conservato per più motivi è contato in ciascuno.",
        approval="Chi l’ha approvata e quando",
        shown_at="Mostrata il",
        approved_by="Approvata dall’operatore",
        approved_at="Approvata il",
        finished_at="Conclusa il",
        digest="Impronta di ciò che è stato approvato",
        portions="Righe nel registro delle cancellazioni",
        meaning="Che cosa significa",
        what_it_means=(
            "La cancellazione elimina per sempre tutto ciò che identifica o descrive un cliente, o permette di "
            "contattarlo: nome, recapiti, codice fiscale e partita IVA, note, testi che lo riguardano, mail conservate "
            "o ancora da inviare, documenti con il suo nome. Ciò che l’azienda ha fatto resta, ma senza nome: "
            "appuntamenti, pagamenti, schede e cifre; dove compariva un nome c’è ora un cliente sconosciuto. I clienti "
            "cancellati sono annotati, con soli numeri casuali, anche in un registro esterno alla base dati, così che "
            "il ripristino di una copia meno recente non li faccia tornare. Questo certificato non nomina nessuno."
        ),
        for_ever="La cancellazione non si può annullare.",
        page="Pagina {} di {}",
        units={"day": "giorno", "days": "giorni", "year": "anno", "years": "anni"},
        reasons={
            Kept.UNEXPIRED: "abbonamento non scaduto",
            Kept.NOT_CLOSED: "abbonamento non ancora chiuso",
            Kept.OPEN_CARD: "scheda di addebito aperta",
            Kept.OWED: "importi dovuti",
            Kept.HOLD: "vincolo di un operatore",
            Kept.BEING_SENT: "una mail in corso di invio",
            ACTIVE_AGAIN: "di nuovo attivo",
            ERASED_BEFORE: "già cancellato",
        },
    ),
    "el": _Words(
        title="Πιστοποιητικό διαγραφής",
        vat_number="ΑΦΜ",
        criteria="Τι ζητήθηκε",
        period="Περίοδος αδράνειας",
        period_of="{} χωρίς ραντεβού, και κανένα αργότερα",
        since="Πρώτη ημέρα της περιόδου",
        day="Ημερομηνία αναφοράς",
        segment="Τμήμα των πελατών",
        all_customers="όλοι",
        figures="Τι βρέθηκε και τι έγινε",
        inactive="Αδρανείς πελάτες που βρέθηκαν",
        kept="Διατηρήθηκαν",
        left_for_later="Έμειναν για επόμενη διαγραφή",
        shown="Εμφανίστηκαν στον διαχειριστή",
        taken_out="Εξαιρέθηκαν από τον διαχειριστή",
        left_out="Έμειναν εκτός στον τελευταίο έλεγχο",
        erased="Πελάτες που διαγράφηκαν",
        several="Όποιος διατηρείται για περισσότερους λόγους μετρά σε καθέναν.",
        approval="Ποιος την ενέκρινε και πότε",
        shown_at="Εμφανίστηκε",
        approved_by="Εγκρίθηκε από τον χειριστή",
        approved_at="Εγκρίθηκε",
        finished_at="Ολοκληρώθηκε",
        digest="Αποτύπωμα όσων εγκρίθηκαν",
        portions="Γραμμές στο μητρώο διαγραφών",
        meaning="Τι σημαίνει",
        what_it_means=(
            "Η διαγραφή αφαιρεί για πάντα ό,τι κατονομάζει ή περιγράφει έναν πελάτη ή επιτρέπει την επικοινωνία μαζί "
            "του: όνομα, διευθύνσεις, τηλέφωνο, ΑΦΜ, σημειώσεις, κείμενα που τον αφορούν, μηνύματα που φυλάσσονται ή "
            "δεν έχουν ακόμη σταλεί, έγγραφα με το όνομά του. Ό,τι έκανε η επιχείρηση μένει χωρίς όνομα: ραντεβού, "
            "πληρωμές, καρτέλες και ποσά· όπου εμφανιζόταν ένα όνομα υπάρχει πλέον ένας άγνωστος πελάτης. Οι πελάτες "
            "που διαγράφηκαν σημειώνονται, μόνο με τυχαίους αριθμούς, και σε μητρώο έξω από τη βάση δεδομένων, ώστε η "
            "επαναφορά παλαιότερου αντιγράφου να μην τους φέρνει πίσω. Το παρόν πιστοποιητικό δεν κατονομάζει κανέναν."
        ),
        for_ever="Η διαγραφή δεν αναιρείται.",
        page="Σελίδα {} από {}",
        units={"day": "ημέρα", "days": "ημέρες", "year": "έτος", "years": "έτη"},
        reasons={
            Kept.UNEXPIRED: "συνδρομή που δεν έχει λήξει",
            Kept.NOT_CLOSED: "συνδρομή που δεν έχει κλείσει",
            Kept.OPEN_CARD: "ανοικτή Καρτέλα Χρέωσης",
            Kept.OWED: "οφειλόμενα ποσά",
            Kept.HOLD: "δέσμευση από χειριστή",
            Kept.BEING_SENT: "μήνυμα που αποστέλλεται",
            ACTIVE_AGAIN: "και πάλι ενεργός",
            ERASED_BEFORE: "είχε ήδη διαγραφεί",
        },
    ),
    "en": _Words(
        title="Certificate of erasure",
        vat_number="VAT number",
        criteria="What was asked for",
        period="Period of inactivity",
        period_of="{} without an appointment, and none after it",
        since="First day of the period",
        day="Business date",
        segment="Part of the customers",
        all_customers="all of them",
        figures="What was found and done",
        inactive="Inactive customers found",
        kept="Kept",
        left_for_later="Left for the next erasure",
        shown="Shown to the administrator",
        taken_out="Taken out by the administrator",
        left_out="Left out at the last look",
        erased="Customers erased",
        several="Who is kept for several reasons is counted with each.",
        approval="Who approved it, and when",
        shown_at="Shown on",
        approved_by="Approved by the operator",
        approved_at="Approved on",
        finished_at="Finished on",
        digest="Digest of what was approved",
        portions="Lines in the ledger of erasures",
        meaning="What it means",
        what_it_means=(
            "Erasing takes away for ever what names or describes a customer, or allows to reach one: name, addresses, "
            "telephone, tax number, notes, texts about the customer, mails that are kept or still to be sent, "
            "documents with the name. What the business did stays without it: appointments, payments, cards and "
            "figures; where a name was shown there is now an unknown customer. The erased customers are also noted, by "
            "random numbers alone, in a ledger outside of the database, so that restoring an older backup does not "
            "bring them back. This certificate names nobody."
        ),
        for_ever="Erasing cannot be undone.",
        page="Page {} of {}",
        units={"day": "day", "days": "days", "year": "year", "years": "years"},
        reasons={
            Kept.UNEXPIRED: "subscription not expired",
            Kept.NOT_CLOSED: "subscription not closed yet",
            Kept.OPEN_CARD: "open billing card",
            Kept.OWED: "money owed",
            Kept.HOLD: "hold placed by an operator",
            Kept.BEING_SENT: "a mail is being sent",
            ACTIVE_AGAIN: "active again",
            ERASED_BEFORE: "erased before",
        },
    ),
}

_LANGUAGES: dict[Locale, str] = {"it": "it-IT", "el": "el-GR", "en": "en-GB"}


def file_name(certificate: Certificate) -> str:
    """``erasure-2026-11-22-1b4e28ba.pdf``: the business date and the beginning of the erasure's id."""
    return Document.CERTIFICATE.named(certificate.criteria.day, certificate.erasure.hex[:8])


@dataclass(frozen=True, slots=True)
class _Figure:
    label: str
    value: int
    is_part: bool = False
    """Of the figure above."""


def pdf(certificate: Certificate, issuer: Issuer, locale: Locale) -> bytes:
    """The certificate, an A4 sheet, or more where the criteria are long. The same one makes the same bytes."""
    words = _WORDS[locale]
    sheets = _Sheets()
    _header(sheets, certificate, issuer, words)
    sheets.heading(words.criteria)
    for label, value in _criteria(certificate, words, locale):
        sheets.fact(label, value)
    sheets.heading(words.figures)
    for figure in _figures(certificate, words):
        sheets.figure(figure, locale)
    if len(certificate.kept_by) > 1:
        sheets.paragraph(words.several, _SMALL)
    sheets.total(words.erased, number(certificate.erased, locale))
    sheets.heading(words.approval)
    for label, value in _approval(certificate, words, locale):
        sheets.fact(label, value)
    sheets.heading(words.meaning)
    sheets.paragraph(words.what_it_means, _TEXT)
    sheets.paragraph(words.for_ever, _STRONG)
    for at, page in enumerate(sheets.pages, start=1):
        _foot(page, certificate, words, words.page.format(number(at, locale), number(len(sheets.pages), locale)))
    return written(sheets.pages, f"{words.title} {certificate.erasure}", issuer.name, _LANGUAGES[locale])


def mail(certificate: Certificate, operator_name: str, issuer: Issuer, locale: Locale) -> Content:
    """The mail to the administrator who approved; the certificate is attached to it."""
    words = _WORDS[locale]
    return render(
        "erasure_done",
        locale,
        operator_name=operator_name,
        erased=number(certificate.erased, locale),
        day=long_day(certificate.criteria.day, locale),
        period=_period(certificate.criteria.period, words, locale),
        shown=number(certificate.shown, locale),
        taken_out=number(certificate.taken_out, locale),
        left_out=_left_out(certificate, words, locale),
        kept=number(certificate.kept, locale),
        approved_by=certificate.approved_by,
        approved_at=moment(certificate.approved_at, locale),
        finished_at=moment(certificate.finished_at, locale),
        digest=certificate.digest,
        issuer=issuer,
    )


# -- what it says ----------------------------------------------------------------------------------------------------


def _criteria(certificate: Certificate, words: _Words, locale: Locale) -> list[tuple[str, str]]:
    asked = certificate.criteria
    return [
        (words.period, words.period_of.format(_period(asked.period, words, locale))),
        (words.since, long_day(asked.since, locale)),
        (words.day, long_day(asked.day, locale)),
        (words.segment, certificate.segment.replace(",", ", ") or words.all_customers),
    ]


def _figures(certificate: Certificate, words: _Words) -> Iterator[_Figure]:
    yield _Figure(words.inactive, certificate.inactive)
    yield _Figure(words.kept, certificate.kept)
    for reason, count in certificate.kept_by:
        yield _Figure(words.reasons[reason], count, is_part=True)
    if later := certificate.inactive - certificate.kept - certificate.shown:
        yield _Figure(words.left_for_later, later)
    yield _Figure(words.shown, certificate.shown)
    yield _Figure(words.taken_out, certificate.taken_out)
    yield _Figure(words.left_out, sum(count for _, count in certificate.left_out))
    for left_out, count in certificate.left_out:
        yield _Figure(_reason(left_out, words), count, is_part=True)


def _approval(certificate: Certificate, words: _Words, locale: Locale) -> list[tuple[str, str]]:
    return [
        (words.shown_at, moment(certificate.shown_at, locale)),
        (words.approved_by, certificate.approved_by),
        (words.approved_at, moment(certificate.approved_at, locale)),
        (words.digest, certificate.digest),
        (words.finished_at, moment(certificate.finished_at, locale)),
        (words.portions, number(certificate.portions, locale)),
    ]


def _period(period: str, words: _Words, locale: Locale) -> str:
    count, unit = period.split()
    return f"{number(int(count), locale)} {words.units[unit if count != '1' else unit.removesuffix('s')]}"


def _reason(reason: str, words: _Words) -> str:
    return ", ".join(words.reasons[each] for each in reason.split(", "))


def _left_out(certificate: Certificate, words: _Words, locale: Locale) -> str:
    """``3 (di nuovo attivo: 2; vincolo di un operatore: 1)``."""
    left_out = certificate.left_out
    reasons = "; ".join(f"{_reason(reason, words)}: {number(count, locale)}" for reason, count in left_out)
    return number(sum(count for _, count in left_out), locale) + (f" ({reasons})" if reasons else "")


# -- how it is drawn -------------------------------------------------------------------------------------------------


class _Sheets:
    """Pages that are filled from top to bottom."""

    def __init__(self) -> None:
        self.pages: list[Page] = []
        self._y = _BOTTOM

    def take(self, height: float) -> tuple[Page, float]:
        """Room of that height: the page, and where it begins there."""
        if not self.pages or self._y + height > _BOTTOM:
            page = Page()
            page.box(0, 0, WIDTH, 5, _ACCENT)
            self.pages.append(page)
            self._y = 56.0
        top, self._y = self._y, self._y + height
        return self.pages[-1], top

    def heading(self, text: str) -> None:
        """Not at the foot of a page, away from what it is about."""
        if self._y + 80 > _BOTTOM:
            self._y = _BOTTOM
        page, y = self.take(33)
        page.text(_LEFT, y + 23, text, _HEADING)
        page.rule(_LEFT, _RIGHT, y + 29, _INK, 0.9)

    def fact(self, label: str, value: str) -> None:
        lines = _TEXT.lines(value, _RIGHT - _VALUES, _MOST_LINES)
        page, y = self.take(6.5 + _LEADING * max(len(lines), 1))
        page.text(_LEFT, y + 13, label, _SMALL, _VALUES - _LEFT - 8)
        for at, line in enumerate(lines):
            page.text(_VALUES, y + 13 + at * _LEADING, line, _TEXT)
        page.rule(_LEFT, _RIGHT, y + 6 + _LEADING * max(len(lines), 1), _LINE, 0.6)

    def figure(self, figure: _Figure, locale: Locale) -> None:
        style, left = (_SMALL, _LEFT + _INDENT) if figure.is_part else (_TEXT, _LEFT)
        lines = style.lines(figure.label, _RIGHT - left - 80, 4)
        page, y = self.take((4.5 if figure.is_part else 6.5) + _LEADING * len(lines))
        for at, line in enumerate(lines):
            page.text(left, y + 12 + at * _LEADING, line, style)
        page.text_right(_RIGHT, y + 12, number(figure.value, locale), style)

    def total(self, label: str, value: str) -> None:
        page, y = self.take(36)
        page.box(_LEFT, y + 4, _RIGHT - _LEFT, 28, _TINT)
        page.box(_LEFT, y + 4, 3, 28, _ACCENT)
        page.text(_LEFT + 14, y + 22, label, _HEADING)
        page.text_right(_RIGHT - 14, y + 23, value, _TOTAL)

    def paragraph(self, text: str, style: Style) -> None:
        lines = style.lines(text, _RIGHT - _LEFT, _MOST_LINES)
        page, y = self.take(8 + _LEADING * len(lines))
        for at, line in enumerate(lines):
            page.text(_LEFT, y + 14 + at * _LEADING, line, style)


def _header(sheets: _Sheets, certificate: Certificate, issuer: Issuer, words: _Words) -> None:
    page, top = sheets.take(104)
    vat_number = f"{words.vat_number} {issuer.vat_number}" if issuer.vat_number else ""
    y = top
    for style, text, most in ((_NAME, issuer.name, 2), (_SMALL, issuer.address, 3), (_SMALL, vat_number, 1)):
        for line in style.lines(text, _RIGHT - _LEFT, most):
            page.text(_LEFT, y + 8, line, style)
            y += style.size + 3
    page.text(_LEFT, top + 78, words.title, _TITLE)
    page.text(_LEFT, top + 94, str(certificate.erasure), _SMALL)


def _foot(page: Page, certificate: Certificate, words: _Words, page_of: str) -> None:
    page.rule(_LEFT, _RIGHT, HEIGHT - 44, _LINE, 0.6)
    page.text(_LEFT, HEIGHT - 32, f"{words.title} {certificate.erasure}", _FOOT)
    page.text_right(_RIGHT, HEIGHT - 32, page_of, _FOOT)
