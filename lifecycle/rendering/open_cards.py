"""Accounting's view of open cards as a spreadsheet, in the installation's language."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lifecycle.rendering.locales import customer_name, long_day
from lifecycle.rendering.spreadsheet import Value, spreadsheet
from lifecycle.rules.languages import Locale
from lifecycle.rules.open_cards import Age, OpenCards


@dataclass(frozen=True, slots=True)
class _Words:
    """The words of the spreadsheet in one language; of each sheet its name and headings."""

    title: str
    cards: tuple[str, ...]
    by_age: tuple[str, ...]
    credits: tuple[str, ...]
    suspended: tuple[str, ...]
    unassigned: tuple[str, ...]
    ages: dict[Age, str]
    all_ages: str
    open: str
    part_paid: str
    trial: str
    date_format: str


_WORDS: dict[Locale, _Words] = {
    "it": _Words(
        title="Schede di addebito aperte",
        cards=(
            "Schede aperte",
            "Scheda",
            "Codice cliente",
            "Cliente",
            "Emessa il",
            "Scadenza",
            "Giorni di ritardo",
            "Fascia",
            "Stato",
            "Revisione",
            "Valuta",
            "Totale",
            "Pagato",
            "Da pagare",
        ),
        by_age=("Per anzianità", "Valuta", "Fascia", "Schede", "Totale", "Pagato", "Da pagare"),
        credits=("Crediti", "Codice cliente", "Cliente", "Valuta", "Credito"),
        suspended=(
            "Servizi sospesi",
            "Servizio",
            "Riferimento",
            "Prodotto",
            "Codice cliente",
            "Cliente",
            "Sospeso dal",
            "Scheda",
            "Valuta",
            "Da pagare sulla scheda",
        ),
        unassigned=(
            "Pagamenti non attribuiti",
            "Riferimento bancario",
            "Ricevuto il",
            "Ordinante",
            "Causale",
            "Valuta",
            "Importo",
            "Attribuito",
            "Da attribuire",
        ),
        ages={
            Age.NOT_DUE: "Non scaduta",
            Age.WEEK: "1-7 giorni",
            Age.MONTH: "8-30 giorni",
            Age.TWO_MONTHS: "31-60 giorni",
            Age.LONGER: "Oltre 60 giorni",
        },
        all_ages="Totale",
        open="Aperta",
        part_paid="Pagata in parte",
        trial="Di prova",
        date_format="dd/mm/yyyy",
    ),
    "el": _Words(
        title="Ανοιχτές Καρτέλες Χρέωσης",
        cards=(
            "Ανοιχτές καρτέλες",
            "Καρτέλα",
            "Κωδικός πελάτη",
            "Πελάτης",
            "Ημερομηνία έκδοσης",
            "Λήξη",
            "Ημέρες καθυστέρησης",
            "Παλαιότητα",
            "Κατάσταση",
            "Αναθεώρηση",
            "Νόμισμα",
            "Σύνολο",
            "Πληρωμένο",
            "Υπόλοιπο",
        ),
        by_age=("Ανά παλαιότητα", "Νόμισμα", "Παλαιότητα", "Καρτέλες", "Σύνολο", "Πληρωμένο", "Υπόλοιπο"),
        credits=("Πιστώσεις", "Κωδικός πελάτη", "Πελάτης", "Νόμισμα", "Πίστωση"),
        suspended=(
            "Υπηρεσίες σε αναστολή",
            "Υπηρεσία",
            "Αναφορά",
            "Προϊόν",
            "Κωδικός πελάτη",
            "Πελάτης",
            "Σε αναστολή από",
            "Καρτέλα",
            "Νόμισμα",
            "Υπόλοιπο καρτέλας",
        ),
        unassigned=(
            "Αταύτιστες πληρωμές",
            "Κωδικός τράπεζας",
            "Ημερομηνία λήψης",
            "Πληρωτής",
            "Αιτιολογία",
            "Νόμισμα",
            "Ποσό",
            "Ταυτισμένο",
            "Αταύτιστο",
        ),
        ages={
            Age.NOT_DUE: "Δεν έχει λήξει",
            Age.WEEK: "1-7 ημέρες",
            Age.MONTH: "8-30 ημέρες",
            Age.TWO_MONTHS: "31-60 ημέρες",
            Age.LONGER: "Πάνω από 60 ημέρες",
        },
        all_ages="Σύνολο",
        open="Ανοιχτή",
        part_paid="Μερικώς πληρωμένη",
        trial="Δοκιμαστική",
        date_format="d/m/yyyy",
    ),
    "en": _Words(
        title="Open billing cards",
        cards=(
            "Open cards",
            "Card",
            "Customer code",
            "Customer",
            "Issued on",
            "Expiry",
            "Days overdue",
            "Age",
            "State",
            "Revision",
            "Currency",
            "Total",
            "Paid",
            "Open",
        ),
        by_age=("By age", "Currency", "Age", "Cards", "Total", "Paid", "Open"),
        credits=("Credits", "Customer code", "Customer", "Currency", "Credit"),
        suspended=(
            "Suspended services",
            "Service",
            "Reference",
            "Product",
            "Customer code",
            "Customer",
            "Suspended on",
            "Card",
            "Currency",
            "Open on the card",
        ),
        unassigned=(
            "Unassigned payments",
            "Bank reference",
            "Received on",
            "Payer",
            "Remittance",
            "Currency",
            "Amount",
            "Assigned",
            "Unassigned",
        ),
        ages={
            Age.NOT_DUE: "Not due",
            Age.WEEK: "1-7 days",
            Age.MONTH: "8-30 days",
            Age.TWO_MONTHS: "31-60 days",
            Age.LONGER: "Over 60 days",
        },
        all_ages="Total",
        open="Open",
        part_paid="Part paid",
        trial="Trial",
        date_format="dd/mm/yyyy",
    ),
}


def workbook(found: OpenCards, locale: Locale) -> bytes:
    """The spreadsheet (XLSX), typed dates and amounts, nothing a formula. The same facts give the same bytes."""
    words = _WORDS[locale]
    return spreadsheet(
        f"{words.title}, {long_day(found.day, locale)}",
        found.day,
        words.date_format,
        [
            (words.cards, _cards(found, words, locale)),
            (words.by_age, _by_age(found, words)),
            (words.credits, _credits(found, locale)),
            (words.suspended, _suspended(found, locale)),
            (words.unassigned, _unassigned(found)),
        ],
    )


def _cards(found: OpenCards, words: _Words, locale: Locale) -> Iterable[Sequence[Value]]:
    for debt in found.debts:
        state = words.trial if debt.trial else words.part_paid if debt.paid else words.open
        yield (
            debt.number,
            debt.customer,
            customer_name(debt.customer_name, locale),
            debt.issued_on,
            debt.due_on,
            debt.days_overdue(found.day),
            words.ages[found.age(debt)],
            state,
            debt.revision,
            debt.currency,
            debt.total,
            debt.paid,
            debt.open,
        )


def _by_age(found: OpenCards, words: _Words) -> Iterable[Sequence[Value]]:
    for line in found.by_age():
        age = words.ages[line.age] if line.age else words.all_ages
        yield line.currency, age, line.cards, line.total, line.paid, line.open


def _credits(found: OpenCards, locale: Locale) -> Iterable[Sequence[Value]]:
    for it in found.credits:
        yield it.customer, customer_name(it.customer_name, locale), it.currency, it.amount


def _suspended(found: OpenCards, locale: Locale) -> Iterable[Sequence[Value]]:
    for it in found.suspended:
        yield (
            it.code,
            it.reference,
            it.product,
            it.customer,
            customer_name(it.customer_name, locale),
            it.since,
            it.card,
            it.currency,
            it.open,
        )


def _unassigned(found: OpenCards) -> Iterable[Sequence[Value]]:
    for it in found.unassigned:
        yield (
            it.bank_reference,
            it.received_on,
            it.payer,
            it.remittance,
            it.currency,
            it.amount,
            it.assigned,
            it.left,
        )
