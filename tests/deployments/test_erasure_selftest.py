"""The self-test of erasure, and that it sees what it is for: what is not found, not planted, or left."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from deployments.erasure_selftest import MUST_HOLD, Trace, blind, left, personal_columns
from deployments.sample_erasure import People


def everything(people: People) -> set[Trace]:
    """As it is found when all is well: each value in a column, and one of the erased wherever one must be."""
    values = [value for person in people.all for value in person.values.values()]
    [planted] = people.erased[0].values.values()
    places = [("database", column) for column in personal_columns()] + [(store, "some") for store in MUST_HOLD]
    return {Trace(value, "database", "customers.name", "UTF-8") for value in values} | {
        Trace(planted, store, place, "UTF-8") for store, place in places
    }


@pytest.fixture
def people() -> People:
    people = People.invented()
    for person in people.all:
        person.value("name")
    return people


def test_where_all_is_found_and_then_nothing_is_left_there_is_nothing_to_say(people: People) -> None:
    before = everything(people)
    gone = {value for person in people.erased for value in person.values.values()}
    assert list(blind(before, people)) == []
    assert list(left(before, {trace for trace in before if trace.value not in gone}, people)) == []


def test_a_value_that_is_not_found_before_is_told(people: People) -> None:
    before = everything(people)
    people.held.value("street")
    assert list(blind(before, people)) == ["the scanner is blind: it does not find street of SELF-HELD"]


@pytest.mark.parametrize("column", personal_columns())
def test_a_column_in_which_nothing_is_planted_is_told(people: People, column: str) -> None:
    others = {trace for trace in everything(people) if trace.place != column}
    assert f"the self-test is blind: nothing is planted in {column}" in blind(others, people)


@pytest.mark.parametrize("store", MUST_HOLD)
def test_a_store_in_which_nothing_is_planted_is_told(people: People, store: str) -> None:
    others = {trace for trace in everything(people) if trace.store != store}
    assert f"the self-test is blind: nothing is planted in {store}" in blind(others, people)


def test_what_is_left_of_the_erased_is_told(people: People) -> None:
    before = everything(people)
    name = people.erased[1].value("name")
    after = {trace for trace in before if trace.value not in people.erased[0].values.values()}
    assert list(left(before, after | {Trace(name, "mail", "new/1", "zip, UTF-8")}, people)) == [
        "name of SELF-IT is left in database: customers.name (UTF-8)",
        "name of SELF-IT is left in mail: new/1 (zip, UTF-8)",
    ]


def test_what_is_left_of_anybody_in_prefect_is_told(people: People) -> None:
    shown = Trace(people.held.value("name"), "prefect", "prefect.db", "JSON, UTF-8")
    assert list(left({shown}, {shown}, people)) == ["name of SELF-HELD is left in prefect: prefect.db (JSON, UTF-8)"]


def test_what_others_lose_is_told(people: People) -> None:
    before = everything(people)
    assert list(left(before, set(), people)) == [
        f"name of {code} is no more in database: customers.name (UTF-8)" for code in ("SELF-HELD", "SELF-ACTIVE")
    ]


def test_all_that_is_planted_is_found_and_after_the_erasure_none_of_it(tmp_path: Path) -> None:
    """Nothing of the user's own installation is used: a setting that is wrong would be noticed."""
    elsewhere = {"LIFECYCLE_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", "from deployments.cli import main; main()", "erasure", "selftest"]
    ended = subprocess.run(command, env=os.environ | elsewhere, capture_output=True, text=True, timeout=280)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    before, after, held, bystander = ended.stdout.splitlines()[-4:]
    assert re.fullmatch(r"before: ([1-9][0-9]+) of \1 values found in [1-9][0-9]+ places", before)
    assert re.fullmatch(r"after: 0 of [0-9]+ values found in 0 places", after)
    for kept in (held, bystander):
        assert re.search(r"after: ([1-9][0-9]+) of \1 values found", kept)
    assert not list(tmp_path.glob("lifecycle-selftest-*"))
