"""The set-based selection against the pure rule, on random histories."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from lifecycle.persistence import reseller_report, runs
from lifecycle.rules.reseller_report import Section, access_ends_on, section_on
from tests import cast

DAYS = st.dates(date(2018, 1, 1), date(2020, 6, 30))
MOMENTS = st.datetimes(datetime(2018, 1, 1), datetime(2020, 6, 30)).map(lambda t: t.replace(tzinfo=UTC))  # noqa: DTZ001


@dataclass(frozen=True)
class Term:
    starts_on: date
    days: int
    known: datetime


@dataclass(frozen=True)
class Association:
    reseller: int
    from_on: date
    days: int | None
    known: datetime


@dataclass(frozen=True)
class History:
    terms: list[Term]
    associations: list[Association]


HISTORIES = st.builds(
    History,
    terms=st.lists(
        st.builds(Term, DAYS, st.integers(0, 800), MOMENTS), max_size=4, unique_by=lambda t: (t.starts_on, t.known)
    ),
    associations=st.lists(
        st.builds(Association, st.integers(0, 1), DAYS, st.none() | st.integers(-1, 700), MOMENTS),
        max_size=4,
        unique_by=lambda a: (a.from_on, a.known),
    ),
)


def naive(history: History, day: date, known_at: datetime, expired_from_months: int) -> tuple[int, Section] | None:
    """One licence at a time, from the product page's words."""
    terms = [t for t in history.terms if t.known <= known_at]
    periods = [a for a in history.associations if a.known <= known_at and a.from_on <= day]
    if not terms or not periods:
        return None
    last_term = max(terms, key=lambda t: (t.starts_on, t.known))
    last_period = max(periods, key=lambda a: (a.from_on, a.known))
    if last_period.days is not None and last_period.from_on + timedelta(last_period.days) < day:
        return None
    section = section_on(day, last_term.starts_on + timedelta(last_term.days), expired_from_months)
    return (last_period.reseller, section) if section else None


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    histories=st.lists(HISTORIES, min_size=1, max_size=25),
    day=DAYS,
    known_at=MOMENTS,
    expired_from_months=st.sampled_from([0, 3]),
)
def test_sql_and_rule_put_each_licence_in_the_same_single_list(
    db: Connection, histories: list[History], day: date, known_at: datetime, expired_from_months: int
) -> None:
    savepoint = db.begin_nested()
    resellers = [cast.reseller(db, f"R{n}") for n in range(2)]
    licence, service = cast.product(db), cast.product(db, "HOSTING", "service")
    expected: dict[tuple[str, str], tuple[Section, date]] = {}
    for number, history in enumerate(histories):
        customer = cast.customer(db, f"C{number}")
        subscription = cast.subscription(db, f"S{number}", customer, licence)
        other = cast.subscription(db, f"X{number}", customer, service)
        for t in history.terms:
            for held in (subscription, other):
                cast.term(db, held, t.starts_on + timedelta(t.days), starts_on=t.starts_on, known=t.known)
        for a in history.associations:
            until_on = None if a.days is None else a.from_on + timedelta(a.days)
            cast.association(db, customer, resellers[a.reseller], a.from_on, until_on, known=a.known)
        if found := naive(history, day, known_at, expired_from_months):
            reseller, section = found
            terms = [t for t in history.terms if t.known <= known_at]
            last = max(terms, key=lambda t: (t.starts_on, t.known))
            ends = access_ends_on(last.starts_on + timedelta(last.days))
            expected[f"R{reseller}", f"S{number}"] = section, ends

    run_id = uuid4()
    runs.start(db, run_id, "monthly-reseller-report", day, dry_run=False, prefect_id=None)
    reseller_report.make(db, day, known_at, run_id, expired_from_months, None)
    standings = reseller_report.standings(db, day, None, "en")
    stored = reseller_report.read(db, [s.id for s in standings], "en")

    lines = [(report.reseller, line) for report in stored for line in report.lines]
    assert len(lines) == len(expected)  # the lists are disjoint: a licence that stood in two would be there twice
    assert {(r, line.licence): (line.section, line.access_ends_on) for r, line in lines} == expected
    figures = Counter((reseller, line.section.value) for reseller, line in lines)
    assert all(getattr(s, section) == figures[s.reseller, section] for s in standings for section in Section)
    savepoint.rollback()


def test_the_database_clamps_months_as_the_rule_does(db: Connection) -> None:
    """Every day of five years, 3 and 6 months."""
    rows = db.execute(
        text("""
        SELECT day::date, (day::date + interval '6 months')::date + 1
        FROM generate_series(date '2019-01-01', '2023-12-31', interval '1 day') AS day""")
    )
    assert all(ends == access_ends_on(day) for day, ends in rows)


def test_a_report_is_made_once(db: Connection) -> None:
    reseller, product, customer = cast.reseller(db, "R1"), cast.product(db), cast.customer(db, "C1")
    cast.association(db, customer, reseller)
    subscription = cast.subscription(db, "S1", customer, product)
    cast.term(db, subscription, date(2019, 9, 30))
    run_id, day, known_at = uuid4(), date(2019, 9, 1), datetime(2019, 9, 1, 4, tzinfo=UTC)
    runs.start(db, run_id, "monthly-reseller-report", day, dry_run=False, prefect_id=None)
    assert reseller_report.make(db, day, known_at, run_id, 3, None) == 1
    cast.term(db, subscription, date(2020, 9, 30), starts_on=date(2019, 10, 1), known=datetime(2019, 8, 1, tzinfo=UTC))
    assert reseller_report.make(db, day, known_at, run_id, 3, None) == 0
    [standing] = reseller_report.standings(db, day, None, "en")
    assert (standing.expiring, standing.open, standing.disabled) == (1, 0, 0)
    assert reseller_report.make(db, date(2019, 10, 1), known_at, run_id, 3, ["R1"]) == 1
    [standing] = reseller_report.standings(db, date(2019, 10, 1), ["R1"], "en")
    assert standing.lines == 0


def test_codes_that_are_nobodys_are_named(db: Connection) -> None:
    cast.reseller(db, "R1")
    assert set(reseller_report.unknown(db, ["R1", "R2", "R 1"])) == {"R2", "R 1"}
