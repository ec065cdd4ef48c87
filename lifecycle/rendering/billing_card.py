"""Billing cards as PDFs, in the customer's language: an A4 sheet, or as many as the lines take.

Text is drawn, never read as markup. Whatever comes from outside is broken into lines, and ends with an ellipsis where
it would leave its column.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from lifecycle.rendering import payment_code
from lifecycle.rendering.locales import country, customer_name, long_day, money, number, percentage, short_day
from lifecycle.rendering.paper import HEIGHT, WIDTH, Page
from lifecycle.rendering.paper import document as written
from lifecycle.rendering.payment_code import payload, symbol
from lifecycle.rendering.templates import Issuer
from lifecycle.rendering.typeface import Style, Weight
from lifecycle.rules.billing_card import Card, Item, Payee, Payer, print_form
from lifecycle.rules.languages import Locale
from lifecycle.rules.money import NOTHING

_INK, _GREY, _LINE, _TINT = "0.12 0.14 0.16", "0.41 0.44 0.49", "0.87 0.89 0.91", "0.94 0.96 0.965"
_ACCENT, _ALARM, _PALE_ALARM, _WHITE = "0.08 0.33 0.40", "0.70 0.11 0.11", "0.97 0.89 0.88", "1 1 1"

_TITLE = Style(Weight.BOLD, 20, _ACCENT)
_NAME = Style(Weight.BOLD, 12.5, _INK)
_HEAD_NAME = Style(Weight.BOLD, 10.5, _INK)
_HEADING = Style(Weight.BOLD, 10.5, _ACCENT)
_STRONG = Style(Weight.BOLD, 9, _INK)
_TEXT = Style(Weight.REGULAR, 9, _INK)
_SMALL = Style(Weight.REGULAR, 8.5, _GREY)
_LABEL = Style(Weight.BOLD, 7.5, _GREY)
_FOOT = Style(Weight.REGULAR, 7.5, _GREY)
_TOTAL = Style(Weight.BOLD, 13, _ACCENT)
_BAND = Style(Weight.BOLD, 10, _WHITE)
_WARNING = Style(Weight.BOLD, 11, _ALARM)
_MARK = Style(Weight.BOLD, 92, _PALE_ALARM)

_LEFT, _RIGHT, _MIDDLE = 48.0, WIDTH - 48, 330.0
_BOTTOM = HEIGHT - 58
"""Where the foot of a page begins."""
_LEADING = 11.5
_CARRIED = 24.0
"""The row of a total that is carried over."""
_PANEL, _SENTENCE, _NOTES = 156.0, 44.0, 46.0
"""How to pay, or in its place that nothing is to be paid; what is said below."""


@dataclass(frozen=True, slots=True)
class _Words:
    """The words of a card in one language."""

    title: str
    subtitle: str
    revision: str
    vat_number: str
    customer: str
    customer_code: str
    tax_id: str
    issued_on: str
    due_on: str
    to_pay: str
    amount: str
    columns: tuple[str, str, str, str, str, str, str]
    """Service, current expiry, renewal period, quantity, unit price, VAT rate, amount."""
    until: str
    brought_forward: str
    carried_over: str
    taxable: str
    vat: str
    total: str
    total_with_taxes: str
    paid: str
    how_to_pay: str
    beneficiary: str
    reference: str
    scan: str
    state_reference: str
    nothing_to_pay: str
    not_a_tax_document: str
    invoice_follows: str
    renewed: str
    trial: str
    not_to_be_paid: str
    page: str


_WORDS: dict[Locale, _Words] = {
    "it": _Words(
        title="Scheda di addebito",
        subtitle="Pro-forma · non è un documento fiscale",
        revision="Revisione {}: sostituisce le precedenti",
        vat_number="Partita IVA",
        customer="Cliente",
        customer_code="Codice cliente",
        tax_id="P. IVA / C.F.",
        issued_on="Data di emissione",
        due_on="Da pagare entro il",
        to_pay="Importo da pagare",
        amount="Importo",
        columns=("Servizio", "Scadenza attuale", "Periodo di rinnovo", "Q.tà", "Prezzo unitario", "IVA", "Importo"),
        until="al {}",
        brought_forward="Riporto",
        carried_over="A riportare",
        taxable="Imponibile",
        vat="IVA {} su {}",
        total="Totale",
        total_with_taxes="Totale, imposte incluse",
        paid="Già pagato",
        how_to_pay="Come pagare con bonifico",
        beneficiary="Beneficiario",
        reference="Causale",
        scan="Da inquadrare con l’app della banca",
        state_reference="Indicare solo questa causale: è così che riconosciamo il pagamento.",
        nothing_to_pay="Non c’è nulla da pagare: l’intero importo è già pagato.",
        not_a_tax_document="Questo non è un documento fiscale.",
        invoice_follows="La fattura sarà emessa dall’Amministrazione dopo il pagamento.",
        renewed="Con il pagamento i servizi si rinnovano per i periodi indicati.",
        trial="PROVA",
        not_to_be_paid="PROVA: DA NON PAGARE",
        page="Pagina {} di {}",
    ),
    "el": _Words(
        title="Καρτέλα Χρέωσης",
        subtitle="Pro-forma · δεν αποτελεί φορολογικό παραστατικό",
        revision="Αναθεώρηση {}: αντικαθιστά τις προηγούμενες",
        vat_number="ΑΦΜ",
        customer="Πελάτης",
        customer_code="Κωδικός πελάτη",
        tax_id="ΑΦΜ",
        issued_on="Ημερομηνία έκδοσης",
        due_on="Πληρωτέο έως",
        to_pay="Ποσό πληρωμής",
        amount="Ποσό",
        columns=("Υπηρεσία", "Τρέχουσα λήξη", "Περίοδος ανανέωσης", "Ποσ.", "Τιμή μονάδας", "ΦΠΑ", "Ποσό"),
        until="έως {}",
        brought_forward="Από μεταφορά",
        carried_over="Σε μεταφορά",
        taxable="Καθαρή αξία",
        vat="ΦΠΑ {} επί {}",
        total="Σύνολο",
        total_with_taxes="Σύνολο με φόρους",
        paid="Έχει ήδη πληρωθεί",
        how_to_pay="Πληρωμή με τραπεζικό έμβασμα",
        beneficiary="Δικαιούχος",
        reference="Αιτιολογία",
        scan="Σαρώστε με την εφαρμογή της τράπεζας",
        state_reference="Γράψτε μόνο αυτή την αιτιολογία: έτσι αναγνωρίζουμε την πληρωμή.",
        nothing_to_pay="Δεν οφείλεται κανένα ποσό: το σύνολο έχει ήδη πληρωθεί.",
        not_a_tax_document="Το παρόν δεν αποτελεί φορολογικό παραστατικό.",
        invoice_follows="Το τιμολόγιο εκδίδεται από το Λογιστήριο μετά την πληρωμή.",
        renewed="Με την πληρωμή οι υπηρεσίες ανανεώνονται για τις περιόδους που αναφέρονται.",
        trial="ΔΟΚΙΜΗ",
        not_to_be_paid="ΔΟΚΙΜΗ: ΝΑ ΜΗΝ ΠΛΗΡΩΘΕΙ",
        page="Σελίδα {} από {}",
    ),
    "en": _Words(
        title="Billing card",
        subtitle="Pro-forma · not a tax document",
        revision="Revision {}: replaces all earlier ones",
        vat_number="VAT number",
        customer="Customer",
        customer_code="Customer code",
        tax_id="Tax ID",
        issued_on="Date of issue",
        due_on="Payable by",
        to_pay="Amount to pay",
        amount="Amount",
        columns=("Service", "Current expiry", "Renewal period", "Qty", "Unit price", "VAT", "Amount"),
        until="to {}",
        brought_forward="Brought forward",
        carried_over="Carried over",
        taxable="Net",
        vat="VAT {} on {}",
        total="Total",
        total_with_taxes="Total, taxes included",
        paid="Already paid",
        how_to_pay="How to pay by bank transfer",
        beneficiary="Beneficiary",
        reference="Reference",
        scan="Scan with your banking app",
        state_reference="State this reference and nothing else: it is how we recognise your payment.",
        nothing_to_pay="Nothing is to be paid: the whole amount is already paid.",
        not_a_tax_document="This is not a tax document.",
        invoice_follows="The invoice follows from Accounting after payment.",
        renewed="When it is paid, the services are renewed for the periods shown.",
        trial="TRIAL",
        not_to_be_paid="TRIAL: NOT TO BE PAID",
        page="Page {} of {}",
    ),
}

_LANGUAGES: dict[Locale, str] = {"it": "it-IT", "el": "el-GR", "en": "en-GB"}


def attachment_name(card: Card) -> str:
    """``PF-2026-000123.pdf``; from the second revision on ``PF-2026-000123-2.pdf``."""
    return f"{card.number}-{card.revision}.pdf" if card.revision > 1 else f"{card.number}.pdf"


@dataclass(frozen=True, slots=True)
class _Grid:
    """The table's columns: the width of the first, where dates begin, where figures end. Prices only with VAT."""

    service: float
    expires_on: float
    period: float
    quantity: float
    unit_price: float
    rate: float


_GRIDS = {
    True: _Grid(service=184, expires_on=240, period=305, quantity=397, unit_price=457, rate=487),
    False: _Grid(service=254, expires_on=318, period=396, quantity=480, unit_price=480, rate=480),
}


@dataclass(frozen=True, slots=True)
class _Row:
    """A line as it is drawn."""

    reference: tuple[str, ...]
    product: tuple[str, ...]
    item: Item
    amount: Decimal

    @property
    def height(self) -> float:
        return max(len(self.reference) + len(self.product), 2) * _LEADING + 9


def document(card: Card, payee: Payee, issuer: Issuer) -> bytes:
    """The PDF of a card. The same card makes the same bytes."""
    words = _WORDS[card.locale]
    pages = [_blank(card)]
    _header(pages[-1], card, issuer)
    y = _table_head(pages[-1], card, _parties(pages[-1], card))
    carried = NOTHING
    for item in card.items:
        row = _row(card, item)
        if y + row.height + _CARRIED > _BOTTOM:
            y = _turn(pages, card, issuer, carried, y)
        y = _draw(pages[-1], card, row, y)
        carried += row.amount
    if y + _closing_height(card) > _BOTTOM:
        y = _turn(pages, card, issuer, carried, y)
    y = _totals(pages[-1], card, y)
    y = _payment(pages[-1], card, payee, y) if card.to_pay > 0 else _nothing_to_pay(pages[-1], card, y)
    _notes(pages[-1], card, y)
    for at, page in enumerate(pages, start=1):
        _foot(page, card, words.page.format(number(at, card.locale), number(len(pages), card.locale)))
    return written(pages, f"{words.title} {card.number}", issuer.name, _LANGUAGES[card.locale])


# -- what is on every page -------------------------------------------------------------------------------------------


def _blank(card: Card) -> Page:
    """A new page. What stands on a trial card must not be taken for something to pay."""
    page, words = Page(), _WORDS[card.locale]
    if card.trial:
        page.across(words.trial, _MARK)
        page.box(0, 0, WIDTH, 24, _ALARM)
        page.text(_LEFT, 16, words.not_to_be_paid, _BAND)
    else:
        page.box(0, 0, WIDTH, 5, _ACCENT)
    return page


def _foot(page: Page, card: Card, page_of: str) -> None:
    page.rule(_LEFT, _RIGHT, HEIGHT - 44, _LINE, 0.6)
    page.text(_LEFT, HEIGHT - 32, f"{card.number} · {_WORDS[card.locale].not_a_tax_document}", _FOOT)
    page.text_right(_RIGHT, HEIGHT - 32, page_of, _FOOT)


def _table_head(page: Page, card: Card, y: float) -> float:
    grid, columns = _GRIDS[card.shows_vat], _WORDS[card.locale].columns
    service, expires_on, period, quantity, unit_price, rate, amount = columns
    heads = [
        (_LEFT, grid.service, service),
        (grid.expires_on, 62.0, expires_on),
        (grid.period, 66.0, period),
    ]
    for x, width, label in heads:
        _upwards(page, x, y + 18, _LABEL.lines(label, width, 2))
    page.text_right(grid.quantity, y + 18, quantity, _LABEL)
    if card.shows_vat:
        page.text_right(grid.unit_price, y + 18, unit_price, _LABEL)
        page.text_right(grid.rate, y + 18, rate, _LABEL)
    page.text_right(_RIGHT, y + 18, amount, _LABEL)
    page.rule(_LEFT, _RIGHT, y + 24, _INK, 0.9)
    return y + 24


def _upwards(page: Page, x: float, y: float, lines: Sequence[str]) -> None:
    """The last line stands at `y`, the others above."""
    for at, line in enumerate(reversed(lines)):
        page.text(x, y - at * 9, line, _LABEL)


def _turn(pages: list[Page], card: Card, issuer: Issuer, carried: Decimal, y: float) -> float:
    """Carries the total so far over to a new page; where its rows begin."""
    words = _WORDS[card.locale]
    _carried(pages[-1], card, words.carried_over, carried, y)
    page = _blank(card)
    pages.append(page)
    name = _LABEL.lines(issuer.name, 240, 1)
    _downwards(page, _LEFT, 46, name, _LABEL)
    page.text_right(_RIGHT, 46, f"{words.title} {card.number}", _LABEL)
    y = _table_head(page, card, 56)
    return _carried(page, card, words.brought_forward, carried, y)


def _carried(page: Page, card: Card, label: str, amount: Decimal, y: float) -> float:
    page.text(_LEFT, y + 15, label, _SMALL)
    page.text_right(_RIGHT, y + 15, money(amount, card.currency, card.locale), _STRONG, 120)
    page.rule(_LEFT, _RIGHT, y + _CARRIED, _LINE, 0.6)
    return y + _CARRIED


# -- the head of the first page --------------------------------------------------------------------------------------


def _header(page: Page, card: Card, issuer: Issuer) -> None:
    words = _WORDS[card.locale]
    y = _downwards(page, _LEFT, 62, _NAME.lines(issuer.name, 250, 2), _NAME, 15)
    y = _downwards(page, _LEFT, y, _SMALL.lines(issuer.address, 250, 3), _SMALL)
    if issuer.vat_number:
        _downwards(page, _LEFT, y, _SMALL.lines(f"{words.vat_number} {issuer.vat_number}", 250, 1), _SMALL)
    page.text_right(_RIGHT, 66, words.title, _TITLE)
    page.text_right(_RIGHT, 82, words.subtitle, _SMALL)
    page.text_right(_RIGHT, 101, card.number, _NAME)
    if card.revision > 1:
        page.text_right(_RIGHT, 114, words.revision.format(number(card.revision, card.locale)), _SMALL)


def _parties(page: Page, card: Card) -> float:
    """To whom the card goes on the left, what to know at once on the right; where the table begins."""
    return max(_customer(page, card, 150), _facts(page, card, 150)) + 14


def _customer(page: Page, card: Card, y: float) -> float:
    words, payer = _WORDS[card.locale], card.payer
    page.text(_LEFT, y, words.customer, _LABEL)
    name = customer_name(payer.name, card.locale)
    y = _downwards(page, _LEFT, y + 15, _HEAD_NAME.lines(name, 250, 3), _HEAD_NAME, 13)
    for line, most in _address(payer, card.locale):
        y = _downwards(page, _LEFT, y, _TEXT.lines(line, 250, most), _TEXT)
    if payer.tax_id:
        y = _downwards(page, _LEFT, y + 3, _SMALL.lines(f"{words.tax_id} {payer.tax_id}", 250, 1), _SMALL)
    return y


def _address(payer: Payer, locale: Locale) -> list[tuple[str, int]]:
    """The lines of the address, and into how many each may be broken."""
    return [
        (payer.street, 2),
        (f"{payer.postcode} {payer.city}", 2),
        (country(payer.country, locale) if payer.country else "", 1),
    ]


def _facts(page: Page, card: Card, y: float) -> float:
    words = _WORDS[card.locale]
    facts = [
        (words.issued_on, long_day(card.issued_on, card.locale), _TEXT),
        (words.due_on, long_day(card.due_on, card.locale), _TEXT),
        (words.customer_code, "".join(_TEXT.lines(card.payer.code, 110, 1)), _TEXT),
        (words.to_pay, money(card.to_pay, card.currency, card.locale), _STRONG),
    ]
    for label, value, style in facts:
        page.text(_MIDDLE, y, label, _SMALL)
        page.text_right(_RIGHT, y, value, style, 110)
        page.rule(_MIDDLE, _RIGHT, y + 6, _LINE, 0.6)
        y += 18
    return y


# -- the lines -------------------------------------------------------------------------------------------------------


def _row(card: Card, item: Item) -> _Row:
    width = _GRIDS[card.shows_vat].service
    return _Row(
        reference=_STRONG.lines(item.reference or item.code, width, 4),
        product=_SMALL.lines(item.product, width, 3),
        item=item,
        amount=item.line.net if card.shows_vat else item.gross,
    )


def _draw(page: Page, card: Card, row: _Row, y: float) -> float:
    words, grid, locale, line = _WORDS[card.locale], _GRIDS[card.shows_vat], card.locale, row.item.line
    first, second = y + 14, y + 14 + _LEADING
    below = _downwards(page, _LEFT, first, row.reference, _STRONG)
    _downwards(page, _LEFT, below, row.product, _SMALL)
    page.text(grid.expires_on, first, short_day(line.expires_on, locale), _TEXT)
    page.text(grid.period, first, short_day(line.period.starts_on, locale), _TEXT)
    page.text(grid.period, second, words.until.format(short_day(line.period.ends_on, locale)), _TEXT)
    page.text_right(grid.quantity, first, number(line.quantity, locale), _TEXT, 26)
    if card.shows_vat:
        page.text_right(grid.unit_price, first, money(line.unit_price, card.currency, locale), _TEXT, 56)
        page.text_right(grid.rate, first, percentage(line.vat_rate, locale), _TEXT, 26)
    page.text_right(_RIGHT, first, money(row.amount, card.currency, locale), _TEXT, 56)
    page.rule(_LEFT, _RIGHT, y + row.height, _LINE, 0.6)
    return y + row.height


# -- what is to pay, and how -----------------------------------------------------------------------------------------


def _sums(card: Card) -> list[tuple[str, Decimal]]:
    """What stands above the amount to pay."""
    words, locale = _WORDS[card.locale], card.locale
    if card.shows_vat:
        sums = [(words.taxable, sum((each.net for each in card.totals), NOTHING))]
        sums += [
            (words.vat.format(percentage(each.rate, locale), money(each.net, card.currency, locale)), each.vat)
            for each in card.totals
        ]
        sums.append((words.total, card.total))
    else:
        sums = [(words.total_with_taxes, card.total)]
    return [*sums, (words.paid, -card.paid)] if card.paid else sums


def _closing_height(card: Card) -> float:
    return 10 + 15 * len(_sums(card)) + 34 + (_PANEL if card.to_pay > 0 else _SENTENCE) + _NOTES


def _totals(page: Page, card: Card, y: float) -> float:
    y += 10
    for label, amount in _sums(card):
        page.text(_MIDDLE, y + 10, label, _TEXT, 132)
        page.text_right(_RIGHT, y + 10, money(amount, card.currency, card.locale), _TEXT, 80)
        y += 15
    page.rule(_MIDDLE, _RIGHT, y + 3, _INK, 0.9)
    page.text(_MIDDLE, y + 19, _WORDS[card.locale].to_pay, _HEADING)
    page.text_right(_RIGHT, y + 19, money(card.to_pay, card.currency, card.locale), _TOTAL, 110)
    return y + 34


def _payment(page: Page, card: Card, payee: Payee, y: float) -> float:
    words = _WORDS[card.locale]
    _panel(page, card, y, _PANEL)
    page.text(_LEFT + 18, y + 22, words.how_to_pay, _HEADING)
    at = y + 42
    for label, value, style in _instructions(card, payee):
        page.text(_LEFT + 18, at, label, _SMALL)
        at = _downwards(page, _LEFT + 104, at, style.lines(value, 242, 2), style) + 3.5
    _downwards(page, _LEFT + 18, at + 1, _FOOT.lines(words.state_reference, 330, 2), _FOOT, 9)
    if card.trial:
        _downwards(page, _RIGHT - 124, y + 70, _WARNING.lines(words.not_to_be_paid, 112, 3), _WARNING, 14)
    elif card.currency == "EUR" and card.to_pay <= payment_code.MOST and payee.iban:
        _code(page, card, payee, y)
    return y + _PANEL


def _panel(page: Page, card: Card, y: float, height: float) -> None:
    """A trial card's is left white: the mark across the page shows through."""
    if not card.trial:
        page.box(_LEFT, y, _RIGHT - _LEFT, height, _TINT)
    page.box(_LEFT, y, 3, height, _ACCENT)


def _instructions(card: Card, payee: Payee) -> list[tuple[str, str, Style]]:
    words = _WORDS[card.locale]
    instructions = [
        (words.beneficiary, payee.beneficiary, _TEXT),
        ("IBAN", print_form(payee.iban), _STRONG),
        ("BIC", payee.bic, _TEXT),
        (words.amount, money(card.to_pay, card.currency, card.locale), _STRONG),
        (words.reference, print_form(card.reference), _STRONG),
        (words.due_on, long_day(card.due_on, card.locale), _TEXT),
    ]
    return [each for each in instructions if each[1]]


def _code(page: Page, card: Card, payee: Payee, y: float) -> None:
    """Four modules of white around it are part of the code (ISO 18004)."""
    code, side = symbol(*payload(payee, card.to_pay, card.reference)), 98.0
    left, top, quiet = _RIGHT - 16 - side, y + 20, 4 * side / code.size
    page.box(left - quiet, top - quiet, side + 2 * quiet, side + 2 * quiet, _WHITE)
    page.mask(left, top, side, 4 * code.size, code.bits())
    for at, line in enumerate(_FOOT.lines(_WORDS[card.locale].scan, side + 2 * quiet, 2)):
        page.text(left + (side - _FOOT.width(line)) / 2, top + side + quiet + 10 + 9 * at, line, _FOOT)


def _nothing_to_pay(page: Page, card: Card, y: float) -> float:
    _panel(page, card, y, _SENTENCE)
    page.text(_LEFT + 18, y + 26, _WORDS[card.locale].nothing_to_pay, _HEADING)
    return y + _SENTENCE


def _notes(page: Page, card: Card, y: float) -> None:
    words = _WORDS[card.locale]
    page.text(_LEFT, y + 20, words.not_a_tax_document, _STRONG)
    page.text(_LEFT + _STRONG.width(words.not_a_tax_document) + 4, y + 20, words.invoice_follows, _TEXT)
    if card.to_pay > 0:
        page.text(_LEFT, y + 34, words.renewed, _SMALL)


# -- drawing ---------------------------------------------------------------------------------------------------------


def _downwards(page: Page, x: float, y: float, lines: Sequence[str], style: Style, leading: float = _LEADING) -> float:
    """The first line at `y`; where the next one would stand."""
    for line in lines:
        page.text(x, y, line, style)
        y += leading
    return y
