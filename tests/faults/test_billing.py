"""Random histories of a hosting business under kills, double and parallel runs: what the page says holds always.

After every step the claims of `tests.claims` are asked of the facts, and what the step added is held against what its
dry run listed. In the end everything is left in peace for long enough, and nobody is forgotten.
"""

import csv
import hashlib
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from email import message_from_bytes
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text

from deployments import payments as operator
from lifecycle.persistence import outbox
from lifecycle.persistence.database import transaction
from lifecycle.rules.billing_card import reference_of
from lifecycle.rules.findings import BadInput
from lifecycle.rules.outbox import State
from lifecycle.settings import settings
from tasks import billing_card, daily_expiry_sweep
from tasks.billing_card import Billed, Order
from tasks.import_records import import_files
from tasks.payment_import import foresee_payments, import_payments
from tests import claims, sweeping
from tests.replay import months_later
from tests.smtp import Inbox, mail_server

# 6 are a look in passing; a few hundred are the full measure: run them alone.
HISTORIES = int(os.environ.get("LIFECYCLE_TEST_HISTORIES", "2"))
STEPS = int(os.environ.get("LIFECYCLE_TEST_STEPS", "30"))

FIRST = date(2026, 1, 2)
FAR = date(2026, 3, 1)
NEVER_UP = "smtp://127.0.0.1:9?tls=none"

Row = tuple[Any, ...]

PRODUCTS: list[Row] = [
    ("code", "name", "policy", "period_months", "price", "currency", "vat_rate"),
    ("HOST", "Hosting", "service", 12, "119.99", "EUR", "22"),
    ("MAIL", "Mailboxes", "service", 1, "0.35", "EUR", "10"),
    ("SEO", "Listing", "service", 6, "10.05", "CHF", "7.7"),
    ("APP", "Application", "custom", 12, "900.00", "EUR", "22"),
]
SUBSCRIPTIONS: list[Row] = [
    ("code", "customer", "product", "starts_on", "expires_on"),
    ("S1", "C1", "HOST", "2025-01-31", "2026-01-30"),
    ("S2", "C1", "MAIL", "2025-12-31", "2026-01-30"),
    ("S3", "C1", "SEO", "2025-08-29", "2026-02-27"),
    ("S4", "C2", "MAIL", "2025-12-28", "2026-01-27"),
    ("S5", "C2", "HOST", "2024-02-29", "2026-02-27"),
    ("S6", "C3", "HOST", "2025-03-31", "2026-03-30"),
    ("S7", "C3", "APP", "2025-01-30", "2026-01-29"),
]
CUSTOMERS = ("C1", "C2", "C3")

MONTHS = {"HOST": 12, "MAIL": 1, "SEO": 6, "APP": 12}

WAYS = st.one_of(
    st.just("once"),
    st.just("once"),
    st.just("twice"),
    st.just("at once"),
    st.lists(st.integers(1, 45), min_size=1, max_size=2),
)
"""How something is done: a list holds the statements after which it is killed, before it is left in peace."""

PAYMENTS = st.sampled_from(
    ["exact", "exact", "part", "over", "again", "old revision", "two cards", "other currency", "void", "unknown",
     "unnamed", "taken back", "taken back"]
)  # fmt: skip

_BOOKS = {
    "cards": "SELECT number, customer_id, currency, state, revision, total, trial FROM cards",
    "lines": """
        SELECT number, card_lines.revision, subscriptions.code, expires_on, card_lines.starts_on, ends_on,
            card_lines.quantity, card_lines.unit_price, vat_rate, payable
        FROM card_lines JOIN cards ON cards.id = card_id JOIN subscriptions ON subscriptions.id = subscription_id""",
    "renewals": """
        SELECT number, code, starts_on, expires_on FROM card_renewals JOIN cards ON cards.id = card_id
        JOIN terms ON terms.id = term_id JOIN subscriptions ON subscriptions.id = card_renewals.subscription_id""",
    "terms": """
        SELECT code, starts_on, expires_on FROM terms JOIN subscriptions ON subscriptions.id = subscription_id""",
    "transitions": """
        SELECT code, to_status, expires_on, business_date FROM transitions
        JOIN subscriptions ON subscriptions.id = subscription_id JOIN terms ON terms.id = term_id""",
    "messages": "SELECT key, kind, state, facts ->> 'card' AS card, (facts ->> 'revision')::int FROM messages",
    "payments": "SELECT bank_reference, amount, currency, remittance FROM payments",
    "allocations": "SELECT id, payment_id, customer_id, card_id, purpose, amount, rule FROM allocations",
    "held": """
        SELECT subscriptions.code, status, expires_on, to_card, policy, email IS NOT NULL FROM subscription_status
        JOIN subscriptions ON subscriptions.id = subscription_id JOIN products ON products.id = product_id
        JOIN customers ON customers.id = customer_id""",
}

_UNASSIGNED = """
    SELECT id, abs(payments.amount - placed.amount) FROM payments CROSS JOIN LATERAL (
        SELECT coalesce(sum(amount), 0) AS amount FROM allocations WHERE payment_id = payments.id) AS placed
    WHERE payments.amount <> placed.amount ORDER BY id"""

_CARDS = """
    SELECT number, currency, total, (SELECT min(total) FROM card_revisions WHERE card_id = cards.id),
        total - (SELECT coalesce(sum(amount), 0) FROM allocations WHERE card_id = cards.id AND purpose = 'card')
    FROM cards WHERE state = :state ORDER BY number"""

Books = dict[str, set[Row]]


def books() -> Books:
    with transaction() as db:
        return {name: {tuple(row) for row in db.execute(text(query))} for name, query in _BOOKS.items()}


def rows(query: str, **values: object) -> list[Row]:
    with transaction() as db:
        return [tuple(row) for row in db.execute(text(query), values)]


def _paying(what: str, cards: Sequence[Row], which: int, share: int) -> Row:
    """Amount, currency and text of a payment for one of the cards, or for two."""
    number, currency, total, cheapest, left = cards[which % len(cards)]
    other = cards[share % len(cards)]
    amounts: dict[str, Decimal] = {
        "part": left * share / 100,
        "over": left + share,
        "again": total,
        "void": total,
        "old revision": cheapest,
        "two cards": left + other[4],
    }
    amount = amounts.get(what, Decimal(left))
    names = reference_of(number) + (f" {reference_of(other[0])}" if what == "two cards" else "")
    return (
        max(amount.quantize(Decimal("0.01")), Decimal("0.01")),
        "USD" if what == "other currency" else currency,
        names,
    )


class Clock(datetime):
    """The operators' clock: it shows the day of the history."""

    on = FIRST

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return now(cls.on).astimezone(tz)


_ticks = count()


def now(day: date) -> datetime:
    """Moments of that day, later and later."""
    return datetime.combine(day, time(9), UTC) + timedelta(milliseconds=next(_ticks))


class Choosy(Inbox):
    """A server that does not know one address."""

    unknown = ""

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        if address == self.unknown:
            return "550 5.1.1 no such mailbox"
        return await super().handle_RCPT(server, session, envelope, address, options)


class History(RuleBasedStateMachine):
    """One history. The class is made anew for each test, with its installation."""

    home: Path
    server: tuple[Choosy, int]
    reached: Counter[str]

    def __init__(self) -> None:
        super().__init__()
        with transaction() as db:
            db.execute(
                text("""
                SET LOCAL session_replication_role = replica;
                TRUNCATE customers, products, subscriptions, terms, runs, messages, payments, allocations, cards,
                    card_numbers, plans, subscription_status RESTART IDENTITY CASCADE;
                INSERT INTO operators (code, name, email, administrator) VALUES ('OP', 'Otto', 'otto@x.it', false)
                ON CONFLICT DO NOTHING""")
            )
        self.day = FIRST
        self.environment = pytest.MonkeyPatch()
        self.given: dict[str, Row] = {}
        self.files: list[Path] = []
        self.terms = 0
        self.sent: set[str] = set()
        self.known = dict.fromkeys(CUSTOMERS, True)
        self.products = {row[0]: list(row) for row in PRODUCTS[1:]}
        self.place = self.home / f"history-{next(_ticks)}"
        self.place.mkdir()
        self.numbers = count()

    # -- how things are done -------------------------------------------------------------------------------------

    def configure(self, **variables: object) -> None:
        for name, value in variables.items():
            self.environment.setenv(f"LIFECYCLE_{name.upper()}", str(value))
        settings.cache_clear()

    def somehow(self, way: str | list[int], act: Callable[[], object]) -> None:
        if way == "at once":
            with ThreadPoolExecutor(2) as threads:
                for done in [threads.submit(act), threads.submit(act)]:
                    done.result()
            return
        for statements in way if isinstance(way, list) else ():
            with sweeping.dying_after(statements):
                act()
        act()
        if way == "twice":
            before = books()
            act()
            assert books() == before, "the second time something changed"

    def written(self, files: Mapping[str, Sequence[Row]]) -> Path:
        folder = self.place / str(next(self.numbers))
        folder.mkdir()
        for name, lines in files.items():
            with (folder / f"{name}.csv").open("w", newline="") as file:
                csv.writer(file).writerows(lines)
        return folder

    def bring(self, **files: Sequence[Row]) -> None:
        folder, moment = self.written(files), now(self.day)
        self.terms += import_files.fn(folder, moment, dry_run=False)["terms added"]

    # -- the beginning ---------------------------------------------------------------------------------------------

    @initialize(
        cards_from=st.sampled_from([FIRST, FIRST, FIRST, date(2026, 1, 20), FAR]),
        services_from=st.sampled_from([FIRST, FIRST, FIRST, date(2026, 2, 10), FAR]),
        shows_vat=st.booleans(),
    )
    def opens(self, cards_from: date, services_from: date, shows_vat: bool) -> None:
        self.cards_from, self.services_from = cards_from, services_from
        self.configure(
            go_live__billing_card=cards_from,
            go_live__service_transition=services_from,
            policy__card_shows_vat=shows_vat,
            mail_url=(self.place / "mail").absolute().as_uri().replace("file:", "maildir:", 1),
        )
        customers = [(code, "company", f"Customer {code}", f"{code.lower()}@example.com") for code in CUSTOMERS]
        self.bring(
            products=PRODUCTS,
            customers=[("code", "kind", "name", "email"), *customers],
            subscriptions=SUBSCRIPTIONS,
        )
        self.before = books()
        self.bill("once", 100, 0)
        self.delivered()

    # -- what happens ----------------------------------------------------------------------------------------------

    @rule(days=st.integers(1, 40))
    def time_passes(self, days: int) -> None:
        self.day += timedelta(days=days)
        Clock.on = self.day

    @rule(weeks=st.integers(1, 6))
    def weeks_go_by_as_they_should(self, weeks: int) -> None:
        for _ in range(weeks):
            self.time_passes(6)
            self.bill("once", 100, 0)
            self.checked()
            self.delivered()
            self.checked()
            self.sweep("once", 100, 0)
            self.checked()
            self.delivered()

    @rule(way=WAYS, portion=st.sampled_from([1, 2, 100]), late=st.sampled_from([0, 0, 0, 2]))
    def bill(self, way: str | list[int], portion: int, late: int) -> None:
        day = self._late(late)
        before, dry = books(), self._billed(day, 100, dry_run=True)
        assert books() == before, "a dry run changed something"
        self.somehow(way, lambda: self._billed(day, portion))
        after = books()
        did = self._did(before, after)
        assert did == {name: dry.counts[name] for name in did}
        revisions = {row[0]: row[4] for row in before["cards"]}
        made = sorted((row[2], row[5]) for row in after["cards"] if row[4] > revisions.get(row[0], 0))
        assert made == sorted((currency, total) for _, _, currency, total, _ in dry.cards)
        self._all_billed(day, after)

    def _late(self, days: int) -> date:
        """The day of a run that comes so many days late, but not from after a go-live to before it."""
        lives = [live for live in (self.cards_from, self.services_from) if live <= self.day]
        return max([self.day - timedelta(days=days), *lives])

    def _billed(self, day: date, portion: int, *, dry_run: bool = False) -> Billed:
        order = Order(day, now(self.day), sweeping.started("billing-card-run", day), dry_run)
        due = billing_card.customers_due.fn(order, None)
        billed = Billed()
        for start in range(0, len(due), portion):
            billed.add(billing_card.bill.fn(due[start : start + portion], order))
        return billed

    def _did(self, before: Books, after: Books) -> dict[str, int]:
        """What a billing run did, under the names of its summary."""
        states = Counter(row[3] for row in after["cards"])
        states.subtract(row[3] for row in before["cards"])
        known = {row[0] for row in before["messages"]}
        kinds = Counter((row[1], row[2]) for row in after["messages"] if row[0] not in known)
        return {
            "cards void": states["void"],
            "cards paid by credit": states["paid"],
            "services renewed": len(after["renewals"] - before["renewals"]),
            "cards to mail": kinds["billing-card", "queued"],
            "cards withheld": kinds["billing-card", "withheld"],
            "reminders to mail": kinds["card-reminder", "queued"],
            "reminders withheld": kinds["card-reminder", "withheld"],
        }

    def _all_billed(self, day: date, after: Books) -> None:
        """After a run each service that is due stands on a card, as it is now; and nothing else does.

        Those that credit has renewed on this day can be due again: by the next day's run.
        """
        renewed = {
            code
            for (code,) in rows(
                """
                SELECT code FROM card_renewals JOIN subscriptions ON id = subscription_id
                WHERE business_date >= :day""",
                day=day,
            )
        }
        payable = {row[2]: row for row in after["lines"] if row[-1]}
        current = rows(
            """
            SELECT subscriptions.code, status, policy, expires_on, quantity, coalesce(unit_price, price), vat_rate,
                currency
            FROM subscription_status JOIN subscriptions ON subscriptions.id = subscription_id
            JOIN products ON products.id = product_id"""
        )
        currency = {row[0]: row[2] for row in after["cards"]}
        for code, status, policy, expires_on, *prices, of in current:
            line = payable.get(code)
            if (
                policy == "service"
                and status != "deleted"
                and expires_on <= day + timedelta(days=30)
                and code not in renewed
            ):
                assert line, f"{code} is due and on no card"
            if line:
                assert (policy, status == "deleted") == ("service", False), code
                assert (line[3], *line[6:9], currency[line[0]]) == (expires_on, *prices, of), code

    @rule(way=WAYS, portion=st.sampled_from([1, 100]), late=st.sampled_from([0, 0, 0, 2]))
    def sweep(self, way: str | list[int], portion: int, late: int) -> None:
        day = self._late(late)
        before = books()
        dry = daily_expiry_sweep.make_plan.fn(day, sweeping.started(daily_expiry_sweep.FLOW, day), dry_run=True)
        assert books() == before, "a dry run changed something"
        self.somehow(way, lambda: sweeping.sweep(day, portion))
        after = books()
        known = {row[0] for row in before["messages"]}
        done = Counter(
            kind for key, kind, *_ in after["messages"] if key not in known and not kind.startswith("access")
        )
        words = {
            "service suspended": "service-suspended", "warning of deletion": "deletion-warning",
            "service deleted": "service-deleted", "suspension, withheld": "service-suspended",
            "warning of deletion, withheld": "deletion-warning", "deletion, withheld": "service-deleted",
        }  # fmt: skip
        listed: Counter[str] = Counter()
        for (step, _), number in dry.steps.items():
            listed[words[step]] += number
        assert done == listed
        self._unpaid_when_cut_off(before, after)

    def _unpaid_when_cut_off(self, before: Books, after: Books) -> None:
        paid: Counter[str] = Counter()
        for number, amount in rows(
            "SELECT number, amount FROM allocations JOIN cards ON cards.id = card_id WHERE purpose = 'card' "
            "AND allocations.id = ANY(:ids)",
            ids=[row[0] for row in before["allocations"]],
        ):
            paid[number] += amount
        cards = {row[0]: row for row in before["cards"]}
        on = {(row[2], row[3]): cards[row[0]] for row in before["lines"] if row[-1]}
        policy = {row[0]: row[4] for row in before["held"]}
        for code, to_status, lapse, _ in after["transitions"] - before["transitions"]:
            card = on[code, lapse]
            assert (policy[code], card[3]) == ("service", "open")
            assert paid[card[0]] < card[5], f"{code} {to_status} though {card[0]} is paid"
            self.reached[to_status] += 1

    @rule(
        way=st.sampled_from(["all", "all", "none", "refused", "killed"]),
        which=st.integers(0, 2),
        places=st.integers(1, 30),
    )
    def delivery(self, way: str, which: int, places: int) -> None:
        inbox, port = self.server
        if way == "killed":
            with sweeping.dying_after(places):
                sweeping.deliver_now()
        elif way == "none":
            with self.environment.context() as outage:
                outage.setenv("LIFECYCLE_MAIL_URL", NEVER_UP)
                settings.cache_clear()
                sweeping.deliver_now()
            settings.cache_clear()
        elif way == "refused":
            inbox.unknown = f"{CUSTOMERS[which].lower()}@example.com"
            with self.environment.context() as other:
                other.setenv("LIFECYCLE_MAIL_URL", f"smtp://127.0.0.1:{port}?tls=none")
                settings.cache_clear()
                sweeping.deliver_now()
            settings.cache_clear()
        else:
            self.delivered()
        self._as_they_were_when_they_left()

    def delivered(self) -> None:
        sweeping.deliver_now()
        self._as_they_were_when_they_left()

    def _as_they_were_when_they_left(self) -> None:
        """What left just now about cards is about open ones, in their last revision."""
        after = books()
        cards = {row[0]: row for row in after["cards"]}
        left = {row for row in after["messages"] if row[2] == "sent" and row[0] not in self.sent}
        for key, kind, _, card, revision in left:
            if kind in {"billing-card", "card-reminder"}:
                assert cards[card][3] == "open", f"{key} left, {card} is {cards[card][3]}"
                assert revision in {None, cards[card][4]}, f"{key} left, {card} was revised"
            self.reached[kind] += 1
        self.sent |= {row[0] for row in left}

    @precondition(lambda self: any(row[2] == "failed" for row in self.before["messages"]))
    @rule()
    def a_person_sees_to_what_failed(self) -> None:
        with transaction() as db:
            keys = [row.key for row in db.execute(text("SELECT key FROM messages WHERE state = 'failed'"))]
            outbox.resolve(db, keys, State.QUEUED, [State.FAILED])

    @rule(
        way=WAYS, entries=st.lists(st.tuples(PAYMENTS, st.integers(0, 50), st.integers(1, 99)), min_size=1, max_size=3)
    )
    def payments_come_in(self, way: str | list[int], entries: list[tuple[str, int, int]]) -> None:
        lines = [line for what, which, share in entries if (line := self._entry(what, which, share))]
        if not lines:
            return
        header = ("bank_reference", "received_on", "amount", "currency", "remittance")
        file = self.written({"payments": [header, *lines]}) / "payments.csv"
        self.files.append(file)
        self.given.update({line[0]: (line[0], Decimal(str(line[2])), line[3], line[4]) for line in lines})
        self._import(way, file)

    @precondition(lambda self: any(row[3] == "open" for row in self.before["cards"]))
    @rule(way=WAYS, which=st.integers(0, 50))
    def a_card_is_paid(self, way: str | list[int], which: int) -> None:
        self.payments_come_in(way, [("exact", which, 1)])

    @precondition(lambda self: any(row[3] == "paid" for row in self.before["cards"]))
    @rule(way=WAYS, which=st.integers(0, 50))
    def a_payment_is_taken_back(self, way: str | list[int], which: int) -> None:
        self.payments_come_in(way, [("taken back", which, 1)])

    def _import(self, way: str | list[int], file: Path) -> None:
        before, moment, run_id = books(), now(self.day), sweeping.started("payment-import", self.day)
        [dry] = foresee_payments.fn([file], self.day, moment, run_id)
        assert books() == before, "a dry run changed something"
        assert not isinstance(dry, BadInput), dry
        self.somehow(way, lambda: import_payments.fn(file, self.day, moment, run_id))
        after = books()
        assert len(after["renewals"] - before["renewals"]) == dry.counts["services renewed"]
        back = {row for row in after["transitions"] - before["transitions"] if row[1] == "active"}
        assert len(back) == dry.counts["services reactivated"]
        rules = Counter(row[-1] for row in after["allocations"] - before["allocations"] if row[1])
        assert set(rules) <= set(dry.counts)
        for verdict in ("paid in full", "paid in part", "card is void: to credit"):
            assert rules[verdict] == dry.counts[verdict]
        self.reached.update(dry.counts)

    def _entry(self, what: str, which: int, share: int) -> Row | None:
        """A line of a bank's file; None where the history has nothing for it."""
        reference = f"B{next(self.numbers)}"
        if what == "unnamed":
            return reference, self.day, "7.00", "EUR", "thank you"
        if what == "unknown":
            return reference, self.day, "7.00", "EUR", "PF-2031-000009"
        if what == "taken back":
            incoming = sorted(row for row in self.given.values() if row[1] > 0)
            if not incoming:
                return None
            _, amount, currency, remittance = incoming[which % len(incoming)]
            return reference, self.day, -amount, currency, remittance
        state = {"void": "void", "again": "paid"}.get(what, "open")
        cards = rows(_CARDS, state=state)
        return (reference, self.day, *_paying(what, cards, which, share)) if cards else None

    @precondition(lambda self: self.files)
    @rule(way=WAYS, which=st.integers(0, 50))
    def the_same_file_again(self, way: str | list[int], which: int) -> None:
        before = books()
        self._import(way, self.files[which % len(self.files)])
        assert books() == before

    @precondition(lambda self: any(row[4] == "credit" for row in self.before["allocations"]) or bool(rows(_UNASSIGNED)))
    @rule(
        what=st.sampled_from(["assign", "credit", "refund", "refund credit"]),
        which=st.integers(0, 50),
        share=st.integers(1, 120),
    )
    def an_operator_decides(self, what: str, which: int, share: int) -> None:
        before = books()
        cards = sorted(row[0] for row in before["cards"])
        waiting = rows(_UNASSIGNED)
        try:
            if what == "refund credit":
                operator.refund_credit(CUSTOMERS[which % 3], "EUR", Decimal(share), "OP")
            elif waiting:
                id_, rest = waiting[which % len(waiting)]
                part = None if share > 100 else max((rest * share / 100).quantize(Decimal("0.01")), Decimal("0.01"))
                if what == "assign" and cards:
                    operator.assign(id_, cards[share % len(cards)], part, "OP")
                elif what == "credit":
                    operator.credit(id_, CUSTOMERS[share % 3], "OP")
                elif what == "refund":
                    operator.refund(id_, part, "OP")
        except BadInput:
            assert books() == before, "what did not fit changed something"
        else:
            self.reached[what] += 1

    @rule(which=st.integers(0, 6), days=st.integers(1, 60), way=st.sampled_from(["once", "twice", [3], [6]]))
    def renewed_by_hand(self, which: int, days: int, way: str | list[int]) -> None:
        code = SUBSCRIPTIONS[1 + which][0]
        [(status, expires_on)] = [row[1:3] for row in books()["held"] if row[0] == code]
        if status == "deleted":
            with pytest.raises(BadInput, match="was deleted"):
                sweeping.record_renewal(code, expires_on + timedelta(days=days), self.day)
            return
        self.somehow(way, lambda: sweeping.record_renewal(code, expires_on + timedelta(days=days), self.day))
        self.terms += 1

    @rule(which=st.integers(0, 6), days=st.integers(-60, 60))
    def a_term_is_corrected(self, which: int, days: int) -> None:
        code = SUBSCRIPTIONS[1 + which][0]
        [(_, starts_on, expires_on)] = rows(
            """
            SELECT code, starts_on, expires_on FROM terms JOIN subscriptions ON subscriptions.id = subscription_id
            WHERE code = :code ORDER BY starts_on DESC, terms.recorded_at DESC LIMIT 1""",
            code=code,
        )
        corrected = max(starts_on, expires_on + timedelta(days=days))
        # An expiry that comes back is the same lapse, of which all is done already.
        if all(row[2] != corrected for row in self.before["terms"] if row[0] == code):
            self.bring(terms=[("subscription", "starts_on", "expires_on"), (code, starts_on, corrected)])

    @rule(
        product=st.sampled_from(["HOST", "MAIL", "SEO", "APP"]),
        price=st.sampled_from(["0.35", "9.99", "119.99", "200.00"]),
        policy=st.sampled_from(["service", "service", "custom"]),
        vat_rate=st.sampled_from(["22", "10", "0"]),
    )
    def a_product_changes(self, product: str, price: str, policy: str, vat_rate: str) -> None:
        row = self.products[product]
        row[2], row[4], row[6] = policy, price, vat_rate
        self.bring(products=[PRODUCTS[0], *map(tuple, self.products.values())])

    @rule(which=st.integers(0, 6), quantity=st.integers(1, 3))
    def a_quantity_changes(self, which: int, quantity: int) -> None:
        code, customer, product, starts_on, _ = SUBSCRIPTIONS[1 + which]
        [(expires_on,)] = rows(
            """
            SELECT expires_on FROM terms JOIN subscriptions ON subscriptions.id = subscription_id
            WHERE code = :code AND starts_on = anchor ORDER BY terms.recorded_at DESC LIMIT 1""",
            code=code,
        )
        row = (code, customer, product, starts_on, expires_on, quantity)
        self.bring(subscriptions=[(*SUBSCRIPTIONS[0], "quantity"), row])

    @rule(customer=st.sampled_from(CUSTOMERS))
    def an_address_is_lost_or_found(self, customer: str) -> None:
        self.known[customer] = not self.known[customer]
        self._addresses()

    def _addresses(self) -> None:
        lines = [
            (c, "company", f"Customer {c}", f"{c.lower()}@example.com" if k else "") for c, k in self.known.items()
        ]
        self.bring(customers=[("code", "kind", "name", "email"), *lines])

    @rule(what=st.permutations(["bill", "sweep", "pay", "deliver"]), which=st.integers(0, 50))
    def two_things_at_once(self, what: list[str], which: int) -> None:
        acts: dict[str, Callable[[], object]] = {
            "bill": lambda: self._billed(self.day, 1),
            "sweep": lambda: sweeping.sweep(self.day, 2),
            "deliver": sweeping.deliver_now,
        }
        entry = self._entry("exact", which, 1)
        if entry:
            file = (
                self.written(
                    {"payments": [("bank_reference", "received_on", "amount", "currency", "remittance"), entry]}
                )
                / "payments.csv"
            )
            self.given[entry[0]] = (entry[0], Decimal(str(entry[2])), entry[3], entry[4])
            moment, run_id = now(self.day), sweeping.started("payment-import", self.day)
            acts["pay"] = lambda: import_payments.fn(file, self.day, moment, run_id)
            what = ["pay", *(each for each in what if each != "pay")]
        with ThreadPoolExecutor(2) as threads:
            for done in [threads.submit(acts[each]) for each in what if each in acts][:2]:
                done.result()
        self.sent |= {row[0] for row in books()["messages"] if row[2] == "sent"}

    # -- what holds always -----------------------------------------------------------------------------------------

    @invariant()
    def checked(self) -> None:
        with transaction() as db:
            broken = claims.broken(db, self.cards_from, self.services_from)
        assert not broken, broken
        after = books()
        assert after["payments"] == set(self.given.values())
        assert len(rows("SELECT FROM terms")) == self.terms + len(after["renewals"])
        gone = {row[0] for row in self.before["held"] if row[1] == "deleted"}
        assert gone <= {row[0] for row in after["held"] if row[1] == "deleted"}
        assert not gone & {row[1] for row in after["renewals"] - self.before["renewals"]}
        assert self.before["terms"] <= after["terms"]
        for _, code, starts_on, expires_on in after["renewals"] - self.before["renewals"]:
            self._follows(code, starts_on, expires_on)
            self.reached["renewed"] += 1
        self.before = after

    def _follows(self, code: str, starts_on: date, expires_on: date) -> None:
        """The period that follows in the rhythm of the anchor, or, where that was left, of the last term."""
        [row] = [row for row in SUBSCRIPTIONS if row[0] == code]
        months = MONTHS[row[2]]
        starts = [
            row[0]
            for row in rows(
                """
                SELECT starts_on FROM terms JOIN subscriptions ON subscriptions.id = subscription_id
                WHERE code = :code AND starts_on < :starts_on ORDER BY starts_on DESC""",
                code=code,
                starts_on=starts_on,
            )
        ]
        for beginning in (date.fromisoformat(row[3]), starts[0]):
            grid = [months_later(beginning, n * months) for n in range(60)]
            if starts_on in grid:
                following = grid[grid.index(starts_on) + 1]
                break
        else:
            following = months_later(starts_on, months)
        assert expires_on == following - timedelta(days=1), (code, starts_on, expires_on)

    def teardown(self) -> None:
        try:
            if hasattr(self, "before"):
                self._left_in_peace()
                self._each_mail_once()
        finally:
            self.environment.undo()
            settings.cache_clear()

    def _left_in_peace(self) -> None:
        """Who does not pay is cut off in the end: nobody is forgotten."""
        self.known = dict.fromkeys(CUSTOMERS, True)
        self._addresses()
        self.time_passes(max(1, (FAR - self.day).days))
        last = self.day
        for _ in range(9):
            self.a_person_sees_to_what_failed()
            self.time_passes(4)
            self.weeks_go_by_as_they_should(1)
        for code, status, expires_on, _, policy, _ in books()["held"]:
            if policy == "service" and expires_on < last:
                assert status == "deleted", f"{code}, expired on {expires_on}, is {status} on {self.day}"
                self.reached["deleted in the end"] += 1

    def _each_mail_once(self) -> None:
        digests = {digest for (digest,) in rows("SELECT digest FROM card_revisions")}
        ids: Counter[str] = Counter()
        for path in (self.place / "mail" / "new").glob("*"):
            mail = message_from_bytes(path.read_bytes())
            ids[mail["Message-ID"]] += 1
            pdfs = [part for part in mail.walk() if part.get_content_type() == "application/pdf"]
            # A reminder of what was paid in part since has none: it would ask for more.
            assert len(pdfs) == 1 or mail["X-Lifecycle-Kind"] != "billing-card"
            for pdf in pdfs:
                document = pdf.get_payload(decode=True)
                assert isinstance(document, bytes)
                assert hashlib.sha256(document).hexdigest() in digests
        assert set(ids.values()) <= {1}


@pytest.mark.timeout(1800)
def test_whatever_happens_what_the_page_says_holds(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFECYCLE_ISSUER__IBAN", "IT60X0542811101000000123456")
    monkeypatch.setattr(operator, "datetime", Clock)
    inbox = Choosy()
    reached: Counter[str] = Counter()
    with sweeping.mortal(), mail_server(inbox) as port:
        machine = type("Hosting", (History,), {"home": home, "server": (inbox, port), "reached": reached})
        run_state_machine_as_test(
            machine,
            settings=hypothesis_settings(
                max_examples=HISTORIES,
                stateful_step_count=STEPS,
                deadline=None,
                report_multiple_bugs=False,
                database=None,
                suppress_health_check=list(HealthCheck),
                phases=[Phase.explicit, Phase.reuse, Phase.generate],
            ),
        )
    missed = {"suspended", "deleted", "renewed", "paid in full", "billing-card", "card-reminder", "imported before"}
    assert not missed - set(reached)
