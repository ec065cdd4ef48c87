"""Withdrawal from memberships: all or none, once, only as it was shown; what is owed stays, all else ends with it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, text

from lifecycle.persistence import tables
from lifecycle.persistence.database import transaction
from lifecycle.rules.findings import BadInput
from lifecycle.rules.membership_withdrawal import Request, WithdrawalState
from lifecycle.rules.subscriptions import Status
from lifecycle.settings import settings
from tasks import membership_withdrawal as withdrawals
from tasks.membership_withdrawal import Shown
from tests import cast
from tests.billing import change, rows
from tests.erasing import erase
from tests.sweeping import dying_after, mortal, started, sweep

DAY = date(2026, 3, 10)
NOW = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)
LAST = date(2026, 4, 1)


def sell(db: Connection, prefix: str = "") -> None:
    """C1 has the plan P1 and, by the same mandate, M1 from month to month, paid until March 31st.

    Of P1 January and February are paid, March is with the bank, and so is, by mistake, October.
    """
    customer = cast.customer(db, f"{prefix}C1")
    db.execute(text("UPDATE customers SET email = 'c1@example.com' WHERE id = :id"), {"id": customer})
    mandate = cast.mandate(db, customer, f"{prefix}RUM1")
    plan = cast.plan(db, customer, f"{prefix}P1", mandate=mandate)
    monthly = cast.membership(db, customer, f"{prefix}M1", terms=3, mandate=mandate)
    for month in (1, 2, 3):
        cast.instalment(db, monthly, date(2026, month, 1), status="paid")
    _pay(db, plan, "paid", "due_on < '2026-03-01'")
    _pay(db, plan, "submitted", "due_on IN ('2026-03-01', '2026-10-01')")


def _pay(db: Connection, subscription: int, status: str, when: str) -> None:
    statement = text(f"UPDATE instalments SET status = :status WHERE subscription_id = :id AND {when}")
    db.execute(statement, {"status": status, "id": subscription})


@pytest.fixture(autouse=True)
def business(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIFECYCLE_LOCALE", "en")
    with transaction() as db:
        for code in ("anna", "berta"):
            cast.operator(db, code)
        cast.action_type(db, "ENDS", in_agenda=True)
        cast.action_type(db, "QUIET")
        cast.action_type(db, "CALL", "call")
        sell(db)
        cast.customer(db, "C2")
    return home


ASKED = Request("C1", ("P1",), "ENDS", LAST, "moves to Patras", "anna", "")
BOTH = replace(ASKED, memberships=("P1", "M1"))


def of_another(prefix: str, **asked: Any) -> Request:
    """The same, or as `asked`, of a customer with the same memberships whose codes begin so."""
    with transaction() as db:
        sell(db, prefix)
    request = replace(ASKED, customer=f"{prefix}C1")
    request = replace(request, **asked)
    return replace(request, memberships=tuple(f"{prefix}{code}" for code in request.memberships))


def of_m1(prefix: str = "") -> str:
    return f"FROM subscriptions WHERE subscriptions.id = subscription_id AND code = '{prefix}M1'"


def look(asked: Request) -> Shown:
    return withdrawals.look.fn(asked, DAY)


def withdraw(asked: Request | Shown, prefect_id: UUID | None = None, now: datetime = NOW) -> dict[str, int]:
    shown = asked if isinstance(asked, Shown) else look(asked)
    return dict(withdrawals.withdraw.fn(shown, DAY, started("membership-withdrawal", DAY), now, prefect_id))


def everything() -> dict[str, list[Any]]:
    """What the whole database says, but for the record of runs."""
    with transaction() as db:
        return {
            name: sorted(map(str, db.execute(text(f"SELECT to_jsonb(one) FROM {name} AS one")).scalars()))
            for name in tables.metadata.tables
            if name != "runs"
        }


def refused(asked: Request | Shown, prefect_id: UUID | None = None) -> list[str]:
    """Why it is; and nothing changed by it."""
    before = everything()
    with pytest.raises(BadInput) as error:
        withdraw(asked, prefect_id)
    assert everything() == before
    return [str(finding) for finding in error.value.findings]


def instalments(subscription: str) -> dict[str, list[int]]:
    """The months in which they are due, by status."""
    found: dict[str, list[int]] = {}
    for status, due_on in rows(f"""
            SELECT instalments.status, due_on FROM instalments JOIN subscriptions ON subscriptions.id = subscription_id
            WHERE code = '{subscription}' ORDER BY due_on"""):
        found.setdefault(status, []).append(due_on.month)
    return found


TERMS = "SELECT starts_on, expires_on, recorded_at FROM terms ORDER BY subscription_id, starts_on, recorded_at"
MANDATES = "SELECT code, ended_on FROM mandates ORDER BY code"
MESSAGES = "SELECT key, state, recipient, basis, motive, facts FROM messages"


def test_what_is_due_by_the_last_day_stays_owed_and_what_is_due_later_is_removed_or_refunded() -> None:
    assert withdraw(ASKED) == {
        "memberships withdrawn": 1,
        "instalments owed": 1,
        "instalments removed": 7,
        "instalments to be refunded": 1,
        "acknowledgements queued": 1,
    }
    assert instalments("P1") == {
        "paid": [1, 2],
        "submitted": [3],
        "due": [4],
        "to_be_refunded": [10],
        "cancelled": [5, 6, 7, 8, 9, 11, 12],
    }
    (sums,) = rows("SELECT former_expires_on, currency, owed, removed, to_be_refunded FROM withdrawn_memberships")
    assert sums == (date(2026, 12, 31), "EUR", Decimal("12.20"), Decimal("85.40"), Decimal("12.20"))
    assert instalments("M1") == {"paid": [1, 2, 3]}


def test_the_current_term_ends_on_the_last_day_and_a_sweep_looks_on_the_day_after() -> None:
    withdraw(ASKED)
    of_plan = [row for row in rows(TERMS) if row[0] == date(2026, 1, 1)]
    assert (date(2026, 1, 1), date(2026, 12, 31), cast.LONG_AGO) in of_plan, "it is only ever added"
    assert (date(2026, 1, 1), LAST, NOW) in of_plan
    standing = "SELECT status, expires_on, due_on FROM subscription_status JOIN subscriptions ON id = subscription_id"
    assert rows(f"{standing} WHERE code = 'P1'") == [("active", LAST, date(2026, 4, 2))]
    assert rows("SELECT FROM transitions") == [], "the sweep records it"


def test_dated_back_what_was_renewed_since_never_came_into_force() -> None:
    on = date(2026, 1, 20)
    counts = withdraw(replace(ASKED, memberships=("M1",), on=on))
    assert (counts["memberships withdrawn"], counts["instalments to be refunded"]) == (1, 2)
    assert [row[:2] for row in rows(TERMS) if row[2] == NOW] == [(date(2026, month, 1), on) for month in (1, 2, 3)]
    assert instalments("M1") == {"paid": [1], "to_be_refunded": [2, 3]}
    assert rows(
        "SELECT expires_on, due_on FROM subscription_status JOIN subscriptions ON id = subscription_id "
        "WHERE code = 'M1'"
    ) == [(on, date(2026, 1, 21))]


def test_far_ahead_a_monthly_one_keeps_its_terms() -> None:
    before = rows(TERMS)
    assert withdraw(replace(ASKED, memberships=("M1",), on=date(2026, 9, 15))) == {
        "memberships withdrawn": 1, "acknowledgements queued": 1,
    }  # fmt: skip
    assert rows(TERMS) == before


def test_what_was_shown_to_come_is_what_the_sweep_makes_due() -> None:
    change("UPDATE products SET price = 12.35 WHERE code = 'MEM-MONTH'")
    shown = look(replace(BOTH, on=date(2026, 5, 15)))
    to_come = {one.membership.code: [(it.due_on, it.amount) for it in one.to_come] for one in shown.effects}
    assert to_come == {"M1": [(date(2026, month, 1), Decimal("15.07")) for month in (4, 5)], "P1": []}
    withdraw(shown)
    sweep(date(2026, 5, 16))
    made = rows("""
        SELECT due_on, amount FROM instalments JOIN subscriptions ON subscriptions.id = subscription_id
        WHERE code = 'M1' AND instalments.status = 'due' ORDER BY due_on""")
    assert made == to_come["M1"]


def test_a_clock_that_was_set_back_cuts_all_the_same() -> None:
    withdraw(ASKED, now=cast.LONG_AGO - timedelta(days=1))
    assert rows("SELECT expires_on FROM subscription_status ORDER BY expires_on") == [(date(2026, 3, 31),), (LAST,)]


def test_several_are_withdrawn_all_at_once() -> None:
    counts = withdraw(BOTH)
    assert (counts["memberships withdrawn"], counts["mandates ended"], counts["acknowledgements queued"]) == (2, 1, 1)
    assert rows("SELECT count(*), count(DISTINCT withdrawal_id) FROM withdrawn_memberships") == [(2, 1)]


def test_of_several_one_is_refused_so_none_is() -> None:
    change("UPDATE subscriptions SET charge_method = 'transfer' WHERE code = 'M1'")
    assert refused(BOTH) == ["memberships: M1 is paid by transfer; expected one charged by SEPA direct debit or card"]


def test_a_mandate_ends_with_the_last_contract_that_uses_it() -> None:
    withdraw(ASKED)
    assert rows(MANDATES) == [("RUM1", None)]
    assert withdraw(replace(ASKED, memberships=("M1",)))["mandates ended"] == 1
    assert rows(MANDATES) == [("RUM1", DAY)]


def test_a_mandate_stays_while_a_contract_goes_on() -> None:
    for status in Status:
        prefix = f"{status}-"
        asked = of_another(prefix)
        change(f"UPDATE subscription_status SET status = '{status}', expires_on = '2020-01-01' {of_m1(prefix)}")
        withdraw(asked)
    closed = {Status.DISABLED, Status.DELETED, Status.WITHDRAWN, Status.ENDED}
    assert {code.removesuffix("-RUM1") for code, ended_on in rows(MANDATES) if ended_on == DAY} == closed


def test_a_mandate_stays_while_something_is_still_to_be_charged_by_it() -> None:
    change(f"UPDATE subscription_status SET status = 'ended' {of_m1()}")
    change(f"UPDATE instalments SET status = 'due' {of_m1()} AND due_on = '2026-03-01'")
    withdraw(ASKED)
    assert rows(MANDATES) == [("RUM1", None)]


def test_a_mandate_that_has_ended_ended_when_it_did() -> None:
    change("UPDATE mandates SET ended_on = '2026-01-01'")
    assert "mandates ended" not in withdraw(BOTH)
    assert rows(MANDATES) == [("RUM1", date(2026, 1, 1))]


def test_the_history_says_who_when_what_and_why() -> None:
    withdraw(replace(ASKED, assigned_to="berta"))
    about = "action_type, operator, assigned_to, note, business_date, recorded_at"
    assert rows(f"SELECT {about} FROM crm_actions") == [("ENDS", "anna", "berta", "moves to Patras", DAY, NOW)]
    assert rows("SELECT state, note, withdrawn_on, operator, requested_at, done_at FROM withdrawals") == [
        ("done", None, LAST, "anna", NOW, NOW)
    ]


def test_without_a_note_one_is_written_that_names_the_day(monkeypatch: pytest.MonkeyPatch) -> None:
    notes = {
        "it": "Recesso, ultimo giorno di validità: 1º aprile 2026",
        "el": "Διακοπή συνδρομής, τελευταία ημέρα ισχύος: 1 Απριλίου 2026",
        "en": "Withdrawal, last day of validity: 1 April 2026",
    }
    for locale in notes:
        monkeypatch.setenv("LIFECYCLE_LOCALE", locale)
        settings.cache_clear()
        withdraw(replace(of_another(locale), note=" \n"))
    assert rows("SELECT note, assigned_to FROM crm_actions ORDER BY id") == [(note, None) for note in notes.values()]


def test_the_customer_gets_one_acknowledgement() -> None:
    withdraw(BOTH)
    withdraw(BOTH)
    ((id_,),) = rows("SELECT id FROM withdrawals")
    assert rows(MESSAGES) == [
        (
            f"withdrawal-acknowledged/{id_}",
            "queued",
            "c1@example.com",
            "duty",
            "contract",
            {"withdrawal": str(id_)},
        )
    ]


def test_before_the_go_live_the_acknowledgement_is_withheld(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFECYCLE_GO_LIVE__CUSTOMER_NOTICE", str(DAY + timedelta(days=1)))
    settings.cache_clear()
    assert withdraw(ASKED)["acknowledgements withheld"] == 1
    ((id_,),) = rows("SELECT id FROM withdrawals")
    assert [row[:2] for row in rows(MESSAGES)] == [(f"withdrawal-acknowledged/{id_}/withheld", "withheld")]


def test_who_cannot_be_told_is_counted() -> None:
    mute = of_another("mute-")
    change("UPDATE customers SET email = NULL WHERE code = 'mute-C1'")
    assert withdraw(mute)["no address to acknowledge to"] == 1
    change("UPDATE motives SET duty = false")
    change(
        "INSERT INTO objections (customer_id, channel, objected_on) SELECT id, 'single', '2026-01-01' FROM customers"
    )
    assert withdraw(ASKED)["not acknowledged: objected"] == 1
    assert rows(MESSAGES) == []


def nothing(_db: Connection, _prefix: str) -> None:
    """It is as it was sold."""


def so(statement: str) -> Callable[[Connection, str], None]:
    """What is changed of a customer before."""

    def made(db: Connection, prefix: str) -> None:
        db.execute(text(statement), {"like": f"{prefix}%"})

    return made


def sold(policy: str) -> Callable[[Connection, str], None]:
    def sell(db: Connection, prefix: str) -> None:
        customer = db.execute(text("SELECT id FROM customers WHERE code = :code"), {"code": f"{prefix}C1"}).scalar_one()
        held = cast.subscription(db, f"{prefix}L1", customer, cast.product(db, policy, policy))
        cast.term(db, held, date(2026, 12, 31))

    return sell


_OURS = "subscription_id IN (SELECT id FROM subscriptions WHERE code LIKE :like)"

REFUSED: list[tuple[Callable[[Connection, str], None], dict[str, Any], str]] = [
    (nothing, {"customer": "C9"}, "customer: 'C9' is no customer's code"),
    (nothing, {"customer": "C2"}, "memberships: P1 is another customer's; expected one of C2"),
    (lambda db, prefix: erase(db, f"{prefix}C1"), {}, "customer: 'C1' was erased"),
    (nothing, {"memberships": ("P1", "P9")}, "memberships: 'P9' is no subscription's code"),
    (nothing, {"memberships": ()}, "memberships: is empty"),
    (nothing, {"action_type": "NONE"}, "action_type: 'NONE' is no action type"),
    (nothing, {"action_type": "CALL"}, "action_type: 'CALL' is of the base type 'call'"),
    (nothing, {"operator": "otto"}, "operator: 'otto' is no operator"),
    (nothing, {"assigned_to": "otto"}, "assigned_to: 'otto' is no operator"),
    (nothing, {"assigned_to": "berta", "action_type": "QUIET"}, "assigned_to: 'QUIET' stands in no agenda"),
    (so("UPDATE subscriptions SET charge_method = 'transfer' WHERE code LIKE :like"), {}, "P1 is paid by transfer"),
    (so(f"DELETE FROM instalments WHERE {_OURS}"), {}, "P1 is neither paid in instalments nor renewed"),
    (so(f"UPDATE subscription_status SET status = 'ended' WHERE {_OURS}"), {}, "P1 has ended on 2026-12-31"),
    (nothing, {"on": date(2025, 12, 31)}, "memberships: P1 starts on 2026-01-01"),
    (nothing, {"on": date(2027, 1, 1)}, "memberships: P1 ends on 2026-12-31"),
    (sold("licence"), {"memberships": ("L1",)}, "memberships: L1 has the policy licence"),
    (sold("service"), {"memberships": ("L1",)}, "memberships: L1 has the policy service"),
    (sold("custom"), {"memberships": ("L1",)}, "memberships: L1 has the policy custom"),
]


def test_what_cannot_be_is_refused_and_nothing_changed() -> None:
    for number, (made_so, asked, why) in enumerate(REFUSED):
        prefix = f"case{number}-"
        request = of_another(prefix, **asked)
        with transaction() as db:
            made_so(db, prefix)
        assert why in refused(request)[0].replace(prefix, ""), why


def test_asked_for_again_it_was_withdrawn_before() -> None:
    withdraw(BOTH)
    before = everything()
    again = look(replace(BOTH, memberships=("M1", "P1"), note="once more"))
    assert (again.before, again.effects) == (True, ())
    assert withdraw(again) == {"withdrawn before": 2}
    assert everything() == before


def test_asked_for_otherwise_it_is_refused() -> None:
    withdraw(BOTH)
    for otherwise in ({"on": date(2026, 4, 2)}, {"memberships": ("P1",)}):
        why = "memberships: P1 is withdrawn from already, its last day is 2026-04-01; expected one that is not"
        assert why in refused(replace(BOTH, **otherwise))


def test_withdrawn_from_one_by_one_they_were_not_withdrawn_from_together() -> None:
    withdraw(ASKED)
    withdraw(replace(ASKED, memberships=("M1",)))
    assert len(refused(BOTH)) == 2


def test_what_is_no_longer_as_it_was_shown_is_not_done() -> None:
    for number, since in enumerate(
        (
            f"UPDATE instalments SET status = 'paid' WHERE {_OURS} AND due_on = '2026-04-01'",
            f"UPDATE instalments SET status = 'submitted' WHERE {_OURS} AND due_on = '2026-05-01'",
            # The mandate would end now.
            f"UPDATE subscription_status SET status = 'ended' WHERE {_OURS}".replace("LIKE :like", "= '2-M1'"),
        )
    ):
        shown = look(of_another(f"{number}-"))
        change(since.replace(":like", f"'{number}-%'"))
        assert refused(shown) == ["confirm: what it does is no longer what was shown; expected a new look"]


def test_a_digest_of_something_else_confirms_nothing() -> None:
    assert refused(replace(look(ASKED), digest="0123456789abcdef"))[0].startswith("confirm: ")


def at_once(*asked: Request) -> list[dict[str, int] | str]:
    """What came of each, or why it was refused."""

    def one(shown: Shown) -> dict[str, int] | str:
        try:
            return withdraw(shown)
        except BadInput as error:
            return error.findings[0].where

    shown = [look(one) for one in asked]
    with ThreadPoolExecutor(len(shown)) as threads:
        return list(threads.map(one, shown))


def test_confirmed_by_several_at_once_one_does_it() -> None:
    done = at_once(*[BOTH] * 4)
    assert sorted(done, key=len) == [*[{"withdrawn before": 2}] * 3, max(done, key=len)]
    assert [len(rows(f"SELECT FROM {name}")) for name in ("withdrawals", "crm_actions", "messages")] == [1, 1, 1]


def test_asked_for_otherwise_at_once_one_does_it_and_the_other_is_refused() -> None:
    done = at_once(BOTH, ASKED)
    assert "memberships" in done
    assert len(rows("SELECT FROM withdrawals")) == 1


def test_two_that_share_a_mandate_at_once_do_not_both_leave_it_to_the_other() -> None:
    done = at_once(ASKED, replace(ASKED, memberships=("M1",)))
    assert done.count("confirm") == 1, "what the second one does is another thing by now: the mandate ends with it"


_WAITING = text("SELECT count(*) FROM pg_locks WHERE NOT granted")


def waits_for_a_lock(db: Connection) -> None:
    """Return when another transaction waits for one."""
    for _ in range(1_000):
        if db.execute(_WAITING).scalar():
            return
        db.execute(text("SELECT pg_sleep(0.01)"))
    raise AssertionError("nobody waits")


def test_a_charge_run_that_holds_an_instalment_is_waited_for() -> None:
    shown = look(ASKED)
    with ThreadPoolExecutor(1) as threads:
        with transaction() as charging:
            charging.execute(text("SELECT FROM instalments ORDER BY id FOR UPDATE"))
            withdrawing = threads.submit(withdraw, shown)
            waits_for_a_lock(charging)
            charging.execute(text("UPDATE instalments SET status = 'submitted' WHERE due_on = '2026-04-01'"))
        with pytest.raises(BadInput, match="confirm: what it does is no longer what was shown"):
            withdrawing.result()
    assert rows("SELECT FROM withdrawals") == []


def test_an_erasure_is_waited_for_and_the_erased_do_not_withdraw() -> None:
    shown = look(ASKED)
    with ThreadPoolExecutor(1) as threads:
        with transaction() as erasing:
            erase(erasing, "C1")
            withdrawing = threads.submit(withdraw, shown)
            waits_for_a_lock(erasing)
        with pytest.raises(BadInput, match="'C1' was erased"):
            withdrawing.result()


def waits(shown: Shown, prefect_id: UUID) -> None:
    run = started("membership-withdrawal", DAY)
    withdrawals.await_answer.fn(shown, DAY, prefect_id, run, NOW - timedelta(hours=2))


def test_while_it_waits_the_note_is_remembered_once_and_then_it_is_in_the_history_alone() -> None:
    shown, prefect_id = look(ASKED), uuid4()
    assert withdrawals.remembered.fn(prefect_id) is None
    waits(shown, prefect_id)
    waits(replace(shown, request=replace(ASKED, note="")), prefect_id)
    known = withdrawals.remembered.fn(prefect_id)
    assert known
    assert (known.note, known.requested_at, known.state) == (
        "moves to Patras",
        NOW - timedelta(hours=2),
        WithdrawalState.WAITING,
    )
    assert withdraw(shown, prefect_id)["memberships withdrawn"] == 1
    assert rows("SELECT state, note, requested_at, done_at FROM withdrawals") == [
        ("done", None, NOW - timedelta(hours=2), NOW)
    ]
    assert rows("SELECT note FROM crm_actions") == [("moves to Patras",)]


def test_refused_it_forgets_the_note_and_is_not_done() -> None:
    shown, prefect_id = look(ASKED), uuid4()
    waits(shown, prefect_id)
    withdrawals.refuse.fn(prefect_id)
    assert rows("SELECT state, note FROM withdrawals") == [("refused", None)]
    assert refused(shown, prefect_id) == ["confirm: it was refused before; expected a new run"]


def test_what_another_run_did_meanwhile_is_waited_for_no_more() -> None:
    shown, prefect_id = look(ASKED), uuid4()
    waits(shown, prefect_id)
    withdraw(shown)
    assert withdraw(shown, prefect_id) == {"withdrawn before": 1}
    assert rows("SELECT state, note FROM withdrawals ORDER BY state") == [("done", None), ("refused", None)]


def test_of_who_is_erased_no_note_is_written_down() -> None:
    shown = look(ASKED)
    with transaction() as db:
        erase(db, "C1")
    waits(shown, uuid4())
    assert rows("SELECT FROM withdrawals") == []


def end_state(prefix: str) -> dict[str, list[tuple[Any, ...]]]:
    """What became of the customer whose codes begin so, without ids."""
    of_memberships = "JOIN subscriptions ON subscriptions.id = subscription_id"
    of_customer = "JOIN customers ON customers.id = customer_id"
    about = {
        "instalments": f"SELECT substr(code, 5), due_on, status FROM instalments {of_memberships}",
        "terms": f"SELECT substr(code, 5), starts_on, expires_on, terms.recorded_at FROM terms {of_memberships}",
        "standing": f"SELECT substr(code, 5), status, expires_on, due_on FROM subscription_status {of_memberships}",
        "withdrawn": f"""
            SELECT substr(code, 5), former_expires_on, owed, removed, to_be_refunded
            FROM withdrawn_memberships {of_memberships}""",
        "withdrawals": f"SELECT state, note, requested_at, done_at FROM withdrawals {of_customer}",
        "history": f"SELECT note, business_date, crm_actions.recorded_at FROM crm_actions {of_customer}",
        "mandates": "SELECT ended_on FROM mandates",
        "messages": f"SELECT messages.kind, state FROM messages {of_customer}",
    }
    return {name: sorted(rows(f"{query} WHERE code LIKE '{prefix}%'")) for name, query in about.items()}


def test_killed_at_any_statement_it_comes_to_the_same_end() -> None:
    expected: dict[str, list[tuple[Any, ...]]] = {}
    statements, killed = 0, True
    with mortal():
        while killed:
            prefix = f"{statements:03}-"
            shown = look(of_another(prefix, memberships=("P1", "M1")))
            prefect_id, run = uuid4(), started("membership-withdrawal", DAY)
            killed = True
            # The first one is left alone: all others must come to the same end.
            with dying_after(statements or 10_000):
                waits(shown, prefect_id)
                withdrawals.withdraw.fn(shown, DAY, run, NOW, prefect_id)
                killed = statements == 0
            waits(shown, prefect_id)
            withdrawals.withdraw.fn(shown, DAY, run, NOW, prefect_id)
            expected = expected or end_state(prefix)
            assert end_state(prefix) == expected, statements
            statements += 1
    assert expected["withdrawals"] == [("done", None, NOW - timedelta(hours=2), NOW)]
    assert expected["mandates"] == [(DAY,)]
    assert statements > 25
