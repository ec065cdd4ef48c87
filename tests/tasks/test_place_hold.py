"""Holds: once, only ever added, the last one of a reason counts, and never on a customer that is being erased."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Event
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from deployments import show
from lifecycle.persistence import customers, holds
from lifecycle.persistence.database import transaction
from lifecycle.rules.findings import BadInput
from lifecycle.rules.holds import Hold
from tasks.place_hold import place
from tests import cast
from tests.billing import rows
from tests.erasing import erase

TODAY = date(2026, 6, 15)
NOW = datetime(2026, 6, 15, 10, tzinfo=UTC)
YESTERDAY, TOMORROW, NEXT_WEEK = (TODAY + timedelta(days=days) for days in (-1, 1, 7))
RUN = UUID(int=5)
HELD = text(f"SELECT code FROM customers WHERE {holds.held('customers.id', ':day')} ORDER BY code")


@pytest.fixture(autouse=True)
def business(home: Path) -> Path:
    with transaction() as db:
        cast.customer(db, "C1")
        cast.customer(db, "C2")
        cast.operator(db, "OP1")
        cast.operator(db, "OP2")
        db.execute(
            text("INSERT INTO runs (id, flow, business_date, dry_run) VALUES (:id, 'place-hold', :day, false)"),
            {"id": RUN, "day": TODAY},
        )
    return home


def placed(until: date, reason: str = "lawsuit 7", *, customer: str = "C1", dry_run: bool = False) -> str:
    return place.fn(customer, Hold.asked(reason, until, "OP1"), TODAY, RUN, NOW, dry_run=dry_run)


def held_on(day: date) -> list[str]:
    with transaction() as db:
        return list(db.scalars(HELD, {"day": day}))


def test_the_customer_is_held_up_to_and_including_the_day() -> None:
    assert placed(TOMORROW) == "placed"
    assert [held_on(day) for day in (TODAY, TOMORROW, NEXT_WEEK)] == [["C1"], ["C1"], []]
    assert rows("SELECT reason, until_on, operator, run_id, recorded_at FROM holds") == [
        ("lawsuit 7", TOMORROW, "OP1", RUN, NOW)
    ]


def test_the_last_one_of_a_reason_counts_and_each_reason_holds() -> None:
    assert [placed(day) for day in (NEXT_WEEK, TOMORROW, TODAY)] == ["placed", "shortened", "shortened"]
    assert held_on(TOMORROW) == []
    placed(TOMORROW, "guarantee")
    assert placed(YESTERDAY) == "ended"
    assert held_on(TODAY) == ["C1"]
    assert placed(YESTERDAY, "guarantee") == "ended"
    assert held_on(TODAY) == []
    assert placed(TODAY) == "placed"
    assert held_on(TODAY) == ["C1"]
    assert len(rows("SELECT FROM holds")) == 7, "only ever added"


def test_the_same_hold_twice_adds_nothing() -> None:
    placed(TOMORROW)
    assert placed(TOMORROW, " lawsuit\n7") == "unchanged"
    assert placed(TOMORROW, customer="C2") == "placed"
    assert len(rows("SELECT FROM holds")) == 2


def test_at_once_it_is_placed_once() -> None:
    with ThreadPoolExecutor(6) as threads:
        done = sorted(threads.map(lambda _: placed(TOMORROW), range(6)))
    assert done == ["placed", *["unchanged"] * 5]
    assert len(rows("SELECT FROM holds")) == 1


def test_everything_that_is_wrong_is_named_at_once_and_nothing_recorded() -> None:
    with pytest.raises(BadInput) as error:
        place.fn("NOBODY", Hold.asked("", YESTERDAY, "OP9"), TODAY, RUN, NOW, dry_run=False)
    assert [(finding.where, finding.problem) for finding in error.value.findings] == [
        ("customer", "'NOBODY' is no customer's code"),
        ("operator", "'OP9' is no operator"),
        ("reason", "is empty"),
        ("until", "2026-06-14 is past"),
    ]
    assert rows("SELECT FROM holds") == []


def test_what_is_refused_does_not_repeat_the_reason() -> None:
    with pytest.raises(BadInput) as error:
        placed(YESTERDAY, "the quarrel with Quetzal\0")
    assert "Quetzal" not in str(error.value)


def test_a_dry_run_says_the_same_and_records_nothing() -> None:
    assert placed(TOMORROW, dry_run=True) == "placed"
    assert rows("SELECT FROM holds") == []


def test_a_customer_that_was_erased_cannot_be_held() -> None:
    with transaction() as db:
        erase(db, "C1")
    with pytest.raises(BadInput, match="customer: 'C1' was erased"):
        placed(TOMORROW)


def lock(db: Connection) -> None:
    """As an erasure does before it looks at a customer once more."""
    db.execute(text("SELECT FROM customers WHERE code = 'C1' FOR UPDATE"))


def test_a_hold_that_waits_for_an_erasure_is_refused() -> None:
    with ThreadPoolExecutor(1) as threads:
        with transaction() as erasing:
            lock(erasing)
            placing = threads.submit(placed, TOMORROW)
            waits_for_a_lock(erasing)
            erase(erasing, "C1")
        with pytest.raises(BadInput, match="'C1' was erased"):
            placing.result()
    assert rows("SELECT FROM holds") == []


def test_an_erasure_that_waits_for_a_hold_sees_it() -> None:
    began = Event()

    def look_once_more() -> list[str]:
        with transaction() as erasing:
            erasing.execute(text("SELECT FROM customers"))
            began.set()
            lock(erasing)
            return list(erasing.scalars(HELD, {"day": TODAY}))

    with ThreadPoolExecutor(1) as threads:
        with transaction() as placing:
            found = holds.locked(placing, "C1")
            assert found
            erasing = threads.submit(look_once_more)
            assert began.wait(10)
            waits_for_a_lock(placing)
            holds.place(placing, found.id, Hold("lawsuit 7", TOMORROW, "OP1"), RUN, NOW)
        assert erasing.result() == ["C1"]


_WAITING = text("SELECT count(*) FROM pg_locks WHERE NOT granted")


def waits_for_a_lock(db: Connection) -> None:
    """Return when another transaction waits for one."""
    for _ in range(1_000):
        if db.execute(_WAITING).scalar():
            return
        db.execute(text("SELECT pg_sleep(0.01)"))
    raise AssertionError("nobody waits")


placings = st.lists(st.tuples(st.sampled_from(["C1", "C2"]), st.sampled_from("ab"), st.integers(-2, 2)), max_size=8)


def test_the_sql_says_of_everybody_what_the_rule_says(db: Connection) -> None:
    """Of a customer's holds with the same reason the last recorded one counts; any one that lasts is enough."""
    ids = dict(db.execute(text("SELECT code, id FROM customers")).tuples().all())

    @settings(max_examples=60, deadline=None)
    @given(placings)
    def holds_for_all(placed: list[tuple[str, str, int]]) -> None:
        db.execute(text("DELETE FROM holds"))
        last: dict[tuple[str, str], date] = {}
        for number, (code, reason, days) in enumerate(placed):
            last[code, reason] = TODAY + timedelta(days=days)
            known = NOW - timedelta(seconds=number)  # the clock went backwards: what came later counts all the same
            holds.place(db, ids[code], Hold(reason, last[code, reason], "OP1"), RUN, known)
        expected = sorted({code for (code, _), until in last.items() if until >= TODAY})
        assert db.scalars(HELD, {"day": TODAY}).all() == expected

    holds_for_all()


def test_show_customer_shows_each_hold_as_it_was_known_on_the_day(capsys: pytest.CaptureFixture[str]) -> None:
    for minutes, hold in enumerate((Hold("lawsuit 7", NEXT_WEEK, "OP1"), Hold("guarantee", TODAY, "OP2"))):
        place.fn("C1", hold, TODAY, RUN, NOW + timedelta(minutes=minutes), dry_run=False)
    place.fn("C1", Hold("lawsuit 7", TOMORROW, "OP2"), TODAY, RUN, NOW + timedelta(days=1), dry_run=False)
    with transaction() as db:
        on = {day: customers.show(db, "C1", day, ZoneInfo("Europe/Rome")) for day in (YESTERDAY, TODAY, TOMORROW)}
    known = {day: [tuple(hold.values())[:3] for hold in found["holds"]] for day, found in on.items() if found}
    assert known == {
        YESTERDAY: [],
        TODAY: [("lawsuit 7", NEXT_WEEK, "OP1"), ("guarantee", TODAY, "OP2")],
        TOMORROW: [("guarantee", TODAY, "OP2"), ("lawsuit 7", TOMORROW, "OP2")],
    }
    show.customer("C1", TODAY, as_json=False)
    assert capsys.readouterr().out.splitlines()[1:] == [
        "hold until 2026-06-22  lawsuit 7  by OP1  recorded 2026-06-15T12:00:00+02:00",
        "hold until 2026-06-15  guarantee  by OP2  recorded 2026-06-15T12:01:00+02:00",
    ]
    show.customer("C1", TODAY, as_json=True)
    assert '"holds": [{"reason": "lawsuit 7", "until_on": "2026-06-22", "operator": "OP1"' in capsys.readouterr().out
