"""A sample business as import files, the same bytes every time: for the demo, for tests and for measuring.

Its licences stand in every state around 1 September 2019 and the months beside it, and its facts carry the time at
which they were learned, so that the reports of past months can be reproduced. All people, companies and addresses are
made up.
"""

import csv
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from lifecycle.rules.calendar import add_months

DAY = date(2019, 9, 1)
"""The day around which everything happens."""

CUSTOMERS = 600

Row = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Term:
    starts_on: date
    expires_on: date
    recorded_at: str


@dataclass(frozen=True, slots=True)
class State:
    """Licences whose first term ends on one of `days` days from `first`, each renewed so many days after its expiry.

    A renewal in time continues the term; a late one starts on its own day.
    """

    first: date
    days: int
    renewed_after: tuple[int, ...] = ()


EXPIRING = State(date(2019, 9, 1), 61)
JUST_EXPIRED = State(date(2019, 6, 1), 92)
OPEN = State(date(2019, 3, 1), 92)
DISABLED = State(date(2018, 3, 1), 365)
FAR = State(date(2019, 11, 1), 300)
RENEWED_ON_TIME = State(date(2019, 8, 1), 61, (-20,))
RENEWED_TWICE_ON_TIME = State(date(2018, 8, 1), 90, (-10, -5))
RENEWED_LATE = State(date(2019, 3, 1), 92, (110,))
RENEWED_AFTER_SIX_MONTHS = State(date(2018, 11, 1), 92, (290,))
LAPSED_TWICE = State(date(2017, 6, 1), 365, (120,))

STATES = (
    EXPIRING,
    OPEN,
    FAR,
    RENEWED_ON_TIME,
    DISABLED,
    JUST_EXPIRED,
    EXPIRING,
    RENEWED_LATE,
    OPEN,
    FAR,
    RENEWED_AFTER_SIX_MONTHS,
    LAPSED_TWICE,
    RENEWED_TWICE_ON_TIME,
)

EDGES = (
    # The first term ends on:        on 2019-09-01 it is
    date(2019, 9, 1),  #             expiring: its last day
    date(2019, 10, 31),  #           expiring: the list's last day
    date(2019, 11, 1),  #            in no list: a day too late
    date(2019, 8, 31),  #            in no list: expired yesterday; six months later is 29 February 2020
    date(2019, 8, 30),  #            the same, and ends on the same day
    date(2019, 8, 29),
    date(2019, 8, 28),
    date(2019, 6, 1),  #             in no list: due for the second one on 2019-09-02
    date(2019, 5, 31),  #            open: since this very day
    date(2019, 3, 31),  #            open: access ends on 2019-10-01
    date(2019, 3, 1),  #             open: access ends tomorrow
    date(2019, 2, 28),  #            disabled: since 2019-08-29, as six months from a month's last day are clamped
    date(2018, 8, 31),  #            disabled: since 2019-03-01, clamped in February
    date(2018, 8, 30),
    date(2018, 11, 30),
    date(2019, 11, 30),
    date(2020, 2, 29),
    date(2020, 2, 28),
)

LEAP = (
    # Anchor on 29 February: the terms of other years start on the 28th. The last one was learned late.
    Term(date(2016, 2, 29), date(2017, 2, 27), "2016-02-26T10:00:00+01:00"),
    Term(date(2017, 2, 28), date(2018, 2, 27), "2017-02-20T10:00:00+01:00"),
    Term(date(2018, 2, 28), date(2019, 2, 27), "2018-02-20T10:00:00+01:00"),
    Term(date(2019, 2, 28), date(2020, 2, 28), "2019-09-02T10:00:00+02:00"),
)

CORRECTED = (
    # The first version was a typing error of a year, found out after the report of August.
    Term(date(2018, 10, 1), date(2020, 9, 30), "2018-09-28T10:00:00+02:00"),
    Term(date(2018, 10, 1), date(2019, 9, 30), "2019-08-06T16:20:00+02:00"),
)

RESELLERS = (
    ("Studio Bianchi & Figli S.r.l.", "it"),
    ("Παπαδόπουλος Α.Ε.", "el"),
    ("Northgate Systems Ltd", "en"),
    ("L'Officina Digitale dell'Adda", "it"),
    ('Informatica "La Rapida" s.n.c.', "it"),
    ("Ηλεκτρονική Θεσσαλονίκης Ο.Ε.", "el"),
    ("O'Brien, Byrne and Sons", "en"),
    ("=Uguale Software", "it"),
    ("+39 Consulting", "it"),
    ("-Meno Carta", "it"),
    ("@home Services", "en"),
    ("<b>Grassetto</b> Grafica", "it"),
    ("Ωμέγα & Ψι Λογισμική", "el"),
    ("Caffè Società Perché S.p.A.", "it"),
    (
        (
            "Κρητική Πληροφορική του Αγίου Νικολάου και των Περιχώρων "
            "Μονοπρόσωπη Εταιρεία Περιορισμένης Ευθύνης (ΜΕΠΕ) Λασιθίου"
        ),
        "el",
    ),
    (
        (
            "Consorzio per l'Innovazione delle Piccole e Medie Imprese "
            "della Valtellina e della Valchiavenna, Sondrio e Morbegno SC"
        ),
        "it",
    ),
    ("Harbour & Quay", "en"),
    ("Marzio Dell'Acqua", "it"),
    ("Αφοί Ιωαννίδη", "el"),
    ("Fratelli D'Angelo", "it"),
    ("Stone; Paper, Scissors", "en"),
    ("Ditta Neri", "it"),
    ('Κέντρο Εκπαίδευσης "Η Γνώσις"', "el"),
    ("Without Customers Ltd", "en"),
    ("Senza Indirizzo S.a.s.", "it"),
)
WITHOUT_CUSTOMERS = 24
WITHOUT_ADDRESS = 25

STRESSING_NAMES = (
    "Dell'Orto & C. <Milano>",
    '=HYPERLINK("http://example.com","click")',
    "+SUM(A1:A9)",
    "-2+3",
    "@SUM(1+1)",
    "A < B > C",
    '"Quoted", Ltd',
    "Comma, Semicolon; Colon:",
    "Ταβέρνα «Ο Μπάρμπα-Γιάννης» & Υιοί",
    (
        "Ίδρυμα για τη Διάσωση, την Αποκατάσταση και την Ανάδειξη "
        "των Παραδοσιακών Οικισμών του Νομού Ρεθύμνης, Παράρτημα Αμαρίου"
    ),
    (
        "The Worshipful Society of Makers, Menders and Merchants "
        "of Fine Umbrellas, Walking Sticks and Parasols of Great Yarmouth"
    ),
    "Perché No? S.r.l. 100% città",
    "&amp; Sons",
    "{{ customer }}",
    "Łódź–Köln Čačak Ŝipo",
    "O’Connor — Rê\u0301ve",
)

COMPANIES = {
    "it": ("Autofficina", "Panificio", "Farmacia", "Libreria", "Studio legale", "Agriturismo", "Ottica", "Ferramenta"),
    "el": (
        "Αρτοποιείο",
        "Φαρμακείο",
        "Βιβλιοπωλείο",
        "Ξενοδοχείο",
        "Συνεργείο",
        "Λογιστικό γραφείο",
        "Ταβέρνα",
        "Ανθοπωλείο",
    ),
    "en": ("Bakery", "Dental Practice", "Garage", "Bookshop", "Nursery", "Printworks", "Brewery", "Surveyors"),
}
GIVEN_NAMES = {
    "it": ("Chiara", "Niccolò", "Desirée", "Matteo", "Benedetta", "Gianluca", "Zoe"),
    "el": ("Ελένη", "Γιώργος", "Μαρία", "Νίκος", "Ιωάννα", "Σπύρος", "Φωτεινή"),
    "en": ("Amelia", "Oliver", "Siobhán", "Harry", "Zoë", "George", "Edith"),
}
SURNAMES = {
    "it": (
        "Rossi",
        "D'Amico",
        "Ferrari",
        "De Luca",
        "Colombo",
        "Dell'Anna",
        "Ricci",
        "Nicolò",
        "Conti",
        "Galli",
        "Serra",
    ),
    "el": (
        "Παπαδάκης",
        "Αντωνίου",
        "Βλάχος",
        "Κατσαρός",
        "Μακρής",
        "Οικονόμου",
        "Σαμαράς",
        "Χριστοδούλου",
        "Ψαρράς",
        "Ζήσης",
    ),
    "en": ("Smith", "O'Neill", "Taylor", "Brown-Jones", "Evans", "Walker", "Fitzgerald", "Hughes", "MacLeod", "Price"),
}
CITIES = {
    "it": ("Via Garibaldi", "Bergamo", "24121", "IT", "+39 035 555 0"),
    "el": ("Οδός Ερμού", "Αθήνα", "105 63", "GR", "+30 210 555 0"),
    "en": ("High Street", "Leeds", "LS1 4DY", "GB", "+44 113 496 0"),
}
LOCALES = ("it", "el", "en")

PRODUCTS = (
    ("LIC-OFFICE", "Gestionale Ufficio", "licence", 12, "240.00", "EUR", "22"),
    ("LIC-STUDIO", "Studio & Parcelle", "licence", 12, "390.00", "EUR", "22"),
    ("LIC-ΛΟΓ", "Λογιστική", "licence", 12, "310.50", "EUR", "24"),
    ("LIC-HALF", "Seasonal Desk", "licence", 6, "150.00", "EUR", "22"),
    ("SRV-DOMAIN", "Domain name", "service", 12, "18.00", "EUR", "22"),
    ("SRV-HOSTING", "Web hosting", "service", 12, "96.00", "EUR", "22"),
    ("MEM-GOLD", "Gold membership", "membership", 1, "35.00", "EUR", "22"),
    ("APP-CUSTOM", "Applicazione su misura", "custom", 12, "1200.00", "EUR", "22"),
)

COLUMNS = {
    "resellers": ("code", "name", "email", "locale", "phone"),
    "customers": ("code", "kind", "name", "email", "phone", "tax_id", "street", "city", "postcode", "country", "locale",
                  "reseller", "created_on", "notes"),
    "associations": ("reseller", "customer", "from_on", "until_on", "recorded_at"),
    "products": ("code", "name", "policy", "period_months", "price", "currency", "vat_rate"),
    "subscriptions": ("code", "customer", "product", "starts_on", "expires_on", "reference", "quantity", "unit_price",
                      "auto_renew", "charge_method", "recorded_at"),
    "terms": ("subscription", "starts_on", "expires_on", "recorded_at"),
    "consent_types": ("code", "title", "description", "valid_days", "allows_bulk", "allows_single", "allows_contact"),
    "consents": ("customer", "consent_type", "granted_on", "withdrawn_on", "evidence", "recorded_at"),
    "motives": ("code", "title", "duty"),
    "objections": ("customer", "channel", "objected_on"),
    "appointments": ("code", "customer", "starts_at", "status", "title"),
    "operators": ("code", "name", "email", "administrator"),
    "mandates": ("code", "customer", "kind", "holder", "iban", "bic", "token", "signed_on"),
    "instalments": ("subscription", "due_on", "amount", "status"),
    "action_types": ("code", "title", "base_type", "in_agenda"),
}  # fmt: skip


def write_business(folder: Path) -> None:
    """Write the sample business into `folder`, which is made: 25 resellers, 600 customers, all six files."""
    folder.mkdir(parents=True, exist_ok=True)
    customers = [_customer(number) for number in range(1, CUSTOMERS + 1)]
    holdings = [holding for customer in customers for holding in _holdings(customer)]
    write(folder, "resellers", _resellers())
    write(folder, "products", PRODUCTS)
    write(folder, "customers", (_customer_row(customer) for customer in customers))
    write(folder, "associations", (row for customer in customers for row in _associations(customer)))
    write(folder, "subscriptions", (_subscription_row(holding) for holding in holdings))
    write(
        folder,
        "terms",
        (
            (holding.code, term.starts_on, term.expires_on, term.recorded_at)
            for holding in holdings
            for term in holding.terms[1:]
        ),
    )


@dataclass(frozen=True, slots=True)
class Customer:
    """`number` counts from 1 and decides everything else; `reseller` 0 is none: a direct customer."""

    number: int
    kind: str
    locale: str
    name: str
    reseller: int
    created_on: date

    @property
    def code(self) -> str:
        return f"C{self.number:04}"


@dataclass(frozen=True, slots=True)
class Holding:
    """A subscription of the sample; `terms` are in the order in which they were learned, the first one first."""

    customer: Customer
    code: str
    product: str
    terms: tuple[Term, ...]


def held(product: str) -> Iterator[Row]:
    """The sample business's subscriptions of the product, as they are imported."""
    for number in range(1, CUSTOMERS + 1):
        yield from (_subscription_row(each) for each in _holdings(_customer(number)) if each.product == product)


def write(folder: Path, name: str, rows: Iterable[Row], *further: str) -> None:
    """Write an import file. `further` are columns that not every file of this name has; they stand last."""
    with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow((*COLUMNS[name], *further))
        out.writerows(rows)


def _resellers() -> Iterator[Row]:
    for number, (name, locale) in enumerate(RESELLERS, 1):
        address = "" if number == WITHOUT_ADDRESS else f"reseller{number:02}@example.org"
        yield _reseller_code(number), name, address, locale, f"{CITIES[locale][4]}{number:03}"


def _reseller_code(number: int) -> str:
    return f"R{number:02}" if number else ""


def _customer(number: int) -> Customer:
    locale = LOCALES[number * 7 // 5 % 3]
    kind = "person" if number % 3 == 2 else "company"
    if number % 37 == 5:
        name = STRESSING_NAMES[number // 37 % len(STRESSING_NAMES)]
    elif kind == "person":
        name = f"{_pick(GIVEN_NAMES[locale], number // 3)} {_pick(SURNAMES[locale], number)}"
    else:
        name = f"{_pick(COMPANIES[locale], number)} {_pick(SURNAMES[locale], number // 2)}"
    return Customer(number, kind, locale, name, _reseller_of(number), date(2014, 1, 7) + timedelta(days=number * 2))


def _reseller_of(number: int) -> int:
    if number <= len(EDGES) + 2:
        return 1
    if number % 40 == 0:
        return 0
    reseller = number % (len(RESELLERS) - 1) + 1
    return len(RESELLERS) if reseller == WITHOUT_CUSTOMERS else reseller


def _pick(choices: tuple[str, ...], number: int) -> str:
    return choices[number % len(choices)]


def _customer_row(customer: Customer) -> Row:
    number = customer.number
    street, city, postcode, country, phone = CITIES[customer.locale]
    shorthand = _association_kind(number) == "shorthand"
    return (
        customer.code,
        customer.kind,
        customer.name,
        "" if number % 97 == 0 else f"customer{number:04}@example.com",
        f"{phone}{number:03}",
        f"T{number * 7919:011}" if customer.kind == "company" else "",
        f"{street} {number % 120 + 1}",
        city,
        postcode,
        country,
        "" if number % 11 == 0 else customer.locale,
        _reseller_code(customer.reseller) if shorthand else "",
        "" if number % 45 == 0 else customer.created_on,
        "Opening hours:\nMon, Wed" if number % 150 == 0 else "",
    )


def _association_kind(number: int) -> str:
    """How a customer's history with resellers goes. Those on the edges of the lists stay with the first reseller."""
    if number % 40 == 0 and number > len(EDGES):
        return "direct"
    if number <= len(EDGES) + 2 or number % 3 == 0:
        return "shorthand"
    return {
        61: "dissociated in June",
        62: "dissociated in September",
        64: "moved in September",
        65: "dissociated and associated again",
        202: "dissociated in September",
        301: "dissociated in June",
        401: "dissociation planned for October",
    }.get(number, "plain")


def _associations(customer: Customer) -> Iterator[Row]:
    reseller, first, code = _reseller_code(customer.reseller), customer.created_on, customer.code
    learned = _learned(first)
    kind = _association_kind(customer.number)
    if kind in {"direct", "shorthand"}:
        return
    yield reseller, code, first, "", learned
    if kind == "dissociated in June":
        yield reseller, code, first, "2019-06-14", "2019-06-14T17:05:00"
    elif kind == "dissociated in September":
        yield reseller, code, first, "2019-09-09", "2019-09-10T09:40:00"
    elif kind == "dissociation planned for October":
        yield reseller, code, first, "2019-10-14", "2019-08-26T12:00:00"
    elif kind == "moved in September":
        yield reseller, code, first, "2019-09-15", "2019-09-16T11:30:00"
        yield "R02", code, "2019-09-16", "", "2019-09-16T11:30:00"
    elif kind == "dissociated and associated again":
        yield reseller, code, first, "2019-04-30", "2019-05-02T08:15:00"
        yield reseller, code, "2019-08-20", "", "2019-08-20T08:15:00"


def _holdings(customer: Customer) -> Iterator[Holding]:
    number = customer.number
    if number <= len(EDGES):
        yield _licence(customer, 1, 12, (_first_term(EDGES[number - 1], 12),))
    elif number == len(EDGES) + 1:
        yield _licence(customer, 1, 12, LEAP)
    elif number == len(EDGES) + 2:
        yield _licence(customer, 1, 12, CORRECTED)
    else:
        for nth in range(1, 2 + (number % 5 == 0) + (number % 17 == 0)):
            state = STATES[(number + 5 * nth) % len(STATES)]
            months = 6 if (number + nth) % 9 == 0 and state is not FAR else 12
            yield _licence(customer, nth, months, _terms(state, number * 13 + nth * 31, months))
    if number % 20 == 7:
        product = ("SRV-DOMAIN", "SRV-HOSTING", "MEM-GOLD", "APP-CUSTOM")[number // 20 % 4]
        months = 1 if product == "MEM-GOLD" else 12
        yield Holding(customer, f"S{number:04}-9", product, _terms(EXPIRING, number, months))


def _licence(customer: Customer, nth: int, months: int, terms: tuple[Term, ...]) -> Holding:
    product = "LIC-HALF" if months == 6 else PRODUCTS[customer.number % 3][0]
    return Holding(customer, f"L{customer.number:04}-{nth}", product, terms)


def _first_term(expires_on: date, months: int) -> Term:
    starts_on = add_months(expires_on + timedelta(days=1), -months)
    return Term(starts_on, expires_on, _learned(starts_on - timedelta(days=3)))


def _terms(state: State, variation: int, months: int) -> tuple[Term, ...]:
    terms = [_first_term(state.first + timedelta(days=variation % state.days), months)]
    for after in state.renewed_after:
        ended = terms[-1].expires_on
        renewed_on = ended + timedelta(days=after)
        starts_on = max(renewed_on, ended + timedelta(days=1))
        terms.append(Term(starts_on, add_months(starts_on, months) - timedelta(days=1), _learned(renewed_on)))
    return tuple(terms)


def _learned(day: date) -> str:
    return f"{day}T10:00:00"


def _subscription_row(holding: Holding) -> Row:
    number, first = holding.customer.number, holding.terms[0]
    membership = holding.product.startswith("MEM-")
    return (
        holding.code,
        holding.customer.code,
        holding.product,
        first.starts_on,
        first.expires_on,
        f"site{number}.example.net" if holding.product.startswith("SRV-") else f"Seat {number % 7 + 1}",
        number % 4 + 1,
        "199.90" if number % 23 == 0 else "",
        "true" if membership else "false",
        "sepa" if membership else "transfer",
        first.recorded_at,
    )


LARGE_SPANS = (State(date(2019, 9, 1), 61), State(date(2019, 3, 1), 92), State(date(2017, 3, 1), 730))
"""Last expiries that stand in the three lists on `DAY`."""


def write_large(folder: Path, resellers: int, subscriptions: int, listed: int) -> None:
    """Write a large business into `folder`, which is made, for measuring: one licence and one renewal per customer.

    Of the `subscriptions` licences, all known since before 2019, `listed` stand in one of the three lists on `DAY`,
    spread evenly over lists and resellers. All six files; memory stays bounded.
    """
    folder.mkdir(parents=True, exist_ok=True)
    spans = [_large_terms(state) for state in LARGE_SPANS]
    others = _large_terms(State(date(2020, 1, 1), 600))

    def terms_of(i: int) -> tuple[str, str]:
        nth = i * listed // subscriptions
        if (i + 1) * listed // subscriptions == nth:
            return others[i % len(others)]
        span = spans[nth % len(spans)]
        return span[nth // len(spans) % len(span)]

    def reseller_of(i: int) -> int:
        return i * resellers // subscriptions

    write(
        folder,
        "resellers",
        ((f"R{r}", f"Reseller {r} & Co.", f"r{r}@example.org", LOCALES[r % 3], "") for r in range(resellers)),
    )
    write(folder, "products", PRODUCTS)
    _write_lines(
        folder,
        "customers",
        subscriptions,
        lambda i: (
            f"C{i},company,{COMPANIES[LOCALES[i % 3]][i % 8]} {i},c{i}@example.com,+39 035 {i},,Via Roma {i % 200},"
            f"Bergamo,24121,IT,{LOCALES[i % 3]},,2015-01-01,\n"
        ),
    )
    _write_lines(
        folder, "associations", subscriptions, lambda i: f"R{reseller_of(i)},C{i},2015-01-01,,2015-01-01T10:00:00\n"
    )
    _write_lines(
        folder,
        "subscriptions",
        subscriptions,
        lambda i: f"L{i},C{i},{PRODUCTS[i % 3][0]},{terms_of(i)[0]},Seat {i % 7},1,,false,transfer,2016-01-01\n",
    )
    _write_lines(folder, "terms", subscriptions, lambda i: f"L{i},{terms_of(i)[1]},2018-12-01\n")


def _large_terms(state: State) -> list[tuple[str, str]]:
    """First and last term, as "starts_on,expires_on", for each day of a span."""
    expiries = [state.first + timedelta(days=day) for day in range(state.days)]
    return [
        (f"{add_months(starts_on, -12)},{starts_on - timedelta(days=1)}", f"{starts_on},{expires_on}")
        for expires_on in expiries
        for starts_on in [add_months(expires_on + timedelta(days=1), -12)]
    ]


def _write_lines(folder: Path, name: str, count: int, line: Callable[[int], str]) -> None:
    with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
        file.write(",".join(COLUMNS[name]) + "\n")
        file.writelines(map(line, range(count)))
