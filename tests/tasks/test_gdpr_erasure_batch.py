"""An erasure as it is asked for, shown, approved and carried out, without Prefect around it."""

import os
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from sqlalchemy import text

from flows.gdpr_erasure_batch import Approval, Period
from lifecycle.persistence import erasure
from lifecycle.persistence.database import transaction
from lifecycle.rules.erasure import AS_DAYS, Criteria, Erasure, ErasureState, Kept, Preset, listed
from lifecycle.rules.findings import BadInput
from lifecycle.rules.segment import Segment
from lifecycle.settings import settings
from tasks import gdpr_erasure_batch as erasures
from tasks.erasure_certificate import finish
from tasks.gdpr_erasure_batch import Answer, Order
from tests import cast
from tests.sweeping import dying_after, mortal, started

DAY = date(2026, 6, 1)
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
YEAR = Criteria.of_days(DAY, 365)

# Of about a hundred statements and commits every thirteenth is a look in passing; 1 is the full measure.
KILL_EVERY = int(os.environ.get("LIFECYCLE_TEST_KILL_EVERY", "13"))


@pytest.fixture
def anna(home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the codes of an administrator are made from."""
    monkeypatch.setenv("LIFECYCLE_OPERATOR_SECRET", cast.OPERATOR_SECRET)
    settings.cache_clear()
    with transaction() as db:
        cast.operator(db, "ANNA")
        cast.operator(db, "BERT", administrator=False)
        codes_secret = cast.enrolled(db, "ANNA")
        cast.enrolled(db, "BERT")
    return codes_secret


def inactive(*codes: str, country: str = "IT") -> None:
    """Customers who are, each with a mail that waits and one that was sent."""
    with transaction() as db:
        for code in codes:
            id_ = cast.customer(db, code)
            db.execute(
                text("""
                UPDATE customers SET created_on = '2015-01-01', email = 'c@example.com', country = :country
                WHERE id = :id"""),
                {"id": id_, "country": country},
            )
            db.execute(
                text("""
                INSERT INTO messages (key, kind, state, recipient, recipient_name, customer_id, business_date, motive,
                    basis, asked_on)
                SELECT :code || state, 'single', state, 'c@example.com', 'C', :id, '2020-01-01', 'contract', 'duty',
                    '2020-01-01'
                FROM unnest(ARRAY['queued', 'sent']) AS state"""),
                {"id": id_, "code": code},
            )


def shown(*exclude: str, segment: Segment = Segment()) -> Erasure:  # noqa: B008 - it cannot be changed
    order = Order(YEAR, segment, exclude, started("gdpr-erasure-batch", DAY), None)
    found = erasures.show.fn(order).erasure
    assert found
    return found


def answer(codes_secret: str, *taken_out: str, step: int = 0, operator: str = "ANNA") -> Answer:
    moment = NOON + timedelta(seconds=30 * step)
    return Answer(operator, cast.one_time_code(codes_secret, moment), moment, taken_out)


def carried_out(approved: Erasure) -> None:
    """As the flow does it."""
    with erasures.carrying_out(approved) as portions:
        for portion in portions:
            erasures.erase.fn(portion, approved, DAY)
        erasures.keep_in_ledger()
        finish.fn(approved.id, started("gdpr-erasure-batch", DAY), NOON)
        erasures.keep_in_ledger()


def rows(query: str, **values: Any) -> list[tuple[Any, ...]]:
    with transaction() as db:
        return [tuple(row) for row in db.execute(text(query), values)]


def refused(days: int = 0, preset: str = AS_DAYS, day: date = DAY, among: str = "") -> list[str]:
    segment = Segment(reseller=(among,)) if among else Segment()
    with pytest.raises(BadInput) as error:
        erasures.checked("", day, DAY, days, preset, segment, [])
    return [f"{finding.where}: {finding.problem}" for finding in error.value.findings]


def test_a_period_is_given_once_and_is_one(home: Path) -> None:
    assert refused() == ["inactive_days: there is no period"]
    assert refused(-1) == ["inactive_days: -1 is no period"]
    assert refused(10**9) == ["inactive_days: 1000000000 is no period"]
    assert refused(365, "1 year") == ["preset: a period is given twice"]
    assert erasures.checked("", DAY, DAY, 365, AS_DAYS, Segment(), []) == YEAR
    year = erasures.checked("", DAY, DAY, 0, "1 year", Segment(), [])
    assert year == Criteria(DAY, date(2025, 6, 1), "1 year")


def test_all_that_is_wrong_is_said_at_once(home: Path) -> None:
    assert refused(-1, "1 year", date(2026, 6, 2), "R9") == [
        "business_date: 2026-06-02 is yet to come",
        "inactive_days: -1 is no period",
        "preset: a period is given twice",
        "segment: reseller 'R9' is not known",
    ]


def test_the_form_offers_the_presets() -> None:
    assert get_args(Period) == (AS_DAYS, *Preset)


@pytest.mark.parametrize("typed", ["123456", "123 456", "123456\n", "none of it"])
def test_whatever_is_typed_as_a_code_is_an_answer_and_ends_no_run(typed: str) -> None:
    assert Approval(one_time_code=typed).one_time_code == typed


@pytest.mark.parametrize("typed", ["A,B C,D", "A\nB C\r\nD\n", " A , B C\n,D,A"])
def test_codes_are_separated_by_commas_or_lines(typed: str) -> None:
    assert listed(typed) == ("A", "B C", "D")


def test_names_are_no_markup_in_the_older_ui() -> None:
    name = "<script> [x](javascript:1) &lt; **b** O'Neil"
    written = erasures._literal(name)
    assert written.replace("\u2060", "") == name
    assert re.findall(r"<\w|\]\(|&\w", written) == []


def test_only_who_is_shown_can_be_left_out_and_nothing_is_written_otherwise(anna: str) -> None:
    inactive("A", "B")
    with pytest.raises(BadInput, match=r"exclude: no\. 2 of the codes is of nobody who is shown") as wrong:
        shown("A", "Mario Rossi")
    assert wrong.value.findings[0].value == "Mario Rossi"
    assert rows("SELECT count(*) FROM erasures") == [(0,)]


def test_what_was_shown_is_found_by_its_criteria_or_its_digest(anna: str) -> None:
    inactive("A")
    first, second = shown(), shown()
    assert erasures.shown_before(YEAR, Segment(), None) == second
    assert erasures.shown_before(first.digest, Segment(), DAY) == second
    for asked, among, day in (
        (Criteria.of_days(DAY, 364), Segment(), None),
        (YEAR, Segment(country=("IT",)), None),
        ("0123456789abcdef", Segment(), None),
        (YEAR, Segment(), DAY - timedelta(days=1)),
    ):
        with pytest.raises(BadInput):
            erasures.shown_before(asked, among, day)


def test_of_lists_that_are_not_the_same_the_criteria_approve_none(anna: str) -> None:
    """The last one is not the one that was looked through, where somebody else has shown it since."""
    inactive("A")
    looked_through = shown()
    inactive("B")
    since = shown()
    with pytest.raises(BadInput, match=f"approve_plan: .* not the same: {since.digest}, {looked_through.digest}"):
        erasures.shown_before(YEAR, Segment(), None)
    assert erasures.shown_before(looked_through.digest, Segment(), None) == looked_through


def test_an_answer_that_is_not_right_changes_nothing(anna: str) -> None:
    inactive("A", "B")
    seen = shown()
    right, secret = answer(anna), anna
    for wrong, problem in (
        (answer(secret, operator="BERT"), "'BERT' is not an administrator"),
        (answer(secret, operator="NOBODY"), "'NOBODY' is no operator's code"),
        (Answer("ANNA", "12345", NOON, ()), "is not a code"),
        (Answer("ANNA", right.one_time_code, NOON + timedelta(minutes=5), ()), "is the code of an earlier moment"),
        (answer(secret, "C"), "no. 1 of the codes is of nobody who is shown"),
        (answer(secret, "A", "B"), "nobody would be left to erase"),
    ):
        with pytest.raises(BadInput, match=re.escape(problem)):
            erasures.approve(seen, wrong)
        assert rows("SELECT state, approved_by FROM erasures") == [("waiting", None)]
        assert rows("SELECT DISTINCT state FROM erasure_candidates") == [("shown",)]
    assert erasures.approve(seen, right).state is ErasureState.APPROVED
    with pytest.raises(BadInput, match="waits no more"):
        erasures.approve(seen, answer(anna, step=1))
    with pytest.raises(BadInput, match="was used before"):
        erasures.approve(shown(), right)


def test_what_was_approved_is_not_approved_again_in_another_way(anna: str) -> None:
    inactive("A", "B")
    approved = erasures.approve(shown(), answer(anna, "A"))
    erasures.check_approved_alike(approved, answer(anna, "A", step=1))
    with pytest.raises(BadInput, match="approved by ANNA, without leaving 1 of these codes out"):
        erasures.check_approved_alike(approved, answer(anna, "A", "B", step=2))
    with pytest.raises(BadInput, match="approved by ANNA; expected nothing more"):
        erasures.check_approved_alike(approved, answer(anna, step=3, operator="BERT"))


def test_who_was_approved_is_erased_and_who_is_active_again_is_left_out_and_listed(anna: str, home: Path) -> None:
    inactive("A", "B", "C")
    seen = shown()
    inactive("LATE")
    with transaction() as db:
        db.execute(text("INSERT INTO holds (customer_id, reason, until_on, operator) "
                        "SELECT id, 'audit', '2026-06-01', 'ANNA' FROM customers WHERE code = 'B'"))  # fmt: skip
    carried_out(erasures.approve(seen, answer(anna, "C")))
    counts, codes = erasures.outcome(seen)
    assert counts == {"found": 3, "shown": 3, "erased": 1, "taken out": 1, "left out: hold": 1}
    assert codes == {"taken out": ["C"], "left out: hold": ["B"]}
    assert rows("SELECT code FROM customers WHERE erased_on = '2026-06-01'") == [("A",)]
    assert rows("SELECT kind, recipient FROM messages WHERE to_operator_id IS NOT NULL") == [
        ("erasure-done", "anna@example.com")
    ]
    assert erasures.unfinished() == []


def test_a_dry_run_says_who_is_kept_and_why(anna: str) -> None:
    inactive("A", "B")
    with transaction() as db:
        db.execute(text("INSERT INTO holds (customer_id, reason, until_on, operator) "
                        "SELECT id, 'audit', '2026-06-01', 'ANNA' FROM customers WHERE code = 'B'"))  # fmt: skip
    looked = erasures.show.fn(Order(YEAR, Segment(), (), started("gdpr-erasure-batch", DAY), None))
    assert (looked.found, looked.kept) == (["A"], {Kept.HOLD: ["B"]})
    assert looked.counts == {"found": 1, "kept": 1, "kept: hold": 1}


def test_answers_that_are_not_accepted_are_counted_as_long_as_it_waits(anna: str) -> None:
    inactive("A")
    seen = shown()
    with transaction() as db:
        assert erasure.count_answer(db, seen.id)
        assert erasure.read(db, seen.id).answers == 1
        erasure.refuse(db, seen.id)
        assert not erasure.count_answer(db, seen.id)


def end_state(prefix: str) -> dict[str, list[tuple[Any, ...]]]:
    """What became of the customers whose codes begin so, without ids and instants."""
    about = {
        "customers": "SELECT substr(code, 5), name = '', email, erased_on FROM customers WHERE code LIKE :like",
        "messages": """
            SELECT substr(key, 5), messages.state, recipient FROM messages JOIN customers ON customers.id = customer_id
            WHERE code LIKE :like""",
        "candidates": """
            SELECT substr(code, 5), candidate.state, reason, portion_id IS NULL, erasures.state, approved_by
            FROM erasure_candidates AS candidate JOIN customers ON customers.id = customer_id
            JOIN erasures ON erasures.id = erasure_id WHERE code LIKE :like""",
        "portions": """
            SELECT DISTINCT portion.id IS NULL, portion.customers, ledger_page IS NULL FROM erasure_portions AS portion
            JOIN erasure_candidates ON portion_id = portion.id JOIN customers ON customers.id = customer_id
            WHERE code LIKE :like""",
        "told": """
            SELECT count(DISTINCT messages.id), count(DISTINCT erasures.certificate) FROM erasures
            JOIN messages ON key = 'erasure-done/' || erasures.id
            WHERE erasures.id IN (SELECT erasure_id FROM erasure_candidates JOIN customers ON customers.id = customer_id
                WHERE code LIKE :like)""",
    }
    return {name: sorted(rows(query, like=f"{prefix}%"), key=repr) for name, query in about.items()}


def test_killed_at_any_statement_it_is_carried_to_the_same_end(anna: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasures, "PORTION", 2)
    expected: dict[str, list[tuple[Any, ...]]] = {}
    statements, killed = 0, True
    with mortal():
        while killed:
            prefix = f"{statements:03}-"
            inactive(*(f"{prefix}{code}" for code in "ABCD"), country=prefix)
            seen = shown(segment=Segment(country=(prefix,)))
            approved = erasures.approve(seen, answer(anna, f"{prefix}B", step=statements))
            killed = True
            # The first one is left alone: all others must come to the same end.
            with dying_after(statements or 10_000):
                carried_out(approved)
                killed = statements == 0
            carried_out(approved)
            expected = expected or end_state(prefix)
            assert end_state(prefix) == expected, statements
            statements += KILL_EVERY
    assert [row for row in expected["customers"] if not row[1]] == [("B", False, "c@example.com", None)]
    assert statements > 80


def test_two_beside_each_other_do_it_once(anna: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasures, "PORTION", 2)
    inactive(*(f"{number:03}-C" for number in range(9)))
    approved = erasures.approve(shown(), answer(anna))
    assert not erasures.is_carried_out(approved)
    with erasures.carrying_out(approved):
        assert erasures.is_carried_out(approved)
    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(carried_out, approved) for _ in range(2)]:
            done.result()
    counts, _ = erasures.outcome(approved)
    assert counts["erased"] == 9
    assert rows("SELECT count(*), sum(customers) FROM erasure_portions") == [(5, 9)]
    assert rows("SELECT count(*) FROM messages WHERE kind = 'erasure-done'") == [(1,)]


def test_portions_at_once_from_two_sides_do_no_harm(anna: str) -> None:
    inactive(*(f"{number:03}-C" for number in range(9)))
    approved = erasures.approve(shown(), answer(anna))
    with transaction() as db:
        customers = erasure.still_shown(db, approved.id)
    with ThreadPoolExecutor(2) as threads:
        done = [threads.submit(erasures.erase.fn, customers, approved, DAY) for _ in range(2)]
        assert sorted(one.result()["erased"] for one in done) == [0, 9]
