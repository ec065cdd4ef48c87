"""How consents stand as a spreadsheet, in the installation's language: figures and codes, nobody's name."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lifecycle.rendering.locales import long_day
from lifecycle.rendering.spreadsheet import Value, spreadsheet
from lifecycle.rules.consent_report import ConsentReport
from lifecycle.rules.contact import Basis, ContactChannel
from lifecycle.rules.languages import Locale


@dataclass(frozen=True, slots=True)
class _Words:
    """The words of the spreadsheet in one language; of each sheet its name and headings."""

    title: str
    types: tuple[str, ...]
    lapsing: tuple[str, ...]
    channels: tuple[str, ...]
    motives: tuple[str, ...]
    contacts: tuple[str, ...]
    of_channel: dict[ContactChannel, str]
    of_basis: dict[Basis, str]
    yes: str
    no: str
    date_format: str


_WORDS: dict[Locale, _Words] = {
    "it": _Words(
        title="Consensi",
        types=(
            "Tipi di consenso",
            "Codice",
            "Titolo",
            "Clienti che lo hanno dato",
            "Validi",
            "Di cui in scadenza entro 30 giorni",
            "Scaduti",
            "Ritirati",
        ),
        lapsing=("In scadenza", "Codice cliente", "Tipo di consenso", "Ultimo giorno"),
        channels=(
            "Canali",
            "Canale",
            "Consenso richiesto",
            "Impostato da",
            "Dal",
            "Clienti con consenso",
            "Clienti che si sono opposti",
            "Di cui opposizione in vigore",
        ),
        motives=("Motivi", "Mese", "Operatore", "Motivo", "Canale", "Contatti"),
        contacts=("Contatti", "Mese", "Canale", "Base", "Contatti"),
        of_channel={
            ContactChannel.BULK: "Mail collettiva",
            ContactChannel.SINGLE: "Mail singola",
            ContactChannel.CONTACT: "Telefono",
        },
        of_basis={
            Basis.DUTY: "Obbligo",
            Basis.CONSENT: "Consenso",
            Basis.MOTIVE: "Motivo",
            Basis.UNASKED: "Non richiesta",
        },
        yes="Sì",
        no="No",
        date_format="dd/mm/yyyy",
    ),
    "el": _Words(
        title="Συγκαταθέσεις",
        types=(
            "Τύποι συγκατάθεσης",
            "Κωδικός",
            "Τίτλος",
            "Πελάτες που την έδωσαν",
            "Σε ισχύ",
            "Εκ των οποίων λήγουν σε 30 ημέρες",
            "Έχουν λήξει",
            "Έχουν ανακληθεί",
        ),
        lapsing=("Λήγουν σύντομα", "Κωδικός πελάτη", "Τύπος συγκατάθεσης", "Τελευταία ημέρα"),
        channels=(
            "Κανάλια",
            "Κανάλι",
            "Απαιτείται συγκατάθεση",
            "Ορίστηκε από",
            "Από",
            "Πελάτες με συγκατάθεση",
            "Πελάτες που εναντιώθηκαν",
            "Εκ των οποίων σε ισχύ",
        ),
        motives=("Λόγοι επικοινωνίας", "Μήνας", "Χειριστής", "Λόγος", "Κανάλι", "Επικοινωνίες"),
        contacts=("Επικοινωνίες", "Μήνας", "Κανάλι", "Βάση", "Επικοινωνίες"),
        of_channel={
            ContactChannel.BULK: "Μαζικό e-mail",
            ContactChannel.SINGLE: "Ατομικό e-mail",
            ContactChannel.CONTACT: "Τηλέφωνο",
        },
        of_basis={
            Basis.DUTY: "Υποχρέωση",
            Basis.CONSENT: "Συγκατάθεση",
            Basis.MOTIVE: "Λόγος επικοινωνίας",
            Basis.UNASKED: "Δεν απαιτείται",
        },
        yes="Ναι",
        no="Όχι",
        date_format="d/m/yyyy",
    ),
    "en": _Words(
        title="Consents",
        types=(
            "Consent types",
            "Code",
            "Title",
            "Customers who gave it",
            "Valid",
            "Of these lapsing within 30 days",
            "Lapsed",
            "Withdrawn",
        ),
        lapsing=("Lapsing", "Customer code", "Consent type", "Last day"),
        channels=(
            "Channels",
            "Channel",
            "Consent asked for",
            "Set by",
            "Since",
            "Customers with a consent",
            "Customers who objected",
            "Of these still objecting",
        ),
        motives=("Motives", "Month", "Operator", "Motive", "Channel", "Contacts"),
        contacts=("Contacts", "Month", "Channel", "Basis", "Contacts"),
        of_channel={
            ContactChannel.BULK: "Bulk mail",
            ContactChannel.SINGLE: "Single mail",
            ContactChannel.CONTACT: "Telephone",
        },
        of_basis={
            Basis.DUTY: "Duty",
            Basis.CONSENT: "Consent",
            Basis.MOTIVE: "Motive",
            Basis.UNASKED: "Not asked for",
        },
        yes="Yes",
        no="No",
        date_format="dd/mm/yyyy",
    ),
}


def workbook(found: ConsentReport, locale: Locale) -> bytes:
    """The spreadsheet (XLSX), typed days and numbers, nothing a formula. The same facts give the same bytes."""
    words = _WORDS[locale]
    return spreadsheet(
        f"{words.title}, {long_day(found.day, locale)}",
        found.day,
        words.date_format,
        [
            (words.types, ((t.code, t.title, t.given, t.valid, t.lapsing, t.lapsed, t.withdrawn) for t in found.types)),
            (words.lapsing, ((it.customer, it.consent_type, it.last_day) for it in found.lapsing)),
            (words.channels, _channels(found, words)),
            (words.motives, _motives(found, words)),
            (words.contacts, _contacts(found, words)),
        ],
    )


def _channels(found: ConsentReport, words: _Words) -> Iterable[Sequence[Value]]:
    for it in found.channels:
        asks = words.yes if it.asks else words.no
        yield (
            words.of_channel[it.channel],
            asks,
            it.operator,
            it.since,
            it.consenting,
            it.objected,
            it.objecting,
        )


def _motives(found: ConsentReport, words: _Words) -> Iterable[Sequence[Value]]:
    for it in found.motives:
        yield f"{it.month:%Y-%m}", it.operator, it.motive, words.of_channel[it.channel], it.contacts


def _contacts(found: ConsentReport, words: _Words) -> Iterable[Sequence[Value]]:
    for it in found.bases:
        yield f"{it.month:%Y-%m}", words.of_channel[it.channel], words.of_basis[it.basis], it.contacts
