import csv
import io
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.iso7064 import mod_97_10

from lifecycle.rules.findings import Finding
from lifecycle.rules.records import BLOCK_ROWS, Column, Malformed, files, read, shown

ROME = ZoneInfo("Europe/Rome")
NOW = datetime(2019, 9, 1, 4, tzinfo=UTC)
FILES = files(ROME, NOW)


def column(file: str, name: str) -> Column:
    return next(column for column in FILES[file].columns if column.name == name)


def findings(file: str, content: str) -> list[tuple[int, str, str]]:
    blocks = read(FILES[file], io.StringIO(content, newline=""))
    return [(f.line, f.column, f.problem) for block in blocks for f in block.findings]


@pytest.mark.parametrize(
    ("file", "name", "text", "value"),
    [
        ("customers", "code", " C1 ", "C1"),  # white space around a value is nobody's intention
        ("customers", "name", 'Ο\'Μπράιεν & <Υιοί>, "ΑΕ"', 'Ο\'Μπράιεν & <Υιοί>, "ΑΕ"'),
        ("customers", "name", "caffe\u0301\u00a0nero", "caffe\u0301\u00a0nero"),
        ("customers", "notes", "line one\r\nline two\tend", "line one\r\nline two\tend"),
        ("customers", "email", "", None),
        ("customers", "email", "anna@παράδειγμα.gr", "anna@παράδειγμα.gr"),
        ("customers", "created_on", "2020-02-29", "2020-02-29"),
        ("customers", "locale", "", None),
        ("products", "price", "0", "0"),
        ("products", "price", "999999999999.99", "999999999999.99"),
        ("products", "vat_rate", "100", "100"),
        ("subscriptions", "quantity", "", "1"),
        ("subscriptions", "auto_renew", "", "false"),
        ("subscriptions", "auto_renew", "TRUE", "true"),  # as spreadsheets write it
        ("subscriptions", "charge_method", "", "transfer"),
        ("instalments", "amount", "0.01", "0.01"),
        ("instalments", "status", "", "due"),
        ("mandates", "code", "AZaz09/-?:().'+ 35 characters long.", "AZaz09/-?:().'+ 35 characters long."),
        ("mandates", "iban", "it60 x054 2811 1010 0000 0123 456", "IT60X0542811101000000123456"),
        ("mandates", "bic", "PASCITMM", "PASCITMM"),
        ("mandates", "token", "0tok_AZ.az:09/+=-", "0tok_AZ.az:09/+=-"),
        ("mandates", "token", "t" * 300, "t" * 300),
        ("mandates", "token", "4111111111111112", "4111111111111112"),
        ("mandates", "signed_on", "2019-09-01", "2019-09-01"),
        ("subscriptions", "mandate", "", None),
        ("terms", "recorded_at", "", None),
        ("terms", "recorded_at", "2019-08-01", "2019-07-31T22:00:00+00:00"),  # the day's start in Rome
        ("terms", "recorded_at", "2019-09-01", "2019-08-31T22:00:00+00:00"),  # today has begun
        ("terms", "recorded_at", "2019-01-01T06:00", "2019-01-01T05:00:00+00:00"),
        ("terms", "recorded_at", "2019-01-01 06:00:00.5", "2019-01-01T05:00:00.500000+00:00"),
        ("terms", "recorded_at", "2019-01-01T06:00:00Z", "2019-01-01T06:00:00+00:00"),
        ("terms", "recorded_at", "2019-01-01T06:00:00+0300", "2019-01-01T03:00:00+00:00"),
    ],
)
def test_value_is_taken(file: str, name: str, text: str, value: str | None) -> None:
    assert column(file, name).values((text,)) == [value]


@pytest.mark.parametrize(
    ("file", "name", "text", "problem"),
    [
        ("customers", "code", "", "is empty"),
        ("customers", "code", "   ", "is empty"),
        ("customers", "code", "C1,C2", "has a comma"),
        ("customers", "code", "C" * 65, "is too long"),
        ("customers", "name", "x" * 301, "is too long"),
        ("customers", "name", "a\x00b", "has the character U+0000"),
        ("customers", "name", "two\nlines", "has the character U+000A"),
        ("customers", "name", "two\u2028lines", "has the character U+2028"),
        ("customers", "name", "caff\udce8", "is not UTF-8"),
        ("customers", "notes", "bell\x07", "has the character U+0007"),
        ("customers", "kind", "firm", "is not that"),
        ("customers", "kind", "Company", "is not that"),
        ("customers", "locale", "de", "is not that"),
        ("customers", "email", "anna", "is not an e-mail address"),
        ("customers", "email", "anna@example.com, b@example.com", "is not an e-mail address"),
        ("customers", "created_on", "2019-02-29", "is not a date"),
        ("customers", "created_on", "31/12/2019", "is not a date"),
        ("customers", "created_on", "20191231", "is not a date"),
        ("customers", "created_on", "2019-W01-1", "is not a date"),
        ("customers", "created_on", "0019-01-01", "is not a date"),
        ("customers", "created_on", "9999-12-31", "is not a date"),
        ("customers", "created_on", "２０１９-01-01", "is not a date"),
        ("products", "price", "-1", "is not such a number"),
        ("products", "price", "1,50", "is not such a number"),
        ("products", "price", "1.505", "is not such a number"),
        ("products", "price", "1e3", "is not such a number"),
        ("products", "price", "NaN", "is not such a number"),
        ("products", "price", "1000000000000", "is not such a number"),
        ("products", "currency", "eur", "is not that"),
        ("products", "currency", "€", "is not that"),
        ("products", "vat_rate", "100.01", "is not such a number"),
        ("products", "period_months", "0", "is not such a number"),
        ("products", "period_months", "1.5", "is not such a number"),
        ("subscriptions", "quantity", "0", "is not such a number"),
        ("subscriptions", "auto_renew", "yes", "is not a truth value"),
        ("instalments", "amount", "0.00", "is not such a number"),
        ("instalments", "amount", "-1", "is not such a number"),
        ("instalments", "amount", "1.005", "is not such a number"),
        ("instalments", "status", "cancelled", "is not that"),
        ("instalments", "status", "to_be_refunded", "is not that"),
        ("mandates", "code", "x" * 36, "is not such a reference"),
        ("mandates", "code", "M1,M2", "is not such a reference"),
        ("mandates", "code", "Μ1", "is not such a reference"),  # a Greek capital
        ("mandates", "code", "M_1", "is not such a reference"),
        ("mandates", "code", "/M1", "is not such a reference"),
        ("mandates", "code", "M1/", "is not such a reference"),
        ("mandates", "code", "M//1", "is not such a reference"),
        ("subscriptions", "mandate", "M#1", "is not such a reference"),
        ("mandates", "kind", "transfer", "is not that"),
        ("mandates", "iban", "IT60X0542811101000000123457", "is not an IBAN"),
        ("mandates", "iban", "IT6OX0542811101000000123456", "is not an IBAN"),
        ("mandates", "iban", "IT60-X0542811101000000123456", "is not an IBAN"),
        ("mandates", "iban", "IT60X0542811101000000123456" + "0" * 8, "is not an IBAN"),
        ("mandates", "bic", "PASCITM", "is not that"),
        ("mandates", "holder", "x" * 71, "is too long"),
        *(("mandates", "token", f"{first}tok_1", "is not that") for first in "-=+@_'"),
        ("mandates", "token", "tok 1", "is not that"),
        *(("mandates", "token", number, "is a card's number") for number in ("4111111111111111", "378282246310005")),
        ("mandates", "token", "tök_1", "is not that"),
        ("mandates", "token", "t" * 301, "is not that"),
        ("mandates", "signed_on", "2019-09-02", "is in the future"),
        ("action_types", "base_type", "", "is empty"),
        ("action_types", "in_agenda", "yes", "is not a truth value"),
        ("terms", "recorded_at", "2019-09-01T06:00:01", "is in the future"),
        ("terms", "recorded_at", "2019-09-02", "is in the future"),
        ("terms", "recorded_at", "2019-01-01T25:00", "is not a date or time"),
        ("terms", "recorded_at", "yesterday", "is not a date or time"),
        ("terms", "recorded_at", "2019-02-30", "is not a date or time"),
    ],
)
def test_value_is_refused(file: str, name: str, text: str, problem: str) -> None:
    with pytest.raises(Malformed) as refused:
        column(file, name).values((text,))
    assert refused.value.problem == problem


@given(st.dates(date(1900, 1, 1), date(2999, 12, 31)))
def test_every_day_is_taken(day: date) -> None:
    assert column("terms", "starts_on").values((str(day),)) == [str(day)]


@given(
    st.datetimes(datetime(1901, 1, 1), datetime(2019, 8, 30)),  # noqa: DTZ001 - times as files hold them
    st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
def test_every_moment_is_the_same_instant(moment: datetime, offset: timezone) -> None:
    aware = moment.replace(tzinfo=offset)
    (value,) = column("terms", "recorded_at").values((aware.isoformat(),))
    assert datetime.fromisoformat(str(value)) == aware


@given(st.decimals(0, 10**12 - 1, places=2))
def test_every_price_is_the_same_number(price: Decimal) -> None:
    (value,) = column("products", "price").values((str(price),))
    assert Decimal(str(value)) == price


@given(st.lists(st.tuples(st.text(), st.text()), min_size=1, max_size=5))
def test_texts_come_out_as_they_were_written_or_are_named(rows: list[tuple[str, str]]) -> None:
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(("code", "kind", "name", "email", "notes"))
    writer.writerows((f"C{i}", "person", name, "", notes) for i, (name, notes) in enumerate(rows))
    _, block = read(FILES["customers"], io.StringIO(out.getvalue(), newline=""))
    named = {(finding.line, finding.column) for finding in block.findings}
    for line, name, notes, row in zip(block.lines, block.values["name"], block.values["notes"], rows, strict=True):
        assert (name == row[0].strip()) != ((line, "name") in named)
        assert (notes == (row[1].strip() or None)) != ((line, "notes") in named)


@given(st.from_regex(r"[A-Z]{2}[A-Z0-9]{11,30}", fullmatch=True), st.integers(0, 99))
def test_an_iban_is_what_has_the_right_check_digits(rest: str, digits: int) -> None:
    right = mod_97_10.calc_check_digits(rest[2:] + rest[:2])
    assert column("mandates", "iban").values((rest[:2] + right + rest[2:],)) == [rest[:2] + right + rest[2:]]
    if f"{digits:02}" != right:
        with pytest.raises(Malformed):
            column("mandates", "iban").values((f"{rest[:2]}{digits:02}{rest[2:]}",))


def test_what_an_account_is_known_by_is_in_no_finding() -> None:
    rows = f"M/1,C1,cash,{'Anna' * 20},IT60ANNA,ANNA,{'t' * 301},tomorrow\n"
    header = "code,customer,kind,holder,iban,bic,token,signed_on\n"
    found = [f for block in read(FILES["mandates"], [header, rows]) for f in block.findings]
    assert [(f.column, f.value) for f in found] == [
        ("kind", "cash"),
        ("holder", ""),
        ("iban", ""),
        ("bic", ""),
        ("token", ""),
        ("signed_on", "tomorrow"),
    ]


HEADER = "code,kind,name,email,notes\n"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("", [(1, "", "is empty")]),
        ("\n\n", [(1, "", "is empty")]),
        (HEADER, []),
        (f"{HEADER}\n\nC1,person,Anna,,\n\n", []),  # blank lines say nothing
        (
            "code;kind;name;email\nC1;person;Anna;\n",
            [
                (1, "", "column 1 is unknown"),
                *((1, name, "is missing") for name in ("code", "kind", "name", "email")),
            ],
        ),
        (
            "code,kind,name,Name,code\nC1,person,Anna,Anna,C1\n",
            [(1, "", "column 4 is unknown"), (1, "code", "stands there more than once"), (1, "email", "is missing")],
        ),
        ("kind,name,email\nfirm,Anna,\n", [(1, "code", "is missing"), (2, "kind", "is not that")]),
        (f"{HEADER}C1,person,Anna\nC2,firm,Bob,,\nC3,person,Cleo,,,\n", [
            (2, "", "has 3 fields"), (4, "", "has 6 fields"), (3, "kind", "is not that"),
        ]),
        (f'{HEADER}C1,person,Anna,,"one\ntwo\r\nthree"\nC2,firm,Bob,,\n', [(5, "kind", "is not that")]),
        (f'{HEADER}C1,person,"Anna,,\nC2,firm,Bob,,\n', [
            (2, "", "cannot be read: unexpected end of data; the rest of the file was not looked at"),
        ]),
        (f'{HEADER}C1,firm,Anna,,\nC1,person,"An"na,,\nC2,firm,Bob,,\n', [
            (2, "kind", "is not that"),
            (3, "", "cannot be read: ',' expected after '\"'; the rest of the file was not looked at"),
        ]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_physical_line(content: str, found: list[tuple[int, str, str]]) -> None:
    assert findings("customers", content) == found


def test_lines_are_counted_over_blocks() -> None:
    rows = "".join(f'C{i},person,Anna,,"note\n{i}"\n' for i in range(BLOCK_ROWS + 1))
    assert findings("customers", f"{HEADER}{rows}C1,firm,Anna,,\n") == [(2 * BLOCK_ROWS + 4, "kind", "is not that")]


def test_codes_of_a_file_that_was_not_read_wholly_are_not_missed() -> None:
    whole = [block.whole for block in read(FILES["customers"], [HEADER, "C1,person,Anna\n", "C2,person,Bob,,\n"])]
    assert whole == [True, False]


def test_values_are_shown_short_and_harmless() -> None:
    assert shown("Ελένη\x1b[31m\udce8") == "Ελένη\\x1b[31m\\udce8"
    assert shown("x" * 41) == "x" * 39 + "…"


def test_a_finding_reads_as_a_sentence_without_the_value() -> None:
    (finding,) = [f for block in read(FILES["customers"], [HEADER, "C1,person,Anna,anna,\n"]) for f in block.findings]
    assert finding == Finding(
        "customers.csv", "is not an e-mail address", "one bare name@domain", "anna", line=2, column="email"
    )
    assert str(finding) == "customers.csv, line 2, email: is not an e-mail address; expected one bare name@domain"
