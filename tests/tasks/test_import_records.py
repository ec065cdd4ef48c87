import csv
import io
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from deployments import sample
from lifecycle.persistence.database import transaction
from lifecycle.rules import findings
from lifecycle.rules.calendar import SINCE_EVER
from lifecycle.rules.findings import BadInput
from tasks.import_records import import_files

NOW = datetime(2019, 9, 20, 10, tzinfo=UTC)
TODAY = date(2019, 9, 20)
TOMORROW = NOW + timedelta(days=1)
AFTERWARDS = datetime(2020, 1, 1, tzinfo=UTC)
OPEN = None

TABLES = ("resellers", "customers", "associations", "products", "subscriptions", "terms")
BUSINESS = {
    "resellers": "code,name,email\nR1,Una,r1@example.org\nR2,Due,\n",
    "customers": "code,kind,name,email,phone,reseller,created_on\n"
    "C1,person,Anna,anna@example.com,+39 035,R1,2018-01-01\n",
    "products": "code,name,policy,period_months,price,currency,vat_rate\nP1,Office,licence,12,240,EUR,22\n"
    "P2,Desk,licence,12,90,EUR,22\n",
    "subscriptions": "code,customer,product,starts_on,expires_on,recorded_at\n"
    "L1,C1,P1,2018-10-01,2019-09-30,2018-09-28\n",
}

_folders = count(1)


def imported(folder: Path, now: datetime = NOW, *, dry_run: bool = False) -> Counter[str]:
    return import_files.fn(folder, now, dry_run=dry_run)


def bring(home: Path, now: datetime = NOW, **contents: str) -> Counter[str]:
    """Import files with these contents, which are named without ``.csv``."""
    return imported(written(home, contents), now)


def written(home: Path, contents: dict[str, str]) -> Path:
    folder = home / f"import-{next(_folders)}"
    folder.mkdir()
    for name, content in contents.items():
        (folder / f"{name}.csv").write_bytes(content.encode("utf-8", "surrogateescape"))
    return folder


def rows(query: str) -> list[tuple[Any, ...]]:
    with transaction() as db:
        return [tuple(row) for row in db.execute(text(query))]


def row_versions() -> dict[str, list[tuple[Any, ...]]]:
    """Which version of each row there is, and where: any write shows."""
    return {table: rows(f"SELECT id, xmin::text, xmax::text, ctid::text FROM {table} ORDER BY id") for table in TABLES}


def refused(home: Path, **contents: str) -> list[tuple[str, int, str, str]]:
    before = row_versions()
    with pytest.raises(BadInput) as error:
        bring(home, NOW, **contents)
    assert row_versions() == before
    return [(f.where, f.line, f.column, f.problem) for f in error.value.findings]


def term_versions() -> list[tuple[Any, ...]]:
    return rows("SELECT starts_on::text, expires_on::text, recorded_at FROM terms ORDER BY starts_on, recorded_at")


def looks_after() -> list[tuple[Any, ...]]:
    return rows("""
        SELECT resellers.code, from_on, until_on, associations.recorded_at
        FROM associations JOIN resellers ON resellers.id = reseller_id ORDER BY associations.id""")


@pytest.fixture
def business(home: Path) -> Path:
    imported(written(home, BUSINESS))
    return home


def at(moment: str) -> datetime:
    return datetime.fromisoformat(moment).astimezone(UTC)


# What an import does


def test_the_sample_business_is_imported_and_again_changes_nothing(home: Path) -> None:
    sample.write_business(home / "sample")
    assert imported(home / "sample", AFTERWARDS) == {
        **{
            f"{name} {what}": 0
            for name in sorted({*TABLES} - {"terms", "associations"})
            for what in ("changed", "unchanged")
        },
        "resellers new": 25,
        "customers new": 600,
        "products new": 8,
        "subscriptions new": 780,
        "terms added": 1121,
        "associations added": 594,
    }
    before = row_versions()
    again = imported(home / "sample", AFTERWARDS + timedelta(days=1))
    assert {what: number for what, number in again.items() if number} == {
        "resellers unchanged": 25,
        "customers unchanged": 600,
        "products unchanged": 8,
        "subscriptions unchanged": 780,
    }
    assert row_versions() == before


def test_order_of_files_rows_and_columns_does_not_matter(home: Path, tmp_path: Path) -> None:
    sample.write_business(tmp_path / "sample")
    shuffled = random.Random(2019)
    contents = {}
    for path in (tmp_path / "sample").iterdir():
        table = [*csv.reader(path.read_text("utf-8").splitlines(keepends=True))]
        header, *body = [*zip(*shuffled.sample([*zip(*table, strict=True)], len(table[0])), strict=True)]
        shuffled.shuffle(body)
        out = io.StringIO(newline="")
        csv.writer(out).writerows([header, *body])
        contents[path.stem] = "\ufeff" + out.getvalue()
    assert imported(written(home, contents), AFTERWARDS)["terms added"] == 1121
    again = imported(tmp_path / "sample", AFTERWARDS + timedelta(days=1))
    assert {what for what, number in again.items() if number and "unchanged" not in what} == set()


def test_a_dry_run_says_the_same_and_records_nothing(home: Path) -> None:
    folder = written(home, BUSINESS)
    dry = imported(folder, dry_run=True)
    assert {*map(str, row_versions().values())} == {"[]"}
    assert imported(folder) == dry


def test_master_data_follow_the_columns_that_are_given(business: Path) -> None:
    counts = bring(business, customers="code,kind,name,email\nC1,company,Anna & Co.,\nC2,person,Bob,\n")
    assert [counts[f"customers {what}"] for what in ("new", "changed", "unchanged")] == [1, 1, 0]
    assert rows("SELECT kind, name, email, phone FROM customers ORDER BY code") == [
        ("company", "Anna & Co.", None, "+39 035"),  # an empty value takes away, a column left out does not
        ("person", "Bob", None, None),
    ]


def test_values_arrive_as_they_are(home: Path) -> None:
    names = ["\\N", "\\.", "\\t", "NULL", '"', "'", "=1+1", "Ελένη", "a\u00a0b", "𝕏", "%s", "{}", ":x"]
    quoted = [name.replace('"', '""') for name in names]
    listing = "".join(f'C{i:02},person,"{name}",,"{name}\n{name}"\n' for i, name in enumerate(quoted))
    bring(home, customers=f"code,kind,name,email,notes\n{listing}")
    assert rows("SELECT name, notes FROM customers ORDER BY code") == [(name, f"{name}\n{name}") for name in names]


def test_one_file_can_be_imported_alone(business: Path) -> None:
    folder = written(business, {"terms": "subscription,starts_on,expires_on\nL1,2019-10-01,2020-09-30\n"})
    assert imported(folder / "terms.csv")["terms added"] == 1


def test_two_imports_at_once_act_one_after_the_other(home: Path) -> None:
    folder = written(home, BUSINESS)
    assert rows("SELECT FROM terms") == []
    with ThreadPoolExecutor(4) as pool:
        done = [*pool.map(imported, [folder] * 4)]
    assert sorted(counts["terms added"] for counts in done) == [0, 0, 0, 1]


# Terms


@pytest.mark.parametrize(
    ("then", "added"),
    [
        # A new term.
        ("L1,2019-10-01,2020-09-30,2019-09-10", [("2019-10-01", "2020-09-30", at("2019-09-10T00:00+02:00"))]),
        ("L1,2019-10-01,2020-09-30,", [("2019-10-01", "2020-09-30", TOMORROW)]),
        # The version that is known.
        ("L1,2018-10-01,2019-09-30,2018-09-28", []),
        ("L1,2018-10-01,2019-09-30,", []),
        # A version of another moment, equal or not.
        ("L1,2018-10-01,2019-09-30,2019-01-01", [("2018-10-01", "2019-09-30", at("2019-01-01T00:00+01:00"))]),
        ("L1,2018-10-01,2019-12-31,2019-01-01", [("2018-10-01", "2019-12-31", at("2019-01-01T00:00+01:00"))]),
        # What was told otherwise is learned now; the past stays as it was known.
        ("L1,2018-10-01,2019-12-31,2018-09-28", [("2018-10-01", "2019-12-31", TOMORROW)]),
        ("L1,2018-10-01,2019-12-31,", [("2018-10-01", "2019-12-31", TOMORROW)]),
        # The same row twice is one; of several for one term, the latest one corrects.
        ("L1,2018-10-01,2019-12-31,\nL1,2018-10-01,2019-12-31,", [("2018-10-01", "2019-12-31", TOMORROW)]),
        (
            "L1,2018-10-01,2018-12-31,2018-09-28\nL1,2018-10-01,2019-12-31,2019-01-01",
            [("2018-10-01", "2019-12-31", at("2019-01-01T00:00+01:00"))],
        ),
    ],
)
def test_a_term_adds_a_version_unless_it_is_known(
    business: Path, then: str, added: list[tuple[str, str, datetime]]
) -> None:
    before = term_versions()
    for now in (TOMORROW, TOMORROW + timedelta(days=1)):
        bring(business, now, terms=f"subscription,starts_on,expires_on,recorded_at\n{then}\n")
        assert term_versions() == sorted(before + added, key=lambda version: (version[0], version[2]))


def test_the_anchor_is_the_first_start_also_where_it_is_told_last(business: Path) -> None:
    terms = "subscription,starts_on,expires_on,recorded_at\n"
    bring(business, terms=f"{terms}L1,2016-10-01,2017-09-30,2016-10-01\nL1,2017-10-01,2018-09-30,2017-10-01\n")
    assert rows("SELECT anchor FROM subscriptions") == [(date(2016, 10, 1),)]


# Associations


@pytest.mark.parametrize(
    ("created_on", "from_on", "known"),
    [
        ("2018-01-01", date(2018, 1, 1), at("2018-01-01T00:00+01:00")),
        ("", SINCE_EVER, datetime.combine(SINCE_EVER, datetime.min.time(), tzinfo=UTC) - timedelta(hours=1)),
        ("2019-10-01", date(2019, 10, 1), NOW),
    ],
)
def test_a_customers_first_reseller_has_been_so_from_the_beginning(
    home: Path, created_on: str, from_on: date, known: datetime
) -> None:
    customers = f"code,kind,name,email,reseller,created_on\nC1,person,Anna,,R1,{created_on}\n"
    bring(home, resellers=BUSINESS["resellers"], customers=customers)
    ((reseller, began, until, recorded),) = looks_after()
    assert (reseller, began, until) == ("R1", from_on, OPEN)
    assert abs(recorded - known) < timedelta(hours=1)


def moved(reseller: str) -> str:
    return BUSINESS["customers"].replace(",R1,", f",{reseller},")


FIRST = ("R1", date(2018, 1, 1), OPEN, at("2018-01-01T00:00+01:00"))
ENDED = ("R1", date(2018, 1, 1), TODAY, TOMORROW)
NEXT = ("R2", date(2019, 9, 21), OPEN, TOMORROW)


def test_another_reseller_in_customers_csv_is_a_move_from_today(business: Path) -> None:
    assert bring(business, TOMORROW, customers=moved("R2"))["associations added"] == 2
    assert looks_after() == [FIRST, ENDED, NEXT]
    assert bring(business, TOMORROW + timedelta(days=1), customers=moved("R2"))["associations added"] == 0


def test_the_same_or_no_reseller_changes_nothing(business: Path) -> None:
    with transaction() as db:
        db.execute(
            text("""
            INSERT INTO associations (customer_id, reseller_id, from_on, until_on, recorded_at)
            SELECT customer_id, reseller_id, from_on, '2019-05-31', '2019-06-01' FROM associations""")
        )
    before = looks_after()
    for reseller in ("R1", ""):
        bring(business, TOMORROW, customers=moved(reseller))
    assert looks_after() == before


def test_a_move_that_was_made_already_is_not_made_again(business: Path) -> None:
    associations = "reseller,customer,from_on,until_on\nR1,C1,2018-01-01,2019-08-31\nR2,C1,2019-09-01,\n"
    assert bring(business, TOMORROW, associations=associations, customers=moved("R2"))["associations added"] == 2
    assert [version[:3] for version in looks_after()] == [
        FIRST[:3],
        ("R1", date(2018, 1, 1), date(2019, 8, 31)),
        ("R2", date(2019, 9, 1), OPEN),
    ]


def test_associations_csv_comes_before_the_shorthand(home: Path) -> None:
    associations = "reseller,customer,from_on,recorded_at\nR2,C1,2018-06-01,2018-06-01\n"
    imported(written(home, BUSINESS | {"associations": associations}))
    assert looks_after() == [("R2", date(2018, 6, 1), OPEN, at("2018-06-01T00:00+02:00"))]


def test_back_to_the_former_reseller_on_the_same_day(business: Path) -> None:
    bring(business, TOMORROW, customers=moved("R2"))
    later = TOMORROW + timedelta(hours=1)
    bring(business, later, customers=moved("R1"))
    assert looks_after() == [
        FIRST,
        ENDED,
        NEXT,
        ("R2", date(2019, 9, 21), TODAY, later),  # it never came into force
        ("R1", date(2019, 9, 21), OPEN, later),
    ]


# What is wrong


def test_everything_that_is_wrong_is_named_at_once(business: Path) -> None:
    found = refused(
        business,
        resellers="code,name,email,fax\nR3,Tre,r3,\nR4,,\nR3,Tre,r3@example.org,1\n",
        customers="code,kind,name,email,reseller,created_on\nC2,firm,Bob,,R9,2019-13-01\nC2,person,caff\udce8,,R3,\n",
        associations="reseller,customer,from_on,until_on\nR1,C2,2019-09-01,2019-08-31\nR1,C9,2019-09-01,\n"
        "R1,C1,2019-01-01,\nR2,C1,2019-01-01,\n",
        products="code,name,policy,period_months,price,currency,vat_rate\nP3,X,lease,0,-1,euro,101\n",
        subscriptions="code,customer,product,starts_on,expires_on,quantity\nL1,C2,P2,2019-01-01,2018-12-31,0\n"
        "L2,C1,P9,2019-01-01,2019-12-31,1\n",
        terms="subscription,starts_on,expires_on,recorded_at\nL9,2019-01-01,2019-12-31,\n"
        "L2,2019-01-01,2020-01-31,\nL1,2019-01-01,2019-12-31,2030-01-01\n",
        holidays="x\n1\n",
    )
    assert found == [
        ("associations.csv", 2, "until_on", "is before from_on"),
        ("associations.csv", 3, "customer", "is not known"),
        ("associations.csv", 5, "until_on", "contradicts associations.csv line 4, recorded at the same time"),
        ("customers.csv", 2, "kind", "is not that"),
        ("customers.csv", 2, "created_on", "is not a date"),
        ("customers.csv", 3, "name", "is not UTF-8"),
        ("customers.csv", 3, "code", "stands in line 2 already"),
        ("holidays.csv", 0, "", "is not a known file"),
        ("products.csv", 2, "policy", "is not that"),
        ("products.csv", 2, "period_months", "is not such a number"),
        ("products.csv", 2, "price", "is not such a number"),
        ("products.csv", 2, "currency", "is not that"),
        ("products.csv", 2, "vat_rate", "is not such a number"),
        ("resellers.csv", 1, "", "column 4 is unknown"),
        ("resellers.csv", 2, "email", "is not an e-mail address"),
        ("resellers.csv", 3, "", "has 3 fields"),
        ("resellers.csv", 4, "code", "stands in line 2 already"),
        ("subscriptions.csv", 2, "quantity", "is not such a number"),
        ("subscriptions.csv", 2, "expires_on", "is before starts_on"),
        ("subscriptions.csv", 2, "customer", "is another customer"),
        ("subscriptions.csv", 2, "product", "is another product"),
        ("subscriptions.csv", 3, "product", "is not known"),
        ("terms.csv", 2, "subscription", "is not known"),
        ("terms.csv", 3, "expires_on", "contradicts subscriptions.csv line 3, recorded at the same time"),
        ("terms.csv", 4, "recorded_at", "is in the future"),
    ]


def test_a_reference_is_not_missed_where_the_other_file_could_not_be_read(business: Path) -> None:
    found = refused(
        business,
        customers='code,kind,name,email\nC2,person,"Bob,\n',
        associations="reseller,customer,from_on\nR1,C2,2019-09-01\nR9,C2,2019-09-02\n",
    )
    assert [finding[:3] for finding in found] == [("associations.csv", 3, "reseller"), ("customers.csv", 2, "")]


def test_values_are_kept_out_of_the_message(home: Path) -> None:
    with pytest.raises(BadInput) as error:
        bring(home, customers="code,kind,name,email\nC1,person,Anna,anna-at-home\n")
    assert error.value.findings[0].value == "anna-at-home"
    assert "anna-at-home" not in str(error.value)


def test_of_very_many_findings_the_first_are_kept_and_all_are_counted(home: Path) -> None:
    wrong = "".join(f"C{i},firm,Anna,,R9\n" for i in range(findings.KEPT))
    with pytest.raises(BadInput) as error:
        bring(home, customers=f"code,kind,name,email,reseller\n{wrong}")
    assert (len(error.value.findings), error.value.total) == (findings.KEPT, 2 * findings.KEPT)


@pytest.mark.parametrize("name", ["nowhere", "empty", "notes.txt"])
def test_a_path_without_files_to_import_is_refused(home: Path, name: str) -> None:
    (home / "empty").mkdir()
    (home / "empty" / ".hidden").write_text("passed over")
    (home / "notes.txt").write_text("code,name,email\n")
    with pytest.raises(BadInput):
        imported(home / name)
