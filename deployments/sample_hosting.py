"""The sample's hosting business, and what its customers' bank tells: for the demo and for tests, the same bytes always.

Its services fall due in August and September 2019. Who pays, how, and who does not is decided here by name; all people,
companies, addresses, domains and accounts are made up.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from itertools import groupby, pairwise
from pathlib import Path
from xml.etree import ElementTree

from deployments.sample import COMPANIES, GIVEN_NAMES, LOCALES, SURNAMES, Row, write
from lifecycle.rules.billing_card import print_form, reference_of
from lifecycle.rules.calendar import add_months
from lifecycle.rules.money import NOTHING, cents

CUSTOMERS = 60

IBAN = "IT60X0542811101000000123456"
SETTINGS = {
    "LIFECYCLE_ISSUER__NAME": "Lifecycle Hosting S.r.l.",
    "LIFECYCLE_ISSUER__ADDRESS": "Via Esempio 1, 33100 Udine",
    "LIFECYCLE_ISSUER__VAT_NUMBER": "IT99000000000",
    "LIFECYCLE_ISSUER__MAIL_FROM": "billing@hosting.example",
    "LIFECYCLE_ISSUER__IBAN": IBAN,
    "LIFECYCLE_ISSUER__BIC": "BLOPIT22",
    "LIFECYCLE_ISSUER__BENEFICIARY": "Lifecycle Hosting S.r.l.",
    "LIFECYCLE_ISSUER__CREDITOR_ID": "IT66ZZZA1B2C3D4E5F6G7H8",
}
"""By which it writes and is paid."""

IN_DOLLARS = "H026"
LATE = "H014"
MANY_DOMAINS = "H030"
MONTHLY = ("H006", "H017", "H021")
"""Servers paid month by month, from the 31st, the 30th and the 29th on."""
NEVER = ("H007", "H012", "H020")
"""Nothing is paid, from the end of August on: suspended, warned, deleted."""
PAYS_IN_PART = "H005"
PAYS_IN_PRINT_FORM = "H016"
PAYS_TOO_MUCH = MONTHLY[0]
PAY_TOGETHER = ("H009", "H015")
RUN_OUT = ("H018", "H039", "H053", "H060")
"""Nothing is paid either, but later: they are suspended, and not deleted yet."""
WITHOUT_ADDRESS = "H022"

_PRODUCTS = (
    ("HST-DOM", "Domain name", "service", 12, "13.37", "EUR", "22"),
    ("HST-DOM-IT", "Nome a dominio", "service", 12, "14.90", "EUR", "22"),
    ("HST-DOM-ΕΛ", "Όνομα χώρου", "service", 24, "29.00", "EUR", "24"),
    ("HST-WEB", "Web hosting", "service", 12, "96.00", "EUR", "22"),
    ("HST-WEB-ΕΛ", "Φιλοξενία ιστοσελίδων", "service", 12, "84.00", "EUR", "24"),
    ("HST-MAIL", "Mailbox 10 GB", "service", 12, "8.25", "EUR", "22"),
    ("HST-BOOK", "Biblioteca digitale", "service", 12, "9.99", "EUR", "4"),
    ("HST-VPS", "Virtual server, 4 GB", "service", 1, "19.90", "EUR", "22"),
    ("HST-CDN", "Content delivery, worldwide", "service", 12, "240.00", "USD", "22"),
    ("HST-APP", "Custom shop application", "custom", 12, "1500.00", "EUR", "22"),
)
_MONTHS = {code: months for code, _, _, months, *_ in _PRODUCTS}
_DOMAINS = {"it": "HST-DOM-IT", "el": "HST-DOM-ΕΛ", "en": "HST-DOM"}
_HOSTING = {"it": "HST-WEB", "el": "HST-WEB-ΕΛ", "en": "HST-WEB"}
_SITES = {
    "it": ("panificio-{}.example", "officina{}.example", "perche-no-{}.example", "vini-{}.example"),
    "el": ("φούρνος{}.example", "taverna-{}.example", "ξενοδοχείο{}.example", "vivlio{}.example"),
    "en": ("bakery-{}.example", "garage{}.example", "harbour-{}.example", "books{}.example"),
}
_STREETS = {
    "it": ("Corso Vittorio Emanuele II", "Via dell'Acqua", "Piazza San Marco", "Vicolo Stretto"),
    "el": ("Λεωφ. Κηφισίας", "Οδός Αγίου Δημητρίου", "Πλατεία Ελευθερίας", "Ερμού"),
    "en": ("Harbour Row", "St Mary's Lane", "The Old Mill, Station Road", "King Street"),
}
_CITIES = {
    "it": (("Udine", "33100"), ("Torino", "10121"), ("L'Aquila", "67100")),
    "el": (("Αθήνα", "115 23"), ("Θεσσαλονίκη", "546 31"), ("Ηράκλειο Κρήτης", "712 02")),
    "en": (("Leeds", "LS1 4DY"), ("Great Yarmouth", "NR30 2AB"), ("Bristol", "BS1 5TY")),
}
_COUNTRIES = {"it": ("IT", "IT99{:09}"), "el": ("GR", "EL99{:07}"), "en": ("GB", "GB99{:07}")}


@dataclass(frozen=True, slots=True)
class _Service:
    """A service of the sample, valid up to `expires_on` in its period number `periods` since it was first sold."""

    product: str
    expires_on: date
    reference: str
    quantity: int = 1
    periods: int = 1


def write_hosting(folder: Path) -> None:
    """Write the hosting business into `folder`, which is made: 60 customers, products, subscriptions and terms."""
    folder.mkdir(parents=True, exist_ok=True)
    held = [
        (f"{_code(number)}-{nth:02}", number, service)
        for number in range(1, CUSTOMERS + 1)
        for nth, service in enumerate(_services(number), 1)
    ]
    write(folder, "products", _PRODUCTS)
    write(folder, "customers", map(_customer_row, range(1, CUSTOMERS + 1)))
    write(folder, "subscriptions", (_subscription_row(*each) for each in held))
    write(folder, "terms", (row for code, _, service in held for row in _later_terms(code, service)))


def codes(*locales: str) -> list[str]:
    """The customers that speak these languages."""
    return [_code(number) for number in range(1, CUSTOMERS + 1) if _locale(number) in locales]


def _code(number: int) -> str:
    return f"H{number:03}"


def _locale(number: int) -> str:
    return LOCALES[number % len(LOCALES)]


def _name(number: int) -> str:
    locale = _locale(number)
    surname = SURNAMES[locale][number * 7 % len(SURNAMES[locale])]
    words = GIVEN_NAMES if _is_person(number) else COMPANIES
    return f"{words[locale][number // 2 % len(words[locale])]} {surname}"


def _is_person(number: int) -> bool:
    return number % 4 == 3


def _customer_row(number: int) -> Row:
    code, locale = _code(number), _locale(number)
    city, postcode = _CITIES[locale][number // 3 % 3]
    country, register = _COUNTRIES[locale]
    return (
        code,
        "person" if _is_person(number) else "company",
        _name(number),
        "" if code == WITHOUT_ADDRESS else f"hosting{number:03}@example.com",
        "",
        "" if _is_person(number) else register.format(number * 7919),
        f"{_STREETS[locale][number // 2 % 4]} {number % 90 + 1}",
        city,
        postcode,
        country,
        locale,
        "",
        date(2016, 3, 1) + timedelta(days=number),
        "",
    )


def _services(number: int) -> Iterator[_Service]:
    code, locale = _code(number), _locale(number)
    site = _SITES[locale][number // 3 % 4].format(number)
    if code in MONTHLY:
        # Period 3 ends on the day before the 31st, 30th or 29th of August, without drift from a shorter month.
        yield _Service("HST-VPS", date(2019, 8, 30) - timedelta(days=MONTHLY.index(code)), f"vps.{site}", periods=3)
        return
    first = _first_expiry(number)
    if code == MANY_DOMAINS:
        for nth in range(60):
            yield _Service("HST-DOM-IT", first + timedelta(days=nth // 12), f"albergo-{nth + 1}.example")
        return
    apart = 0 if code in _UNPAID_IN_AUGUST else number % 3
    yield _Service(_DOMAINS[locale], first, site, periods=1 + number % 2)
    if number % 4:
        yield _Service(_HOSTING[locale], first + timedelta(days=apart), site, periods=1 + number % 3)
    if number % 3 == 1:
        yield _Service("HST-MAIL", first + timedelta(days=apart), f"@{site}", quantity=1 + number % 9)
    if number % 8 == 1:
        yield _Service("HST-BOOK", first + timedelta(days=2 * apart), f"reader {number}")
    if code == IN_DOLLARS:
        yield _Service("HST-CDN", first, f"cdn.{site}")
    if number in {18, 34}:
        yield _Service("HST-APP", first + timedelta(days=3), f"shop.{site}")


def _first_expiry(number: int) -> date:
    code = _code(number)
    if code in _UNPAID_IN_AUGUST:
        return date(2019, 8, 27) + timedelta(days=number % 5)
    if code in _IN_SEPTEMBER:
        return date(2019, 9, 1) + timedelta(days=number % 15)
    if number % 6 == 1:
        return date(2019, 10, 24) + timedelta(days=number % 5)
    if number % 6 == 2:
        return date(2020, 1, 31) + timedelta(days=number * 3)
    return date(2019, 8, 25) + timedelta(days=number % 21)


_UNPAID_IN_AUGUST = {*NEVER, LATE}
_IN_SEPTEMBER = {
    IN_DOLLARS, MANY_DOMAINS, PAYS_IN_PART, PAYS_IN_PRINT_FORM, WITHOUT_ADDRESS, *PAY_TOGETHER, *RUN_OUT,
}  # fmt: skip


def _anchor(service: _Service) -> date:
    return add_months(service.expires_on + timedelta(days=1), -service.periods * _MONTHS[service.product])


def _periods(service: _Service) -> list[tuple[date, date]]:
    """The terms sold so far, from the first one on."""
    anchor, months = _anchor(service), _MONTHS[service.product]
    starts = [add_months(anchor, period * months) for period in range(service.periods + 1)]
    return [(start, end - timedelta(days=1)) for start, end in pairwise(starts)]


def _subscription_row(code: str, number: int, service: _Service) -> Row:
    starts_on, expires_on = _periods(service)[0]
    return (
        code,
        _code(number),
        service.product,
        starts_on,
        expires_on,
        service.reference,
        service.quantity,
        "79.90" if number % 23 == 0 and service.product in _HOSTING.values() else "",
        "false",
        "transfer",
        f"{starts_on}T09:00:00",
    )


def _later_terms(code: str, service: _Service) -> Iterator[Row]:
    for starts_on, expires_on in _periods(service)[1:]:
        yield code, starts_on, expires_on, f"{starts_on}T09:00:00"


# -- the bank --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Transfer:
    """Money that came in. `reference` is what stands in the transfer's own field for it, `text` what was typed."""

    amount: Decimal
    currency: str
    payer: str
    reference: str = ""
    text: str = ""


Owed = Mapping[str, Sequence[Transfer]]
"""The transfer that would pay each open card, by customer."""


def paid_in_august(owed: Owed) -> list[Transfer]:
    """What comes in after the first cards: most is paid as asked, some of it in other ways, one for no card we know."""
    apart = {*_UNPAID_IN_AUGUST, *RUN_OUT, WITHOUT_ADDRESS, PAYS_IN_PART, PAYS_IN_PRINT_FORM, PAYS_TOO_MUCH}
    transfers = [transfer for code in sorted(owed.keys() - apart - {*PAY_TOGETHER}) for transfer in owed[code]]
    transfers += [replace(each, amount=cents(each.amount / 2)) for each in owed[PAYS_IN_PART]]
    transfers += [replace(each, amount=2 * each.amount) for each in owed[PAYS_TOO_MUCH]]
    transfers += [
        replace(each, reference="", text=f"Εξόφληση {print_form(each.reference).lower()}, ευχαριστούμε")
        for each in owed[PAYS_IN_PRINT_FORM]
    ]
    together = [transfer for code in PAY_TOGETHER for transfer in owed[code]]
    named = " + ".join(each.reference for each in together)
    transfers.append(Transfer(sum((each.amount for each in together), NOTHING), "EUR", "Studio Conti", text=named))
    unknown = reference_of("PF-2019-999999")
    return [*transfers, Transfer(Decimal("61.00"), "EUR", "Ferramenta De Luca", unknown)]


def paid_in_september(owed: Owed) -> list[Transfer]:
    """Who was suspended and pays late; and what falls due month by month."""
    return [transfer for code in (LATE, *MONTHLY) for transfer in owed[code]]


_CAMT = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"


def write_statement(path: Path, day: date, transfers: Iterable[Transfer]) -> None:
    """Write a bank statement of `day` (camt.053.001.08) with these transfers, booked in their order, one per currency.

    Their bank references are made of the day and of their places: the same transfers make the same file.
    """
    document = ElementTree.Element("Document", xmlns=_CAMT)
    root = ElementTree.SubElement(document, "BkToCstmrStmt")
    _texts(root, {"GrpHdr/MsgId": f"DEMO-{day:%Y%m%d}", "GrpHdr/CreDtTm": f"{day}T22:00:00+02:00"})
    numbered = [(f"{day:%Y%m%d}{place:04}", transfer) for place, transfer in enumerate(transfers, 1)]
    for currency, theirs in groupby(sorted(numbered, key=_currency), _currency):
        _statement(root, day, currency, list(theirs))
    ElementTree.indent(document)
    ElementTree.ElementTree(document).write(path, encoding="UTF-8", xml_declaration=True)


def _currency(numbered: tuple[str, Transfer]) -> str:
    return numbered[1].currency


def _statement(root: ElementTree.Element, day: date, currency: str, booked: list[tuple[str, Transfer]]) -> None:
    statement = ElementTree.SubElement(root, "Stmt")
    _texts(statement, {"Id": f"{day:%Y%m%d}-{currency}", "CreDtTm": f"{day}T22:00:00+02:00"})
    _texts(statement, {"Acct/Id/IBAN": IBAN, "Acct/Ccy": currency})
    closing = Decimal("10000.00") + sum(transfer.amount for _, transfer in booked)
    for kind, amount in (("OPBD", Decimal("10000.00")), ("CLBD", closing)):
        balance = ElementTree.SubElement(statement, "Bal")
        _texts(balance, {"Tp/CdOrPrtry/Cd": kind, "Amt": amount, "CdtDbtInd": "CRDT", "Dt/Dt": day}, currency)
    for reference, transfer in booked:
        _entry(ElementTree.SubElement(statement, "Ntry"), day, reference, transfer)


def _entry(entry: ElementTree.Element, day: date, bank_reference: str, transfer: Transfer) -> None:
    money = {"Amt": transfer.amount, "CdtDbtInd": "CRDT"}
    _texts(entry, money | {"Sts/Cd": "BOOK", "BookgDt/Dt": day, "ValDt/Dt": day}, transfer.currency)
    _texts(entry, {"AcctSvcrRef": bank_reference, "BkTxCd/Domn/Cd": "PMNT"})
    _texts(entry, {"BkTxCd/Domn/Fmly/Cd": "RCDT", "BkTxCd/Domn/Fmly/SubFmlyCd": "ESCT"})
    details = ElementTree.SubElement(ElementTree.SubElement(entry, "NtryDtls"), "TxDtls")
    _texts(details, {"Refs/AcctSvcrRef": bank_reference, "Refs/EndToEndId": "NOTPROVIDED"})
    _texts(details, money | {"RltdPties/Dbtr/Pty/Nm": transfer.payer}, transfer.currency)
    if transfer.text:
        _texts(details, {"RmtInf/Ustrd": transfer.text})
    if transfer.reference:
        kind = {"RmtInf/Strd/CdtrRefInf/Tp/CdOrPrtry/Cd": "SCOR"}
        _texts(details, kind | {"RmtInf/Strd/CdtrRefInf/Ref": transfer.reference})


def _texts(parent: ElementTree.Element, values: Mapping[str, object], currency: str = "") -> None:
    """Append these elements in order, by path; neighbours share what their paths have in common."""
    for path, value in values.items():
        element = parent
        for tag in path.split("/"):
            last = element[-1] if len(element) else None
            element = last if last is not None and last.tag == tag else ElementTree.SubElement(element, tag)
        element.text = str(value)
        if element.tag == "Amt":
            element.set("Ccy", currency)
