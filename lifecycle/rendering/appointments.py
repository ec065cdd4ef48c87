"""The appointments of a period as a spreadsheet, in the installation's language."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lifecycle.rendering.locales import customer_name, long_day
from lifecycle.rendering.spreadsheet import Value, spreadsheet
from lifecycle.rules.appointments import Appointments, AppointmentStatus
from lifecycle.rules.languages import Locale


@dataclass(frozen=True, slots=True)
class _Words:
    """The words of the spreadsheet in one language; of each sheet its name and headings."""

    title: str
    by_month: tuple[str, str]
    total: str
    listed: tuple[str, ...]
    statuses: dict[AppointmentStatus, str]
    date_format: str


_WORDS: dict[Locale, _Words] = {
    "it": _Words(
        title="Appuntamenti",
        by_month=("Per mese", "Mese"),
        total="Totale",
        listed=("Appuntamenti", "Codice", "Giorno", "Ora", "Stato", "Codice cliente", "Cliente"),
        statuses={
            AppointmentStatus.BOOKED: "Prenotato",
            AppointmentStatus.ATTENDED: "Svolto",
            AppointmentStatus.CANCELLED: "Annullato",
            AppointmentStatus.NO_SHOW: "Non presentato",
        },
        date_format="dd/mm/yyyy",
    ),
    "el": _Words(
        title="Ραντεβού",
        by_month=("Ανά μήνα", "Μήνας"),
        total="Σύνολο",
        listed=("Ραντεβού", "Κωδικός", "Ημέρα", "Ώρα", "Κατάσταση", "Κωδικός πελάτη", "Πελάτης"),
        statuses={
            AppointmentStatus.BOOKED: "Κλεισμένο",
            AppointmentStatus.ATTENDED: "Πραγματοποιήθηκε",
            AppointmentStatus.CANCELLED: "Ακυρώθηκε",
            AppointmentStatus.NO_SHOW: "Δεν προσήλθε",
        },
        date_format="d/m/yyyy",
    ),
    "en": _Words(
        title="Appointments",
        by_month=("By month", "Month"),
        total="Total",
        listed=("Appointments", "Code", "Day", "Time", "Status", "Customer code", "Customer"),
        statuses={
            AppointmentStatus.BOOKED: "Booked",
            AppointmentStatus.ATTENDED: "Attended",
            AppointmentStatus.CANCELLED: "Cancelled",
            AppointmentStatus.NO_SHOW: "No show",
        },
        date_format="dd/mm/yyyy",
    ),
}


def workbook(found: Appointments, locale: Locale) -> bytes:
    """The spreadsheet (XLSX): figures, and each appointment. The same facts give the same bytes.

    Who is erased is the unknown customer; titles, in which anything can stand, are left out.
    """
    words = _WORDS[locale]
    by_month = (*words.by_month, *words.statuses.values(), words.total)
    return spreadsheet(
        f"{words.title}, {long_day(found.first, locale)} – {long_day(found.last, locale)}",
        found.last,
        words.date_format,
        [(by_month, _by_month(found, words)), (words.listed, _listed(found, words, locale))],
    )


def _by_month(found: Appointments, words: _Words) -> Iterable[Sequence[Value]]:
    for month, counted in found.by_month:
        yield f"{month:%Y-%m}", *(counted[status] for status in words.statuses), counted.total()
    counted = found.by_status
    yield words.total, *(counted[status] for status in words.statuses), counted.total()


def _listed(found: Appointments, words: _Words, locale: Locale) -> Iterable[Sequence[Value]]:
    for it in found.listed:
        yield (
            it.code,
            it.starts_at.date(),
            f"{it.starts_at:%H:%M}",
            words.statuses[it.status],
            it.customer,
            customer_name(it.customer_name, locale),
        )
