"""The gate in SQL says of many customers at once what the rule says of each."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import Connection, insert, text

from lifecycle.persistence import tables
from lifecycle.persistence.contact import asking, at_the_gate, gate
from lifecycle.persistence.contact_customer import choices
from lifecycle.rules import contact
from lifecycle.rules.contact import CONTRACT, Allowed, Consent, ConsentType, ContactChannel, Customer, Missing, Motive
from tests import cast

DAY = date(2026, 3, 1)
BULK, SINGLE, CONTACT = ContactChannel.BULK, ContactChannel.SINGLE, ContactChannel.CONTACT
TYPES = [
    ConsentType("day", 1, frozenset({BULK})),
    ConsentType("month", 30, frozenset({BULK, SINGLE})),
    ConsentType("ever", None, frozenset({SINGLE, CONTACT})),
    ConsentType("all", 30, frozenset(ContactChannel)),
    ConsentType("nothing", None, frozenset()),
]
MOTIVES = {None: None, "question": Motive("question"), "contract": Motive("contract", duty=True)}


@dataclass(frozen=True)
class Version:
    """What was recorded of a consent in a month's `minute`."""

    type: ConsentType
    granted_on: date
    withdrawn_on: date | None
    minute: int


@dataclass(frozen=True)
class Life:
    """All that was recorded of a customer."""

    versions: tuple[Version, ...]
    objections: frozenset[tuple[ContactChannel, date]]
    erased: bool

    def at(self, day: date, ids: dict[tuple[str, date, int], int]) -> Customer:
        """As the rule wants it: of one consent, the last recorded version; of objections, the last one by the day."""
        last = {(v.type.code, v.granted_on): v for v in sorted(self.versions, key=lambda v: v.minute)}
        consents = tuple(
            Consent(ids[v.type.code, v.granted_on, v.minute], v.type, v.granted_on, v.withdrawn_on)
            for v in last.values()
        )
        objected = {channel: on for channel, on in sorted(self.objections, key=lambda o: o[1]) if on <= day}
        return Customer(consents, objected, self.erased)


# Few, so that what happens often meets on one day, or at the end of a type's days.
NEAR = st.sampled_from((-31, -30, -29, -1, 0, 1)).map(lambda days: DAY + timedelta(days=days))


@st.composite
def versions(draw: st.DrawFn) -> Version:
    granted_on = draw(NEAR)
    stays = draw(st.none() | st.sampled_from((0, 1, 29, 30, 31)))
    withdrawn_on = None if stays is None else granted_on + timedelta(days=stays)
    return Version(draw(st.sampled_from(TYPES)), granted_on, withdrawn_on, draw(st.integers(0, 99)))


LIVES = st.builds(
    Life,
    st.lists(versions(), max_size=5, unique_by=lambda v: (v.type.code, v.granted_on, v.minute)).map(tuple),
    st.frozensets(st.tuples(st.sampled_from(ContactChannel), NEAR), max_size=2),
    st.sampled_from([False] * 9 + [True]),
)
SWITCHES = st.lists(st.tuples(st.sampled_from(ContactChannel), st.booleans(), NEAR), max_size=4)


@pytest.fixture
def types(db: Connection) -> dict[str, int]:
    """The ids of the consent types by their codes, in a database with an ordinary motive beside the contract."""
    db.execute(insert(tables.motives).values(code="question", title="Question", duty=False))
    for type_ in TYPES:
        allowed = {f"allows_{channel}": channel in type_.channels for channel in ContactChannel}
        db.execute(
            insert(tables.consent_types).values(code=type_.code, title="", valid_days=type_.valid_days, **allowed)
        )
    return {row.code: row.id for row in db.execute(text("SELECT code, id FROM consent_types"))}


def record(db: Connection, types: dict[str, int], code: str, life: Life) -> dict[tuple[str, date, int], int]:
    """Write a customer's life. Returns the ids of the versions."""
    customer, month = cast.customer(db, code), datetime(2026, 1, 1, tzinfo=UTC)
    if life.erased:
        db.execute(
            text("UPDATE customers SET name = '', email = NULL, erased_on = :day WHERE id = :id"),
            {"day": DAY, "id": customer},
        )
    for channel, on in life.objections:
        db.execute(insert(tables.objections).values(customer_id=customer, channel=channel, objected_on=on))
    ids = {}
    for version in life.versions:
        statement = insert(tables.consents).values(
            customer_id=customer,
            consent_type_id=types[version.type.code],
            granted_on=version.granted_on,
            withdrawn_on=version.withdrawn_on,
            recorded_at=month + timedelta(minutes=version.minute),
        )
        ids[version.type.code, version.granted_on, version.minute] = db.execute(
            statement.returning(tables.consents.c.id)
        ).scalar_one()
    return ids


_ASK = text(f"""
SELECT code, question.*, basis, consent_id, missing
FROM customers
CROSS JOIN unnest(cast(:channels AS text[])) AS channel
CROSS JOIN unnest(cast(:motives AS text[])) AS motive
CROSS JOIN unnest(cast(:days AS date[])) AS day
CROSS JOIN LATERAL (SELECT channel, motive, day) AS question
LEFT JOIN LATERAL {gate("customers.id", "question.channel", "question.motive", "question.day")} AS allowed ON true""")

Answer = tuple[str | None, int | None, str | None]


def told(answer: Allowed | Missing) -> Answer:
    return (None, None, answer.value) if isinstance(answer, Missing) else (answer.basis.value, answer.consent, None)


Answers = dict[tuple[str, str, str | None, date], list[Answer]]


def asked_both(
    db: Connection,
    types: dict[str, int],
    lives: list[Life],
    switches: list[tuple[ContactChannel, bool, date]],
    days: set[date],
) -> tuple[Answers, Answers]:
    """Of every customer, channel, motive and day, what SQL says and what the rule says; and what the rule is told."""
    for channel, on, since in switches:
        db.execute(insert(tables.switches).values(channel=channel, asks=on, operator="op", business_date=since))
    ids = {f"C{number}": record(db, types, f"C{number}", life) for number, life in enumerate(lives)}
    # The last change of the last day that has one counts.
    last_change = {
        day: {c: on for c, on, since in sorted(switches, key=lambda s: s[2]) if since <= day} for day in days
    }
    asked = {
        "channels": list(ContactChannel),
        "motives": list(MOTIVES),
        "days": sorted(days),
    }
    said: Answers = defaultdict(list)
    for row in db.execute(_ASK, asked):
        said[row.code, row.channel, row.motive, row.day].append((row.basis, row.consent_id, row.missing))
    expected: Answers = {}
    for number, life in enumerate(lives):
        code = f"C{number}"
        for day in days:
            customer = life.at(day, ids[code])
            asks = frozenset(channel for channel in ContactChannel if last_change[day].get(channel, True))
            read = at_the_gate(db, code, day)
            assert read
            assert (set(read.customer.consents), read.customer.objections, read.customer.erased, read.asks) == (
                set(customer.consents),
                customer.objections,
                customer.erased,
                asks,
            )
            for channel in ContactChannel:
                for motive, why in MOTIVES.items():
                    answer = told(contact.gate(customer, channel, day, why, asks))
                    expected[code, channel.value, motive, day] = [answer]
    return said, expected


@hypothesis_settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    lives=st.lists(LIVES, min_size=4, max_size=12),
    switches=SWITCHES,
    days=st.sets(NEAR, min_size=2, max_size=5),
)
def test_sql_says_what_the_rule_says(
    db: Connection,
    types: dict[str, int],
    lives: list[Life],
    switches: list[tuple[ContactChannel, bool, date]],
    days: set[date],
) -> None:
    point = db.begin_nested()
    try:
        said, expected = asked_both(db, types, lives, switches, days)
    finally:
        point.rollback()
    assert said == expected


def test_who_is_not_known_is_not_at_the_gate(db: Connection) -> None:
    assert at_the_gate(db, "NOBODY", DAY) is None


def test_without_a_switch_every_channel_asks_and_the_contract_is_a_duty(db: Connection) -> None:
    assert asking(db, DAY) == frozenset(ContactChannel)
    assert [choice.motive for choice in choices(db)] == [CONTRACT]
