"""Import files: which there are, their columns, what a value must look like, and what is wrong with one that does not.

A file is read in blocks, and a block column by column: the whole column goes through one parser, and only where that
refuses it do the values go one by one, to name the wrong ones. Values keep the form of text, the one PostgreSQL reads.
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import lru_cache
from itertools import islice
from typing import Literal
from zoneinfo import ZoneInfo

from lifecycle.rules.addresses import is_address
from lifecycle.rules.appointments import AppointmentStatus
from lifecycle.rules.calendar import SINCE_EVER
from lifecycle.rules.contact import ContactChannel
from lifecycle.rules.findings import Finding
from lifecycle.rules.instalments import InstalmentStatus
from lifecycle.rules.languages import LOCALES
from lifecycle.rules.money import MOST
from lifecycle.rules.subscriptions import CHARGED_BY_ITSELF, ChargeMethod, CustomerKind, Policy

BLOCK_ROWS = 500
"""Measured: rows that stay in the processor's cache are read twice as fast as blocks of 5,000."""

LAST_DAY = date(2999, 12, 31)
"""Later dates are typing errors, or "for ever", which is no date one can add months to."""

_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_UNSAFE_IN_LINES = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(
    rf"{_DAY.pattern}[T ][0-9]{{2}}:[0-9]{{2}}(:[0-9]{{2}}(\.[0-9]{{1,6}})?)?(Z|[+-][0-9]{{2}}:?[0-9]{{2}})?"
)


class Malformed(ValueError):
    """A value is not what its column calls for."""

    def __init__(self, problem: str, expected: str) -> None:
        super().__init__(f"{problem}; expected {expected}")
        self.problem = problem
        self.expected = expected


Values = Sequence[str | None]
Parser = Callable[[Sequence[str]], Sequence[str]]
"""Takes texts, none of them empty; returns them in PostgreSQL's form or raises Malformed for the first wrong one."""


@dataclass(frozen=True, slots=True)
class Column:
    """`need`: whether there must be a value, or at least the column. `empty` is what no value stands for.

    The values of a `secret` column are in no finding, also where they are wrong.
    """

    name: str
    parse: Parser
    need: Literal["value", "column", "nothing"] = "value"
    empty: str | None = None
    secret: bool = False

    def values(self, texts: Iterable[str]) -> Values:
        """The column's values, white space around them removed. Raises Malformed for the first wrong one."""
        stripped = [text.strip() for text in texts]
        if "" not in stripped:
            return self.parse(stripped)
        if self.need == "value":
            raise Malformed("is empty", "a value")
        given = iter(self.parse([text for text in stripped if text]))
        return [next(given) if text else self.empty for text in stripped]


@dataclass(frozen=True, slots=True)
class File:
    """One kind of import file: `name` is the file's without ``.csv``."""

    name: str
    columns: tuple[Column, ...]

    @property
    def filename(self) -> str:
        return f"{self.name}.csv"


@dataclass(frozen=True, slots=True)
class Block:
    """Some rows of a file, by column: the columns of the header only, None for wrong and for missing values.

    `whole` is False where rows or columns were lost, so that nobody blames other files for what is missing.
    """

    lines: Sequence[int] = ()
    values: dict[str, Values] = field(default_factory=dict)
    findings: Sequence[Finding] = ()
    whole: bool = True


def files(zone: ZoneInfo, now: datetime) -> dict[str, File]:
    """All files by name. Times without an offset are in `zone`; nothing can have been recorded after `now`."""
    recorded_at = Column("recorded_at", moments_until(now, zone), "nothing")
    said_on = days_until(now.astimezone(zone).date())
    locale = Column("locale", choices(LOCALES), "nothing")
    listed = (
        File(
            "resellers",
            (code("code"), _NAME, _EMAIL, locale, _optional("phone")),
        ),
        File(
            "customers",
            (
                code("code"),
                Column("kind", choices(CustomerKind)),
                _NAME,
                _EMAIL,
                *map(_optional, ("phone", "tax_id", "street", "city", "postcode", "country")),
                locale,
                code("reseller", "nothing"),
                Column("created_on", days, "nothing"),
                Column("notes", texts(10_000, _UNSAFE_IN_LINES), "nothing"),
            ),
        ),
        File(
            "associations",
            (
                code("reseller"),
                code("customer"),
                Column("from_on", days),
                Column("until_on", days, "nothing"),
                recorded_at,
            ),
        ),
        File(
            "products",
            (
                code("code"),
                _NAME,
                Column("policy", choices(Policy)),
                Column("period_months", numbers("1", "1200", decimals=0)),
                Column("price", _PRICES),
                Column("currency", _CURRENCY),
                Column("vat_rate", numbers("0", "100", decimals=2)),
            ),
        ),
        File(
            "subscriptions",
            (
                code("code"),
                code("customer"),
                code("product"),
                Column("starts_on", days),
                Column("expires_on", days),
                _optional("reference"),
                Column("quantity", numbers("1", "999999999", decimals=0), "nothing", "1"),
                Column("unit_price", _PRICES, "nothing"),
                Column("auto_renew", booleans, "nothing", "false"),
                Column("charge_method", choices(ChargeMethod), "nothing", ChargeMethod.TRANSFER),
                Column("mandate", mandate_references, "nothing"),
                recorded_at,
            ),
        ),
        File("terms", (code("subscription"), Column("starts_on", days), Column("expires_on", days), recorded_at)),
        File(
            "mandates",
            (
                Column("code", mandate_references),
                code("customer"),
                Column("kind", choices(CHARGED_BY_ITSELF)),
                Column("holder", texts(70), "nothing", secret=True),
                Column("iban", each(_iban), "nothing", secret=True),
                Column("bic", _BIC, "nothing", secret=True),
                Column("token", each(_token), "nothing", secret=True),
                Column("signed_on", said_on, "nothing"),
            ),
        ),
        File(
            "instalments",
            (
                code("subscription"),
                Column("due_on", days),
                Column("amount", numbers("0.01", str(MOST), decimals=2)),
                Column("status", choices(_STATUSES), "nothing", InstalmentStatus.DUE),
            ),
        ),
        File(
            "action_types",
            (
                code("code"),
                Column("title", texts(300)),
                code("base_type"),
                Column("in_agenda", booleans, "nothing", "false"),
            ),
        ),
        File(
            "consent_types",
            (
                code("code"),
                Column("title", texts(300)),
                _optional("description"),
                Column("valid_days", numbers("1", "36500", decimals=0), "nothing"),
                *(Column(f"allows_{channel}", booleans, "nothing", "false") for channel in ContactChannel),
            ),
        ),
        File(
            "consents",
            (
                code("customer"),
                code("consent_type"),
                Column("granted_on", said_on),
                Column("withdrawn_on", days, "nothing"),
                Column("evidence", EVIDENCE, "nothing"),
                recorded_at,
            ),
        ),
        File("motives", (code("code"), Column("title", texts(300)), Column("duty", booleans, "nothing", "false"))),
        File(
            "objections", (code("customer"), Column("channel", choices(ContactChannel)), Column("objected_on", said_on))
        ),
        File(
            "appointments",
            (
                code("code"),
                code("customer"),
                Column("starts_at", moments(zone)),
                Column("status", choices(AppointmentStatus)),
                _optional("title"),
            ),
        ),
        File(
            "operators",
            (
                code("code"),
                _NAME,
                Column("email", addresses),
                Column("administrator", booleans, "nothing", "false"),
            ),
        ),
    )
    return {file.name: file for file in listed}


def read(file: File, lines: Iterable[str]) -> Iterator[Block]:
    """Read a file, given as its physical lines with their ends, block by block. The first block is the header's.

    Bytes that were not UTF-8 are expected as lone surrogates (``errors="surrogateescape"``).
    """
    broken: list[Finding] = []
    records = _records(file, lines, broken)
    _, names = next(records, (0, []))
    header = [name.strip() for name in names]
    if not broken:
        columns = [(header.index(column.name), column) for column in file.columns if column.name in header]
        given: dict[str, Values] = {column.name: () for _, column in columns}
        yield Block(values=given, findings=_header_findings(file, header), whole=_is_complete(file, header))
        while columns and (rows := list(islice(records, BLOCK_ROWS))):
            yield _block(file, columns, len(header), rows)
    if broken:
        yield Block(findings=broken, whole=False)


def _records(file: File, lines: Iterable[str], broken: list[Finding]) -> Iterator[tuple[int, list[str]]]:
    """Each record with the physical line it starts on. A broken one ends the file: what follows cannot be trusted."""
    reader = csv.reader(lines, strict=True)
    ended = 0
    try:
        for row in reader:
            started, ended = ended + 1, reader.line_num
            if row:
                yield started, row
    except csv.Error as error:
        problem = f"cannot be read: {error}; the rest of the file was not looked at"
        broken.append(Finding(file.filename, problem, "fields separated by commas, quotes doubled", line=ended + 1))


def _header_findings(file: File, header: list[str]) -> list[Finding]:
    known = [column.name for column in file.columns]
    expected = f"a header with {', '.join(known)}"
    if not header:
        return [Finding(file.filename, "is empty", expected, line=1)]
    unknown = [(position, name) for position, name in enumerate(header, 1) if name not in known]
    twice = [name for name in known if header.count(name) > 1]
    wrong = [Finding(file.filename, f"column {at} is unknown", expected, shown(name), 1) for at, name in unknown]
    wrong += [Finding(file.filename, "stands there more than once", "each column once", "", 1, name) for name in twice]
    missing = [name for name in _needed(file) if name not in header]
    return wrong + [Finding(file.filename, "is missing", expected, "", 1, name) for name in missing]


def _needed(file: File) -> list[str]:
    return [column.name for column in file.columns if column.need != "nothing"]


def _is_complete(file: File, header: list[str]) -> bool:
    return set(_needed(file)) <= set(header)


def _block(file: File, columns: list[tuple[int, Column]], width: int, records: list[tuple[int, list[str]]]) -> Block:
    lines, rows = zip(*records, strict=True)
    findings: list[Finding] = []
    whole = True
    if set(map(len, rows)) != {width}:
        whole = False
        findings += [
            Finding(file.filename, f"has {len(row)} fields", f"{width} fields, as in the header", line=line)
            for line, row in records
            if len(row) != width
        ]
        sound = [record for record in records if len(record[1]) == width]
        if not sound:
            return Block(findings=findings, whole=False)
        lines, rows = zip(*sound, strict=True)
    values: dict[str, Values] = {}
    cells = tuple(zip(*rows, strict=True))
    for position, column in columns:
        values[column.name], wrong = _parsed(column, cells[position])
        findings += [
            Finding(file.filename, error.problem, error.expected, value, lines[at], column.name)
            for at, error in wrong
            for value in ["" if column.secret else shown(cells[position][at])]
        ]
    return Block(lines, values, findings, whole)


def _parsed(column: Column, cells: Sequence[str]) -> tuple[Values, list[tuple[int, Malformed]]]:
    try:
        return column.values(cells), []
    except Malformed:
        values: list[str | None] = []
        wrong = []
        for at, cell in enumerate(cells):
            try:
                values += column.values((cell,))
            except Malformed as error:
                values.append(None)
                wrong.append((at, error))
        return values, wrong


def shown(value: str, most: int = 40) -> str:
    """At most so many characters of `value`, safe for a terminal."""
    cut = value if len(value) <= most else f"{value[: most - 1]}…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)


def texts(longest: int, unsafe: re.Pattern[str] = _UNSAFE) -> Parser:
    """Texts of at most `longest` characters without control characters."""

    def parse(values: Sequence[str]) -> Sequence[str]:
        if max(map(len, values), default=0) > longest:
            raise Malformed("is too long", f"at most {longest} characters")
        # Nearly always true, and ten times faster than a search.
        if not "".join(values).isprintable():
            for value in values:
                if found := unsafe.search(value):
                    raise Malformed(_unsafe(found[0]), "text in UTF-8 without control characters")
        return values

    return parse


def _unsafe(character: str) -> str:
    return "is not UTF-8" if "\ud800" <= character <= "\udfff" else f"has the character U+{ord(character):04X}"


def code(name: str, need: Literal["value", "nothing"] = "value") -> Column:
    """A code: up to 64 characters. Without commas, as operators list codes by commas."""
    check = texts(64)

    def parse(values: Sequence[str]) -> Sequence[str]:
        if "," in "".join(values):
            raise Malformed("has a comma", "a code without commas")
        return check(values)

    return Column(name, parse, need)


def each(one: Callable[[str], str]) -> Parser:
    """Value by value; those that come again and again are remembered."""
    remembered = lru_cache(maxsize=1 << 16)(one)
    return lambda values: list(map(remembered, values))


def matching(pattern: str, expected: str) -> Parser:
    compiled = re.compile(pattern)

    def one(value: str) -> str:
        if not compiled.fullmatch(value):
            raise Malformed("is not that", expected)
        return value

    return each(one)


def choices(values: Iterable[str]) -> Parser:
    listed = list(values)
    return matching("|".join(listed), f"one of {', '.join(listed)}")


def numbers(least: str, most: str, decimals: int) -> Parser:
    """Numbers with a decimal point and at most so many decimals, `least` and `most` included."""
    digits = len(most)
    pattern = re.compile(rf"[0-9]{{1,{digits}}}(\.[0-9]{{1,{decimals}}})?" if decimals else rf"[0-9]{{1,{digits}}}")
    expected = (
        f"{f'a number with at most {decimals} decimals' if decimals else 'a whole number'} from {least} to {most}"
    )

    def one(value: str) -> str:
        if not pattern.fullmatch(value) or not Decimal(least) <= Decimal(value) <= Decimal(most):
            raise Malformed("is not such a number", expected)
        return value

    return each(one)


def addresses(values: Sequence[str]) -> Sequence[str]:
    if not all(map(is_address, values)):
        raise Malformed("is not an e-mail address", "one bare name@domain")
    return values


def _boolean(value: str) -> str:
    if value.lower() not in {"true", "false"}:
        raise Malformed("is not a truth value", "true or false")
    return value.lower()


booleans = each(_boolean)


def _day(value: str) -> str:
    try:
        if _DAY.fullmatch(value) and SINCE_EVER <= date.fromisoformat(value) <= LAST_DAY:
            return value
    except ValueError:
        pass
    raise Malformed("is not a date", f"a day as YYYY-MM-DD, from {SINCE_EVER} to {LAST_DAY}")


days = each(_day)


def days_until(last: date) -> Parser:
    """Days of facts: none after `last`."""

    def one(value: str) -> str:
        if date.fromisoformat(_day(value)) > last:
            raise Malformed("is in the future", f"a day up to {last}")
        return value

    return each(one)


def moments(zone: ZoneInfo) -> Parser:
    """Days, which are their start in `zone`, and times, by their offset or else in `zone`."""
    return each(lambda value: _moment(value, zone).isoformat())


def moments_until(now: datetime, zone: ZoneInfo) -> Parser:
    """Moments at which something was learned: none after `now`."""

    def one(value: str) -> str:
        moment = _moment(value, zone)
        if moment > now:
            raise Malformed("is in the future", "a moment that has passed: when the business learned it")
        return moment.isoformat()

    return each(one)


def _moment(value: str, zone: ZoneInfo) -> datetime:
    """The instant in UTC."""
    try:
        if _DAY.fullmatch(value):
            return start_of_day(date.fromisoformat(_day(value)), zone)
        if _MOMENT.fullmatch(value):
            _day(value[:10])
            moment = datetime.fromisoformat(value)
            return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except ValueError:
        pass
    expected = "YYYY-MM-DD or YYYY-MM-DDThh:mm:ss, with an offset or in business time"
    raise Malformed("is not a date or time", expected)


def start_of_day(day: date, zone: ZoneInfo) -> datetime:
    """The first moment of `day` in `zone`, in UTC."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def mandate_references(values: Sequence[str]) -> Sequence[str]:
    """Codes of mandates: what a bank takes as one (EPC130-08, and EPC230-15 on slashes), without commas."""
    if not all(map(_MANDATE_REFERENCE.fullmatch, values)):
        expected = (
            "at most 35 of the letters A to Z, digits, blanks and / - ? : ( ) . ' +, no slash first, last or double"
        )
        raise Malformed("is not such a reference", expected)
    return values


_MANDATE_REFERENCE = re.compile(r"(?=.{1,35}\Z)[A-Za-z0-9?:().'+ -]+(/[A-Za-z0-9?:().'+ -]+)*")
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")


def _iban(value: str) -> str:
    """In capitals, without blanks. That its country has such numbers is for the bank to say."""
    electronic = value.replace(" ", "").upper()
    if not _IBAN.fullmatch(electronic) or not "02" <= electronic[2:4] <= "98" or _remainder(electronic) != 1:
        raise Malformed("is not an IBAN", "one whose check digits are right")
    return electronic


def _remainder(iban: str) -> int:
    """ISO 13616: by 97, of the number that it is with its first four characters last, letters as 10 to 35."""
    return int("".join(str(int(character, 36)) for character in iban[4:] + iban[:4])) % 97


EVIDENCE = texts(2_000, _UNSAFE_IN_LINES)
"""How a consent was given: what a person wrote, in lines."""

_STATUSES = (InstalmentStatus.DUE, InstalmentStatus.SUBMITTED, InstalmentStatus.PAID)
"""Of instalments, in the order in which they follow one another: the others are for withdrawals to give."""

# As pain.008.001.02 takes it; later versions take more, which nobody has.
_BIC = matching(r"[A-Z]{6}[A-Z2-9][A-NP-Z0-9]([A-Z0-9]{3})?", "8 or 11 capital letters and digits, such as PASCITMM")
# It goes to the provider as it is: no value begins with what a program for spreadsheets reads as a formula.


def _token(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:/+=-]{0,299}", value):
        expected = "a letter or digit, then at most 299 letters, digits and . _ : / + = -"
        raise Malformed("is not that", expected)
    if re.fullmatch(r"[0-9]{13,19}", value) and not _luhn(value) % 10:
        raise Malformed("is a card's number", "what the payment provider knows the card by: numbers are not kept here")
    return value


def _luhn(digits: str) -> int:
    """The sum that is a multiple of ten for the numbers of cards (ISO/IEC 7812-1, annex B)."""
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return sum(map(int, digits[-1::-2])) + sum(doubled)


_CURRENCY = matching(r"[A-Z]{3}", "three capital letters, such as EUR")
_PRICES = numbers("0", str(MOST), decimals=2)
_NAME = Column("name", texts(300))
_EMAIL = Column("email", addresses, "column")


def _optional(name: str) -> Column:
    return Column(name, texts(300), "nothing")


def _amount(value: str) -> str:
    if not re.fullmatch(r"-?[0-9]{1,12}(\.[0-9]{1,2})?", value) or not Decimal(value):
        expected = "an amount with at most 2 decimals, not zero, negative where the bank took money back"
        raise Malformed("is not such an amount", expected)
    return value


PAYMENTS = File(
    "payments",
    (
        Column("bank_reference", texts(140)),
        Column("received_on", days),
        Column("amount", each(_amount)),
        Column("currency", _CURRENCY),
        Column("remittance", texts(10_000, _UNSAFE_IN_LINES), "column", ""),
        _optional("payer"),
        _optional("iban"),
    ),
)
"""Money received, as somebody lists it by hand. Not among `files`: payments are matched, not merged."""
