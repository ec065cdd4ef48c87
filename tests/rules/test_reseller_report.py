from datetime import date

import pytest

from lifecycle.rules.outbox import State
from lifecycle.rules.reseller_report import (
    Mail,
    Section,
    Standing,
    Wish,
    access_ends_on,
    is_copy,
    mail_for,
    mail_key,
    section_on,
)

OCTOBER = date(2019, 10, 1)


@pytest.mark.parametrize(
    ("expires_on", "section"),
    [
        (date(2019, 12, 1), None),  # two months ahead is no longer within two months
        (date(2019, 11, 30), Section.EXPIRING),
        (date(2019, 10, 1), Section.EXPIRING),  # valid to the end of today
        (date(2019, 9, 30), None),  # expired less than three months ago: in no list
        (date(2019, 7, 1), None),  # three months to the day: due tomorrow
        (date(2019, 6, 30), Section.OPEN),
        (date(2019, 4, 1), Section.OPEN),  # six months to the day: access ends tomorrow
        (date(2019, 3, 31), Section.DISABLED),  # clamped: 30 September, so access ends today
        (date(2010, 1, 1), Section.DISABLED),
    ],
)
def test_a_licence_is_in_the_list_of_its_milestone(expires_on: date, section: Section | None) -> None:
    assert section_on(OCTOBER, expires_on, 3) is section


@pytest.mark.parametrize(
    ("expires_on", "section"),
    [(date(2019, 9, 30), Section.OPEN), (date(2019, 10, 1), Section.EXPIRING), (date(2019, 3, 31), Section.DISABLED)],
)
def test_expired_from_month_zero_lists_what_just_expired(expires_on: date, section: Section) -> None:
    assert section_on(OCTOBER, expires_on, 0) is section


def test_access_ends_on_the_first_day_after_six_months() -> None:
    assert access_ends_on(date(2019, 3, 31)) == OCTOBER
    assert access_ends_on(date(2019, 8, 31)) == date(2020, 3, 1)


def standing(message: State | None = None, *, reachable: bool = True, lines: int = 1) -> Standing:
    return Standing(1, "R1", "en", reachable, message, lines, 0, 0)


def wish(*, deliver: bool = True, live: bool = True, skip_empty: bool = False, resend: bool = False) -> Wish:
    return Wish(deliver=deliver, live=live, skip_empty=skip_empty, resend=resend)


@pytest.mark.parametrize(
    ("report", "asked", "mail"),
    [
        (standing(), wish(), Mail.QUEUE),
        (standing(lines=0), wish(), Mail.QUEUE),  # an empty report says so in words
        (standing(lines=0), wish(skip_empty=True), Mail.EMPTY),
        (standing(reachable=False), wish(), Mail.NO_ADDRESS),
        (standing(), wish(deliver=False), Mail.PAST_MONTH),
        (standing(), wish(deliver=False, resend=True), Mail.PAST_MONTH),  # there is nothing to send again
        (standing(), wish(live=False), Mail.WITHHOLD),
        (standing(State.SENT), wish(), Mail.ALREADY_THERE),
        (standing(State.SENT), wish(resend=True), Mail.COPY),
        (standing(State.IN_DOUBT), wish(resend=True), Mail.COPY),
        (standing(State.FAILED), wish(resend=True), Mail.AGAIN),  # never received: the address may have been mended
        (standing(State.QUEUED), wish(resend=True), Mail.ALREADY_THERE),  # it leaves anyway
        (standing(State.WITHHELD), wish(resend=True), Mail.ALREADY_THERE),  # never sent later
        (standing(State.SENT), wish(resend=True, live=False), Mail.ALREADY_THERE),
        (standing(State.SENT, reachable=False), wish(resend=True), Mail.ALREADY_THERE),
    ],
)
def test_each_report_has_one_mail(report: Standing, asked: Wish, mail: Mail) -> None:
    assert mail_for(report, asked) is mail


@pytest.mark.parametrize("reseller", ["R1", "A/B", "R/copy/2019-10-02"])
def test_the_key_of_a_mail_says_whether_it_is_a_copy(reseller: str) -> None:
    first, copy = mail_key(reseller, OCTOBER), mail_key(reseller, OCTOBER, date(2019, 10, 2))
    assert first == f"reseller-report/{reseller}/2019-10"
    assert copy == f"{first}/copy/2019-10-02"
    assert not is_copy(first)
    assert is_copy(copy)
