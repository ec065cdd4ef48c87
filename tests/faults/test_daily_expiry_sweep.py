"""A year of sweeps under kills, double runs, left out days and renewals ends as the product page's words say."""

import csv
import os
import random
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, timedelta
from email import message_from_bytes
from itertools import count, groupby
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from deployments import sample
from lifecycle.persistence.database import transaction
from lifecycle.settings import settings
from tasks.delivery import look
from tasks.import_records import import_files
from tests import sweeping
from tests.receiver import LOST_AFTER, LOST_BEFORE, SECRET, Answer, Receiver, receiver
from tests.replay import Address, Delivery, Event, House, Licence, Renewal, Sweep, months_later, token

LICENCES = int(os.environ.get("LIFECYCLE_TEST_LICENCES", "110"))
"""How many are generated beside the sample. 100,000 is the full measure: run it alone, and lift the timeout."""

FIRST, DAYS = date(2019, 12, 1), 366
DOWN_FROM, DOWN_DAYS = date(2020, 6, 5), 100
"""Longer than from one milestone to the other."""
KILLED = -9
HOUSE = House(notices_from=date(2020, 1, 20), access_from=date(2020, 3, 31))


@pytest.fixture
def provisioned(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """An installation with a provisioning system, whose streams go live one after the other in the middle."""
    with receiver() as system, sweeping.mortal():
        monkeypatch.setenv("LIFECYCLE_PROVISIONING_URL", system.url)
        monkeypatch.setenv("LIFECYCLE_PROVISIONING_SECRET", SECRET)
        monkeypatch.setenv("LIFECYCLE_GO_LIVE__CUSTOMER_NOTICE", str(HOUSE.notices_from))
        monkeypatch.setenv("LIFECYCLE_GO_LIVE__ACCESS_CHANGE", str(HOUSE.access_from))
        settings.cache_clear()
        yield system


def write_generated(folder: Path, chance: random.Random) -> None:
    """Licences that lapse in the year or have lapsed in the months before it, up to three for each customer."""
    customers: dict[str, tuple[object, ...]] = {}
    subscriptions: list[tuple[object, ...]] = []
    for number in range(LICENCES):
        customer = f"G{number * chance.randrange(2, 4) // 3}"
        email = "" if chance.random() < 0.03 else f"{customer.lower()}@example.com"
        customers.setdefault(customer, (customer, "company", f"Customer {customer}", email, "en"))
        expires_on = FIRST + timedelta(days=chance.randrange(-250, 300))
        subscriptions.append((f"LG{number}", customer, "P", expires_on - timedelta(days=364), expires_on))
    product = ("P", "Office", "licence", 12, "240.00", "EUR", "22")
    rows: dict[str, list[tuple[object, ...]]] = {
        "products": [("code", "name", "policy", "period_months", "price", "currency", "vat_rate"), product],
        "customers": [("code", "kind", "name", "email", "locale"), *customers.values()],
        "subscriptions": [("code", "customer", "product", "starts_on", "expires_on"), *subscriptions],
    }
    written(folder, rows)


def written(folder: Path, rows: Mapping[str, Sequence[tuple[object, ...]]]) -> Path:
    folder.mkdir()
    for name, lines in rows.items():
        with (folder / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows(lines)
    return folder


def licences() -> dict[str, Licence]:
    """All licences, with the expiry that the page's words give."""
    with transaction() as db:
        rows = db.execute(
            text("""
            SELECT subscriptions.code, customers.code, starts_on, terms.recorded_at, expires_on, email
            FROM terms JOIN subscriptions ON subscriptions.id = subscription_id
            JOIN customers ON customers.id = customer_id JOIN products ON products.id = product_id
            WHERE policy = 'licence'""")
        ).all()
    last = {code: row for code, *row in sorted(map(tuple, rows))}
    return {code: Licence(code, row[0], row[3], bool(row[4])) for code, row in last.items()}


@dataclass
class Script:
    """What happens to customers and licences in the mornings and evenings of a year."""

    mornings: dict[date, list[Event]] = field(default_factory=lambda: defaultdict(list))
    evenings: dict[date, list[Event]] = field(default_factory=lambda: defaultdict(list))


def script(business: dict[str, Licence], chance: random.Random) -> Script:
    happens = Script()
    for licence in business.values():
        day, expires_on = FIRST, licence.expires_on
        for _ in range(chance.choice((0, 0, 1, 1, 2, 3))):
            milestones = [months_later(expires_on, months) for months in (3, 6)]
            near = [milestone + timedelta(days=days) for milestone in milestones for days in (0, 1, 2, 31, 45)]
            renewed_on = chance.choice([*near, expires_on, expires_on + timedelta(days=chance.randrange(-30, 300))])
            if not day < renewed_on < FIRST + timedelta(days=DAYS):
                continue
            day, expires_on = renewed_on, months_later(expires_on, chance.choice((1, 3, 6, 12)))
            half = chance.choice((happens.mornings, happens.evenings))
            half[day].append(Renewal(licence.code, day, expires_on))
    for customer, theirs in groupby(sorted(business.values(), key=lambda one: one.customer), lambda one: one.customer):
        if not next(theirs).has_address and chance.random() < 0.7:
            happens.mornings[_fortnight(chance)].append(Address(customer, known=True))
        elif chance.random() < 0.02:
            lost, found = sorted((_fortnight(chance), _fortnight(chance)))
            happens.mornings[lost].append(Address(customer, known=False))
            if lost < found:
                happens.mornings[found].append(Address(customer, known=True))
    return happens


def _fortnight(chance: random.Random) -> date:
    """Addresses are imported every two weeks."""
    return FIRST + timedelta(days=chance.randrange(0, DAYS, 14))


class Year:
    """Plays the year, and keeps what happened in the order in which it did."""

    def __init__(self, home: Path, system: Receiver, business: dict[str, Licence], chance: random.Random) -> None:
        self.happened: list[Event] = []
        self._home = home
        self._system = system
        self._chance = chance
        self._expires_on = {licence.code: licence.expires_on for licence in business.values()}
        self._numbers = count()

    def play(self, happens: Script) -> None:
        for day in (FIRST + timedelta(days=days) for days in range(DAYS)):
            self._live(happens.mornings[day], day)
            if not DOWN_FROM <= day < DOWN_FROM + timedelta(days=DOWN_DAYS) and self._chance.random() < 0.9:
                self._sweep(day)
                if self._chance.random() < 0.1:
                    self._deliver()
                    self._sweep(day - timedelta(days=self._chance.randrange(1, 60)))
                if self._chance.random() < 0.6:
                    self._deliver()
            self._live(happens.evenings[day], day)
        self._deliver()

    def _sweep(self, day: date) -> None:
        self._somehow(lambda: sweeping.sweep(day))
        self.happened.append(Sweep(day))

    def _deliver(self) -> None:
        if self._chance.random() < 0.2:
            self._system.script.extend(self._chance.choices((LOST_BEFORE, LOST_AFTER, Answer(503)), k=2))
        self._somehow(sweeping.deliver_now)
        while look.fn():
            sweeping.deliver_now()
        self.happened.append(Delivery())

    def _live(self, events: list[Event], day: date) -> None:
        renewals = [event for event in events if isinstance(event, Renewal)]
        if self._chance.random() < 0.05:
            self._somehow(lambda: self._import_renewals(renewals, day))
        else:
            for one in renewals:
                self._somehow(lambda one=one: sweeping.record_renewal(one.licence, one.expires_on, one.day))  # type: ignore[misc]
        self._expires_on |= {one.licence: one.expires_on for one in renewals}
        self._import_addresses([event for event in events if isinstance(event, Address)], day)
        self.happened += events

    def _somehow(self, act: Callable[[], object]) -> None:
        """Once, twice, twice at once, or killed up to three times before it is left in peace."""
        way = self._chance.random()
        if way < 0.1:
            act()
        elif way < 0.2:
            with ThreadPoolExecutor(2) as threads:
                for done in [threads.submit(act), threads.submit(act)]:
                    done.result()
            return
        elif way < 0.5:
            for _ in range(self._chance.randrange(1, 4)):
                with sweeping.dying_after(self._chance.randrange(20)):
                    act()
        act()

    def _import_renewals(self, renewals: list[Renewal], day: date) -> None:
        header: tuple[object, ...] = ("subscription", "starts_on", "expires_on")
        rows = [(r.licence, self._expires_on[r.licence] + timedelta(days=1), r.expires_on) for r in renewals]
        if rows:
            self._import({"terms": [header, *rows]}, day)

    def _import_addresses(self, addresses: list[Address], day: date) -> None:
        header: tuple[object, ...] = ("code", "kind", "name", "email")
        rows = [
            (a.customer, "company", f"Customer {a.customer}", f"{a.customer.lower()}@example.com" if a.known else "")
            for a in addresses
        ]
        if rows:
            self._import({"customers": [header, *rows]}, day)

    def _import(self, files: Mapping[str, Sequence[tuple[object, ...]]], day: date) -> None:
        folder = written(self._home / f"import-{next(self._numbers)}", files)
        import_files.fn(folder, sweeping.at(day, 12), dry_run=False)


def mails(home: Path) -> Counter[tuple[str, str]]:
    """The notices in the mail folder: kind and the token of the Message-ID."""
    found: Counter[tuple[str, str]] = Counter()
    for path in (home / "mail" / "new").iterdir():
        mail = message_from_bytes(path.read_bytes())
        found[mail["X-Lifecycle-Kind"], mail["Message-ID"].strip("<>").partition("@")[0]] += 1
    return found


def transitions() -> dict[str, list[tuple[str, str, date]]]:
    with transaction() as db:
        rows = db.execute(
            text("""
            SELECT code, to_status, rule, business_date
            FROM transitions JOIN subscriptions ON subscriptions.id = subscription_id ORDER BY transitions.id""")
        )
        return _by_first(rows)


def calls(system: Receiver) -> dict[str, list[tuple[str, str, date]]]:
    """The changes that the other system made, as the transitions that cause them, in its order."""
    words = {"access.disabled": "disabled", "access.enabled": "active"}
    return _by_first(
        (data["subscription"], words[change["type"]], data["rule"], date.fromisoformat(data["business_date"]))
        for change in system.changes
        for data in [change["data"]]
    )


def _by_first(rows: Any) -> dict[str, list[tuple[str, str, date]]]:
    found = defaultdict(list)
    for first, *rest in rows:
        found[first].append(tuple(rest))
    return dict(found)


def assert_as_the_page_says(
    home: Path, system: Receiver, business: dict[str, Licence], events: list[Event], house: House = HOUSE
) -> None:
    own: dict[str, list[tuple[int, Event]]] = defaultdict(list)
    shared: list[tuple[int, Event]] = []
    for place, event in enumerate(events):
        match event:
            case Renewal(code):
                own[code].append((place, event))
            case Address(customer):
                own["of " + customer].append((place, event))
            case _:
                shared.append((place, event))
    for licence in business.values():
        mine = sorted([*shared, *own[licence.code], *own["of " + licence.customer]], key=lambda one: one[0])
        licence.live_through((event for _, event in mine), house)
    expected = {licence.code: licence.transitions for licence in business.values() if licence.transitions}
    assert transitions() == expected
    assert calls(system) == expected
    assert mails(home) == Counter(
        (kind, token(kind, licence.code, expires_on))
        for licence in business.values()
        for kind, expires_on in licence.mails
    )
    with transaction() as db:
        disabled = set(
            db.execute(
                text("""
                SELECT code FROM subscription_status JOIN subscriptions ON subscriptions.id = subscription_id
                WHERE status = 'disabled'""")
            ).scalars()
        )
    assert disabled == {licence.code for licence in business.values() if licence.disabled}
    assert_each_month_is_charged_once(max(event.day for event in events if isinstance(event, Sweep)))


def assert_each_month_is_charged_once(swept: date) -> None:
    """Every membership has term after term up to the day, without a gap, and an instalment for each but the first."""
    with transaction() as db:
        rows = db.execute(
            text("""
            SELECT subscriptions.code, starts_on, expires_on, instalments.due_on
            FROM terms JOIN subscriptions ON subscriptions.id = subscription_id
            JOIN products ON products.id = product_id AND policy = 'membership'
            FULL JOIN instalments ON instalments.subscription_id = subscriptions.id AND instalments.due_on = starts_on
            ORDER BY subscriptions.code, starts_on""")
        ).all()
    memberships = [list(terms) for _, terms in groupby(rows, lambda row: row.code)]
    assert len(memberships) > 5
    for first, *others in memberships:
        assert first.due_on is None
        for former, term in zip([first, *others], others, strict=False):
            assert term.starts_on == term.due_on == former.expires_on + timedelta(days=1)
            assert 28 <= (term.expires_on - former.expires_on).days <= 31
        assert others[-1].starts_on <= swept <= others[-1].expires_on


@pytest.mark.timeout(1200)
def test_a_year_ends_as_the_page_says_whatever_happened_on_the_way(home: Path, provisioned: Receiver) -> None:
    chance = random.Random(2019)
    sample.write_business(home / "sample")
    write_generated(home / "generated", chance)
    for folder in ("sample", "generated"):
        import_files.fn(home / folder, sweeping.at(FIRST), dry_run=False)
    business = licences()
    year = Year(home, provisioned, business, chance)
    year.play(script(business, chance))
    assert_as_the_page_says(home, provisioned, business, year.happened)


# The same in processes of their own, which are really killed

SWEEP = ("run", "daily-expiry-sweep", "--business_date")
WARNED_ON, ENDS_ON = date(2019, 12, 5), date(2020, 1, 4)


@pytest.fixture
def warned(home: Path, bare_prefect: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Licence]:
    """The sample business, warned 30 days before many lose their access."""
    monkeypatch.setenv("LIFECYCLE_BRAKE__COUNT", "1000")
    settings.cache_clear()
    sample.write_business(home / "sample")
    import_files.fn(home / "sample", sweeping.at(WARNED_ON), dry_run=False)
    business = licences()
    sweeping.sweep(WARNED_ON)
    sweeping.deliver_now()
    return business


def start(dies_at: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.faults.killed", str(dies_at), *SWEEP, str(ENDS_ON)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> int:
    """The number of places at which it could have been killed; 0 if it was."""
    _, err = process.communicate(timeout=240)
    assert process.returncode in {0, KILLED}, err
    places = re.findall(r"places: (\d+)", err)
    return int(places[-1]) if places else 0


def assert_swept_once(home: Path, system: Receiver, business: dict[str, Licence]) -> None:
    events: list[Event] = [Sweep(WARNED_ON), Delivery(), Sweep(ENDS_ON), Delivery()]
    assert_as_the_page_says(home, system, business, events, House())
    assert sum(licence.disabled for licence in business.values()) > 100


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiver() as system:
        monkeypatch.setenv("LIFECYCLE_PROVISIONING_URL", system.url)
        monkeypatch.setenv("LIFECYCLE_PROVISIONING_SECRET", SECRET)
        yield system


def test_a_sweep_killed_and_run_again_ends_as_one(system: Receiver, warned: dict[str, Licence], home: Path) -> None:
    """Really killed, on its way; the tests of the tasks kill at every statement."""
    assert not finish(start(dies_at=60))
    assert finish(start())
    assert_swept_once(home, system, warned)


def test_two_sweeps_at_once_act_as_one(system: Receiver, warned: dict[str, Licence], home: Path) -> None:
    for process in [start(), start()]:
        finish(process)
    sweeping.deliver_now()
    assert_swept_once(home, system, warned)
