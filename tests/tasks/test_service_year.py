"""One service's year, told day by day: when each mail, transition and term comes, for anchors at the end of months.

The days are written out by hand from the product page: 30 days before expiry the card, 15, 7 and 1 before it the
reminders, the suspension once 7 days have passed, the warning 7 days before the deletion, this once 60 have passed.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import text

from lifecycle.persistence.database import transaction
from lifecycle.rules.billing_card import reference_of
from lifecycle.settings import settings
from tasks import billing_card
from tasks.billing_card import Order
from tasks.import_records import import_files
from tasks.payment_import import import_payments
from tests.sweeping import at, deliver_now, started, sweep

ONE = "146.40"
"""120 EUR a year and 22 % VAT."""


class Year:
    """A service from its first term on, each day run as an installation runs it: cards, sweep, delivery, bank."""

    def __init__(self, home: Path, months: int, starts_on: str, expires_on: str) -> None:
        self.home = home
        folder = home / "files"
        folder.mkdir()
        (folder / "products.csv").write_text(
            f"code,name,policy,period_months,price,currency,vat_rate\nP,Hosting,service,{months},120,EUR,22\n"
        )
        (folder / "customers.csv").write_text("code,kind,name,email\nC1,company,Customer,c@example.com\n")
        (folder / "subscriptions.csv").write_text(
            f"code,customer,product,starts_on,expires_on\nS1,C1,P,{starts_on},{expires_on}\n"
        )
        import_files.fn(folder, at(date(2020, 1, 1)), dry_run=False)

    def lives(self, first: str, last: str, paid: Sequence[tuple[str, str]] = ()) -> None:
        """The days from `first` to `last`; `paid` are (day, amount) of what the bank reports in its evening."""
        day = date.fromisoformat(first)
        while day <= date.fromisoformat(last):
            sweep(day)
            self._billed(day)
            deliver_now()
            for on, amount in paid:
                if on == day.isoformat():
                    self._pays(day, amount)
            deliver_now()
            day += timedelta(days=1)

    def _billed(self, day: date) -> None:
        order = Order(day, at(day, 5), started("billing-card-run", day), dry_run=False)
        if due := billing_card.customers_due.fn(order, None):
            billing_card.bill.fn(due, order)

    def _pays(self, day: date, amount: str) -> None:
        with transaction() as db:
            number = db.execute(text("SELECT number FROM cards ORDER BY id DESC LIMIT 1")).scalar_one()
            serial = db.execute(text("SELECT count(*) FROM payments")).scalar_one()
        file = self.home / f"bank-{serial}.csv"
        line = f"B{serial},{day},{amount},EUR,{reference_of(number)}"
        file.write_text(f"bank_reference,received_on,amount,currency,remittance\n{line}\n")
        import_payments.fn(file, day, at(day, 18), started("payment-import", day))

    @property
    def mails(self) -> list[tuple[str, str]]:
        return self._rows("""
            SELECT business_date::text, kind FROM messages WHERE channel = 'mail' AND state = 'sent'
            ORDER BY business_date, id""")

    @property
    def transitions(self) -> list[tuple[str, str]]:
        return self._rows("SELECT business_date::text, to_status FROM transitions ORDER BY id")

    @property
    def terms(self) -> list[tuple[str, str]]:
        """All but the first."""
        return self._rows("SELECT starts_on::text, expires_on::text FROM terms ORDER BY id OFFSET 1")

    @property
    def credit(self) -> Decimal:
        with transaction() as db:
            found = db.execute(text("SELECT coalesce(sum(amount), 0) FROM allocations WHERE purpose = 'credit'"))
            return Decimal(found.scalar_one())

    def _rows(self, query: str) -> list[tuple[str, str]]:
        with transaction() as db:
            return [(row[0], row[1]) for row in db.execute(text(query))]


@pytest.fixture(autouse=True)
def account(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFECYCLE_ISSUER__IBAN", "IT60X0542811101000000123456")
    settings.cache_clear()


# Anchor, months, the first term's expiry; the days of card, reminders, suspension, warning, deletion; the next terms.
CHAINS = [
    # A common year: the anchor's 31st is February's 28th.
    (("2025-01-31", 1, "2025-02-27"),
     ("2025-01-28", "2025-02-12", "2025-02-20", "2025-02-26", "2025-03-07", "2025-04-22", "2025-04-29"),
     [("2025-02-28", "2025-03-30"), ("2025-03-31", "2025-04-29"), ("2025-04-30", "2025-05-30")]),
    # A leap year: 29 February begins a term of the 31st, of the 30th and of its own.
    (("2024-01-31", 1, "2024-02-28"),
     ("2024-01-29", "2024-02-13", "2024-02-21", "2024-02-27", "2024-03-07", "2024-04-22", "2024-04-29"),
     [("2024-02-29", "2024-03-30"), ("2024-03-31", "2024-04-29"), ("2024-04-30", "2024-05-30")]),
    (("2024-01-30", 1, "2024-02-28"),
     ("2024-01-29", "2024-02-13", "2024-02-21", "2024-02-27", "2024-03-07", "2024-04-22", "2024-04-29"),
     [("2024-02-29", "2024-03-29"), ("2024-03-30", "2024-04-29"), ("2024-04-30", "2024-05-29")]),
    (("2024-01-29", 1, "2024-02-28"),
     ("2024-01-29", "2024-02-13", "2024-02-21", "2024-02-27", "2024-03-07", "2024-04-22", "2024-04-29"),
     [("2024-02-29", "2024-03-28"), ("2024-03-29", "2024-04-28"), ("2024-04-29", "2024-05-28")]),
    (("2025-01-28", 1, "2025-02-27"),
     ("2025-01-28", "2025-02-12", "2025-02-20", "2025-02-26", "2025-03-07", "2025-04-22", "2025-04-29"),
     [("2025-02-28", "2025-03-27"), ("2025-03-28", "2025-04-27"), ("2025-04-28", "2025-05-27")]),
    # Half a year from 31 August ends on the last but one day of February.
    (("2023-08-31", 6, "2024-02-28"),
     ("2024-01-29", "2024-02-13", "2024-02-21", "2024-02-27", "2024-03-07", "2024-04-22", "2024-04-29"),
     [("2024-02-29", "2024-08-30"), ("2024-08-31", "2025-02-27"), ("2025-02-28", "2025-08-30")]),
    # A year from 29 February: 28 February until the next leap year.
    (("2022-02-28", 12, "2023-02-27"),
     ("2023-01-28", "2023-02-12", "2023-02-20", "2023-02-26", "2023-03-07", "2023-04-22", "2023-04-29"),
     [("2023-02-28", "2024-02-27"), ("2024-02-28", "2025-02-27"), ("2025-02-28", "2026-02-27")]),
    (("2020-02-29", 12, "2021-02-27"),
     ("2021-01-28", "2021-02-12", "2021-02-20", "2021-02-26", "2021-03-07", "2021-04-22", "2021-04-29"),
     [("2021-02-28", "2022-02-27"), ("2022-02-28", "2023-02-27"), ("2023-02-28", "2024-02-28"),
      ("2024-02-29", "2025-02-27")]),
    # Expiry on the 29th, 30th and 31st.
    (("2024-03-30", 12, "2025-03-29"),
     ("2025-02-27", "2025-03-14", "2025-03-22", "2025-03-28", "2025-04-06", "2025-05-22", "2025-05-29"),
     [("2025-03-30", "2026-03-29")]),
    (("2024-05-31", 12, "2025-05-30"),
     ("2025-04-30", "2025-05-15", "2025-05-23", "2025-05-29", "2025-06-07", "2025-07-23", "2025-07-30"),
     [("2025-05-31", "2026-05-30")]),
    (("2025-01-01", 12, "2025-12-31"),
     ("2025-12-01", "2025-12-16", "2025-12-24", "2025-12-30", "2026-01-08", "2026-02-23", "2026-03-02"),
     [("2026-01-01", "2026-12-31")]),
]  # fmt: skip


@pytest.mark.parametrize(("service", "days", "terms"), CHAINS, ids=[f"{s[0]}-{s[1]}m" for s, _, _ in CHAINS])
def test_who_never_pays(
    home: Path, service: tuple[str, int, str], days: tuple[str, ...], terms: list[tuple[str, str]]
) -> None:
    starts_on, months, expires_on = service
    card, *reminders, suspended, warned, deleted = days
    year = Year(home, months, starts_on, expires_on)
    for day in days:
        year.lives(shifted(day, -1), day)
    assert year.mails == [
        (card, "billing-card"),
        *((day, "card-reminder") for day in reminders),
        (suspended, "service-suspended"),
        (warned, "deletion-warning"),
        (deleted, "service-deleted"),
    ]
    assert year.transitions == [(suspended, "suspended"), (deleted, "deleted")]
    assert year.terms == []
    assert year.credit == 0


@pytest.mark.parametrize(("service", "days", "terms"), CHAINS, ids=[f"{s[0]}-{s[1]}m" for s, _, _ in CHAINS])
def test_who_pays_time_and_again(
    home: Path, service: tuple[str, int, str], days: tuple[str, ...], terms: list[tuple[str, str]]
) -> None:
    starts_on, months, expires_on = service
    year = Year(home, months, starts_on, expires_on)
    for term in terms:
        early = shifted(term[0], -20)
        year.lives(early, early, paid=[(early, ONE)])
    assert (year.terms, year.transitions) == (terms, [])
    assert year.credit == 0


PAID = [
    ("early", [("2026-04-10", ONE)], ["card", "confirmed"], [], "0"),
    ("on the last day", [("2026-04-30", ONE)], ["card", "reminder", "reminder", "reminder", "confirmed"], [], "0"),
    ("after the suspension", [("2026-05-20", ONE)],
     ["card", "reminder", "reminder", "reminder", "suspended", "confirmed"],
     [("2026-05-08", "suspended"), ("2026-05-20", "active")], "0"),
    ("on the last day before the deletion", [("2026-06-29", ONE)],
     ["card", "reminder", "reminder", "reminder", "suspended", "warning", "confirmed"],
     [("2026-05-08", "suspended"), ("2026-06-29", "active")], "0"),
    ("twice", [("2026-04-10", ONE), ("2026-04-12", ONE)], ["card", "confirmed"], [], ONE),
    ("too much", [("2026-04-10", "150")], ["card", "confirmed"], [], "3.60"),
    ("in parts", [("2026-04-10", "46.40"), ("2026-04-20", "100")], ["card", "confirmed"], [], "0"),
    # Paid in part it is not reminded of while it is not overdue, and cut off all the same.
    ("in parts, the last one late", [("2026-04-10", "46.40"), ("2026-05-09", "100")],
     ["card", "reminder", "suspended", "confirmed"], [("2026-05-08", "suspended"), ("2026-05-09", "active")], "0"),
    # What was paid when it is deleted is kept as credit, and so is what comes later.
    ("in part and never again", [("2026-04-10", "46.40")],
     ["card", "reminder", "suspended", "warning", "deleted"],
     [("2026-05-08", "suspended"), ("2026-06-30", "deleted")], "46.40"),
    ("after the deletion", [("2026-07-02", ONE)],
     ["card", "reminder", "reminder", "reminder", "suspended", "warning", "deleted"],
     [("2026-05-08", "suspended"), ("2026-06-30", "deleted")], ONE),
]  # fmt: skip

WINDOWS = [
    ("2026-03-30", "2026-04-01"), ("2026-04-10", "2026-04-16"), ("2026-04-20", "2026-04-23"),
    ("2026-04-28", "2026-05-01"), ("2026-05-06", "2026-05-09"), ("2026-05-20", "2026-05-21"),
    ("2026-06-21", "2026-06-24"), ("2026-06-28", "2026-07-03"),
]  # fmt: skip
"""Around every day on which something can happen."""

WORDS = {
    "billing-card": "card",
    "card-reminder": "reminder",
    "renewal-confirmed": "confirmed",
    "service-suspended": "suspended",
    "deletion-warning": "warning",
    "service-deleted": "deleted",
}


@pytest.mark.parametrize(
    ("paid", "mails", "transitions", "credit"), [row[1:] for row in PAID], ids=[p[0] for p in PAID]
)
def test_however_it_is_paid(
    home: Path,
    paid: list[tuple[str, str]],
    mails: list[str],
    transitions: list[tuple[str, str]],
    credit: str,
) -> None:
    year = Year(home, 12, "2025-05-01", "2026-04-30")
    for first, last in WINDOWS:
        year.lives(first, last, paid)
    assert [WORDS[kind] for _, kind in year.mails] == mails
    assert year.transitions == transitions
    kept = transitions[-1:] and transitions[-1][1] == "deleted"
    assert year.terms == ([] if kept else [("2026-05-01", "2027-04-30")])
    assert year.credit == Decimal(credit)


def shifted(day: str, days: int) -> str:
    return (date.fromisoformat(day) + timedelta(days=days)).isoformat()
