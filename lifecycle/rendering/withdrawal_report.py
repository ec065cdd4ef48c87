"""The withdrawals of a period as a spreadsheet, in the installation's language."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lifecycle.rendering.locales import customer_name, long_day
from lifecycle.rendering.spreadsheet import Book, Value
from lifecycle.rules.languages import Locale
from lifecycle.rules.withdrawal_report import Group, Tally, Withdrawals


@dataclass(frozen=True, slots=True)
class _Words:
    """The words of the spreadsheet in one language; of each table and list its name and headings.

    `notes` are lines below the tables: what the figures mean.
    """

    title: str
    as_of: str
    summary: str
    by_month: tuple[str, ...]
    by_type: tuple[str, ...]
    by_product: tuple[str, ...]
    sums: tuple[str, ...]
    listed: tuple[str, ...]
    total: str
    chart: str
    notes: tuple[str, ...]
    date_format: str


_WORDS: dict[Locale, _Words] = {
    "it": _Words(
        title="Recessi dagli abbonamenti",
        as_of="situazione alla fine del giorno {}",
        summary="Riepilogo",
        by_month=("Per mese", "Mese", "Recessi", "Clienti", "Abbonamenti", "Attivi il giorno 1", "Quota"),
        by_type=("Per tipo", "Codice", "Recessi", "Clienti", "Abbonamenti", "Titolo"),
        by_product=("Per prodotto", "Codice", "Recessi", "Clienti", "Abbonamenti", "Nome"),
        sums=("Rate", "Valuta", "Rimaste dovute", "Annullate", "Da rimborsare"),
        listed=(
            "Recessi",
            "Codice cliente",
            "Cliente",
            "Abbonamento",
            "Prodotto",
            "Tipo",
            "Operatore",
            "Ultimo giorno",
            "Scadenza precedente",
            "Registrato il",
            "Ora",
            "Valuta",
            "Rimasto dovuto",
            "Annullato",
            "Da rimborsare",
        ),
        total="Totale",
        chart="Abbonamenti cessati per recesso, per mese",
        notes=(
            "Il mese è quello dell’ultimo giorno di validità. Contano solo i giorni del periodo.",
            "Un cliente conta una volta in ogni riga: la somma delle righe può superare il totale.",
            "Quota: abbonamenti della riga rispetto a quelli attivi il primo giorno del mese.",
            "Attivo è un abbonamento con un periodo valido in quel giorno, per quanto noto alla data della situazione.",
            "Senza abbonamenti attivi, o in un mese non ancora iniziato a quella data, non c’è quota.",
            "Gli importi delle rate sono quelli al momento di ciascun recesso.",
        ),
        date_format="dd/mm/yyyy",
    ),
    "el": _Words(
        title="Διακοπές συνδρομών",
        as_of="κατάσταση στο τέλος της ημέρας {}",
        summary="Σύνοψη",
        by_month=("Ανά μήνα", "Μήνας", "Διακοπές", "Πελάτες", "Συνδρομές", "Ενεργές την 1η του μήνα", "Ποσοστό"),
        by_type=("Ανά τύπο", "Κωδικός", "Διακοπές", "Πελάτες", "Συνδρομές", "Τίτλος"),
        by_product=("Ανά προϊόν", "Κωδικός", "Διακοπές", "Πελάτες", "Συνδρομές", "Όνομα"),
        sums=("Δόσεις", "Νόμισμα", "Έμειναν οφειλόμενες", "Ακυρώθηκαν", "Προς επιστροφή"),
        listed=(
            "Διακοπές συνδρομών",
            "Κωδικός πελάτη",
            "Πελάτης",
            "Συνδρομή",
            "Προϊόν",
            "Τύπος",
            "Χειριστής",
            "Τελευταία ημέρα",
            "Προηγούμενη λήξη",
            "Καταχωρίστηκε",
            "Ώρα",
            "Νόμισμα",
            "Έμεινε οφειλόμενο",
            "Ακυρώθηκε",
            "Προς επιστροφή",
        ),
        total="Σύνολο",
        chart="Συνδρομές που διακόπηκαν ανά μήνα",
        notes=(
            "Ο μήνας είναι εκείνος της τελευταίας ημέρας ισχύος. Μετρούν μόνο οι ημέρες της περιόδου.",
            "Κάθε πελάτης μετρά μία φορά σε κάθε γραμμή: το άθροισμα των γραμμών μπορεί να υπερβαίνει το σύνολο.",
            "Ποσοστό: οι συνδρομές της γραμμής προς όσες ήταν ενεργές την πρώτη ημέρα του μήνα.",
            "Ενεργή είναι μια συνδρομή με περίοδο που ισχύει εκείνη την ημέρα, όπως ήταν τότε γνωστό.",
            "Χωρίς ενεργές συνδρομές, ή για μήνα που δεν είχε ακόμη αρχίσει, δεν υπάρχει ποσοστό.",
            "Τα ποσά των δόσεων είναι εκείνα της στιγμής κάθε διακοπής.",
        ),
        date_format="d/m/yyyy",
    ),
    "en": _Words(
        title="Withdrawals from memberships",
        as_of="as of the end of {}",
        summary="Summary",
        by_month=("By month", "Month", "Withdrawals", "Customers", "Memberships", "Active on the 1st", "Share"),
        by_type=("By type", "Code", "Withdrawals", "Customers", "Memberships", "Title"),
        by_product=("By product", "Code", "Withdrawals", "Customers", "Memberships", "Name"),
        sums=("Instalments", "Currency", "Remained owed", "Removed", "To be refunded"),
        listed=(
            "Withdrawals",
            "Customer code",
            "Customer",
            "Membership",
            "Product",
            "Type",
            "Operator",
            "Last day",
            "Former expiry",
            "Recorded on",
            "Time",
            "Currency",
            "Remained owed",
            "Removed",
            "To be refunded",
        ),
        total="Total",
        chart="Memberships withdrawn from, per month",
        notes=(
            "The month is that of the last day of validity. Only days of the period count.",
            "A customer counts once in each row: the rows can add up to more than the total.",
            "Share: memberships of the row, of those active on the first day of the month.",
            "Active is a membership with a term that covers that day, by what was known on the day of the report.",
            "Where none was active, or the month had not begun by then, there is no share.",
            "Sums of instalments are those of the moment of each withdrawal.",
        ),
        date_format="dd/mm/yyyy",
    ),
}

_MEMBERSHIPS, _SHARE = 3, 5
"""Columns of the table by month."""


def workbook(found: Withdrawals, locale: Locale) -> bytes:
    """The spreadsheet (XLSX): figures with a chart, and each membership. The same facts give the same bytes.

    Who is erased is the unknown customer.
    """
    words = _WORDS[locale]
    about = f"{words.title}, {long_day(found.first, locale)} – {long_day(found.last, locale)}"
    as_of = words.as_of.format(long_day(found.as_of, locale))
    book = Book(f"{about}, {as_of}", found.as_of, words.date_format)
    page = book.add_page(words.summary)
    page.add_title(about)
    page.add_line(as_of)
    page.add_line("")
    *months, _ = rows = page.add_table(words.by_month, _by_month(found, words))
    if months:
        bars, line = ((at, words.by_month[at + 1]) for at in (_MEMBERSHIPS, _SHARE))
        page.add_chart(words.chart, rows[:-1], bars, line)
    page.add_table(words.by_type, _groups(found.by_type))
    page.add_table(words.by_product, _groups(found.by_product))
    page.add_table(words.sums, ((it.currency, it.owed, it.removed, it.to_be_refunded) for it in found.sums))
    for note in words.notes:
        page.add_line(note)
    book.add_list(words.listed, _listed(found, locale))
    return book.content()


def _by_month(found: Withdrawals, words: _Words) -> Iterable[Sequence[Value]]:
    for it in found.by_month:
        yield f"{it.first:%Y-%m}", *_numbers(it.tally), it.active, it.share
    yield words.total, *_numbers(found.total)


def _groups(groups: Iterable[Group]) -> Iterable[Sequence[Value]]:
    for it in groups:
        yield it.code, *_numbers(it.tally), it.title


def _numbers(tally: Tally) -> tuple[int, int, int]:
    return tally.withdrawals, tally.customers, tally.memberships


def _listed(found: Withdrawals, locale: Locale) -> Iterable[Sequence[Value]]:
    for it in found.listed:
        yield (
            it.customer,
            customer_name(it.customer_name, locale),
            it.subscription,
            it.product,
            it.action_type,
            it.operator,
            it.last_day,
            it.former_expires_on,
            it.done_at.date(),
            f"{it.done_at:%H:%M}",
            it.currency,
            it.owed,
            it.removed,
            it.to_be_refunded,
        )
