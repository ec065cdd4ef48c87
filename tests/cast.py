"""The people tests are about, written straight into the tables."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

from pyotp import TOTP, random_base32
from sqlalchemy import Connection, insert, select, text

from lifecycle.persistence import operators, outbox, runs, tables
from lifecycle.persistence.outbox import Body, Message
from lifecycle.persistence.subscription_status import GIVEN, Learned, refresh
from lifecycle.rules.calendar import add_months
from lifecycle.rules.outbox import State
from lifecycle.rules.provisioning import Calls

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
LIVE = Calls(State.QUEUED, State.QUEUED)
IBAN = "IT60X0542811101000000123456"
"""Made up, as in everybody's examples; its check digits are right."""
OPERATOR_SECRET = "a secret for one-time codes, only in tests"
"""For LIFECYCLE_OPERATOR_SECRET."""
UNLOCKED = "SET LOCAL session_replication_role = replica"
"""Before emptying tables: what is append-only is so for everybody else."""


def reseller(
    db: Connection, code: str, *, locale: str | None = "en", email: str | None = "reseller@example.com"
) -> int:
    statement = insert(tables.resellers).values(code=code, name=f"Reseller {code}", email=email, locale=locale)
    return _id(db, statement.returning(tables.resellers.c.id))


def reports(
    db: Connection, keys: Sequence[str], run_id: UUID, day: date, body: Body | None, to: str = "r@example.com"
) -> list[str]:
    """Queue reports to one reseller; without a body, withheld ones. Returns the keys that were new."""
    id_ = db.execute(text("SELECT id FROM resellers WHERE code = 'TO'")).scalar() or reseller(db, "TO")
    messages = [
        Message(key, "reseller-report", to, "R", day, run_id, body, withheld=body is None, reseller_id=id_)
        for key in keys
    ]
    return outbox.queue(db, messages)


def customer(db: Connection, code: str) -> int:
    statement = insert(tables.customers).values(code=code, kind="company", name=f"Customer {code}")
    return _id(db, statement.returning(tables.customers.c.id))


def operator(db: Connection, code: str, *, administrator: bool = True) -> int:
    statement = insert(tables.operators).values(
        code=code, name=f"Operator {code}", email=f"{code.lower()}@example.com", administrator=administrator
    )
    return _id(db, statement.returning(tables.operators.c.id))


def enrolled(db: Connection, code: str) -> str:
    """Enrol an operator under OPERATOR_SECRET. Returns what its codes are made from."""
    codes_secret = random_base32()
    assert operators.enrol(db, code, operators.sealed(codes_secret, code, OPERATOR_SECRET), LONG_AGO)
    return codes_secret


def one_time_code(codes_secret: str, moment: datetime) -> str:
    """What the operator's app shows then."""
    return TOTP(codes_secret).at(moment)


def consent_type(db: Connection, code: str, allows: str = "bulk", valid_days: int | None = None) -> int:
    """One that allows the channels named in `allows`."""
    channels = {f"allows_{channel}": channel in allows.split() for channel in ("bulk", "single", "contact")}
    statement = insert(tables.consent_types).values(code=code, title=f"Type {code}", valid_days=valid_days, **channels)
    return _id(db, statement.returning(tables.consent_types.c.id))


def product(
    db: Connection, code: str = "CLOUD", policy: str = "licence", *, period_months: int = 12, price: str = "120"
) -> int:
    statement = insert(tables.products).values(
        code=code,
        name=f"Product {code}",
        policy=policy,
        period_months=period_months,
        price=Decimal(price),
        currency="EUR",
        vat_rate=Decimal(22),
    )
    return _id(db, statement.returning(tables.products.c.id))


def subscription(db: Connection, code: str, customer: int, product: int) -> int:
    statement = insert(tables.subscriptions).values(
        code=code,
        customer_id=customer,
        product_id=product,
        anchor=date(2018, 1, 1),
        quantity=1,
        auto_renew=False,
        charge_method="transfer",
    )
    return _id(db, statement.returning(tables.subscriptions.c.id))


def term(
    db: Connection,
    subscription: int,
    expires_on: date,
    *,
    starts_on: date = date(2018, 1, 1),
    known: datetime = LONG_AGO,
) -> None:
    db.execute(
        insert(tables.terms).values(
            subscription_id=subscription, starts_on=starts_on, expires_on=expires_on, recorded_at=known
        )
    )


def association(
    db: Connection,
    customer: int,
    reseller: int,
    from_on: date = date(2018, 1, 1),
    until_on: date | None = None,
    *,
    known: datetime = LONG_AGO,
) -> None:
    db.execute(
        insert(tables.associations).values(
            customer_id=customer, reseller_id=reseller, from_on=from_on, until_on=until_on, recorded_at=known
        )
    )


def card_on(
    db: Connection, subscriptions: Sequence[int], mailed_on: date, *, serial: int = 1, state: State | None = State.SENT
) -> int:
    """An open card of 10.00 a line for these services' present expiries, and its mail in that state; None: no mail."""
    run = uuid4()
    db.execute(insert(tables.runs).values(id=run, flow="billing-card-run", business_date=mailed_on, dry_run=False))
    asked = {"those": list(subscriptions), "run": run, "day": mailed_on, "number": f"PF-{mailed_on.year}-{serial:06}"}
    card: int = db.execute(
        text("""
        INSERT INTO cards (number, customer_id, currency, state, trial, revision, total, issued_on, due_on, revised_on,
            mailed_revision, run_id)
        SELECT :number, min(customer_id), 'EUR', 'open', false, 1, 10 * count(*), :day, min(expires_on), :day, 1, :run
        FROM subscription_status JOIN subscriptions ON id = subscription_id WHERE id = ANY(:those) RETURNING id"""),
        asked,
    ).scalar_one()
    db.execute(
        text("""
        WITH carded AS (
            UPDATE subscription_status SET to_card = NULL WHERE subscription_id = ANY(:those)
            RETURNING subscription_id, expires_on
        )
        INSERT INTO card_lines (card_id, revision, subscription_id, expires_on, starts_on, ends_on, quantity,
            unit_price, vat_rate, payable)
        SELECT :card, 1, subscription_id, expires_on, expires_on + 1, expires_on + 365, 1, 10, 0, true FROM carded"""),
        asked | {"card": card},
    )
    db.execute(
        text("""
        INSERT INTO messages (
            key, kind, state, recipient, recipient_name, customer_id, business_date, run_id, motive, basis, asked_on)
        SELECT 'billing-card/' || number || '/1', 'billing-card', :state, 'c@example.com', '', customer_id, :day, :run,
            'contract', 'duty', :day
        FROM cards WHERE id = :card AND cast(:state AS text) IS NOT NULL"""),
        asked | {"card": card, "state": state},
    )
    return card


def mandate(
    db: Connection,
    customer: int,
    code: str = "M1",
    *,
    kind: str = "sepa",
    signed_on: date | None = date(2018, 1, 1),
    ended_on: date | None = None,
) -> int:
    """A mandate for SEPA direct debit of an account in the customer's own name, or a card."""
    statement = insert(tables.mandates).values(
        code=code,
        customer_id=customer,
        kind=kind,
        iban=IBAN if kind == "sepa" else None,
        token=f"tok_{code}" if kind == "card" else None,
        signed_on=signed_on,
        ended_on=ended_on,
    )
    return _id(db, statement.returning(tables.mandates.c.id))


def membership(
    db: Connection,
    customer: int,
    code: str = "M1",
    *,
    starts_on: date = date(2026, 1, 1),
    monthly: bool = True,
    terms: int = 1,
    charge_method: str = "sepa",
    mandate: int | None = None,
    product_id: int | None = None,
    known: datetime = LONG_AGO,
) -> int:
    """A membership with so many terms from `starts_on`, and where it stands; instalments are for you to add.

    Monthly, of MEM-MONTH, 12.20 EUR a month with VAT, and renewed; or else of MEM-YEAR, not renewed, for a year.
    """
    months, price = (1, "10") if monthly else (12, "120")
    name = "MEM-MONTH" if monthly else "MEM-YEAR"
    held = product_id or db.execute(select(tables.products.c.id).where(tables.products.c.code == name)).scalar()
    statement = insert(tables.subscriptions).values(
        code=code,
        customer_id=customer,
        product_id=held or product(db, name, "membership", period_months=months, price=price),
        anchor=starts_on,
        quantity=1,
        auto_renew=monthly,
        charge_method=charge_method,
        mandate_id=mandate,
    )
    made = _id(db, statement.returning(tables.subscriptions.c.id))
    starts = [add_months(starts_on, months * number) for number in range(terms + 1)]
    for first, next_ in pairwise(starts):
        term(db, made, next_ - timedelta(days=1), starts_on=first, known=known)
    refresh(db, GIVEN, Learned(known.date(), known, None, LIVE), [made])
    return made


def instalment(
    db: Connection,
    subscription: int,
    due_on: date,
    amount: str = "12.20",
    status: str = "due",
    *,
    currency: str = "EUR",
    known: datetime = LONG_AGO,
) -> int:
    statement = insert(tables.instalments).values(
        subscription_id=subscription,
        due_on=due_on,
        amount=Decimal(amount),
        currency=currency,
        status=status,
        recorded_at=known,
    )
    return _id(db, statement.returning(tables.instalments.c.id))


def plan(db: Connection, customer: int, code: str = "P1", *, starts_on: date = date(2026, 1, 1), **options: Any) -> int:
    """A year's membership paid in twelve instalments of 12.20, all due, on the first day of each month of it."""
    made = membership(db, customer, code, starts_on=starts_on, monthly=False, **options)
    for number in range(12):
        instalment(db, made, add_months(starts_on, number))
    return made


def action_type(
    db: Connection, code: str = "WITHDRAWN", base_type: str = "withdrawal", *, in_agenda: bool = False
) -> None:
    db.execute(
        insert(tables.action_types).values(code=code, title=f"Type {code}", base_type=base_type, in_agenda=in_agenda)
    )


def crm_action(
    db: Connection,
    customer: int,
    action_type: str,
    on: date,
    *,
    operator: str = "anna",
    assigned_to: str | None = None,
    note: str | None = "as agreed",
    known: datetime = LONG_AGO,
) -> int:
    statement = insert(tables.crm_actions).values(
        customer_id=customer,
        action_type=action_type,
        operator=operator,
        assigned_to=assigned_to,
        note=note,
        business_date=on,
        recorded_at=known,
    )
    return _id(db, statement.returning(tables.crm_actions.c.id))


def withdrawal(
    db: Connection,
    customer: int,
    memberships: Sequence[int],
    last_day: date,
    *,
    action_type: str = "WITHDRAWN",
    done_at: datetime = datetime(2026, 1, 20, 9, tzinfo=UTC),
) -> UUID:
    """A withdrawal that is done, in the CRM history, and the terms that it cut. Instalments are as they were."""
    run, id_, on = uuid4(), uuid4(), done_at.date()
    runs.start(db, run, "membership-withdrawal", on, dry_run=False, prefect_id=None)
    db.execute(
        insert(tables.withdrawals).values(
            id=id_,
            customer_id=customer,
            withdrawn_on=last_day,
            action_type=action_type,
            operator="anna",
            state="done",
            requested_at=done_at,
            done_at=done_at,
            crm_action_id=crm_action(db, customer, action_type, on, known=done_at),
            business_date=on,
            run_id=run,
        )
    )
    db.execute(_WITHDRAW, {"id": id_, "those": list(memberships)})
    db.execute(_CUT, {"day": last_day, "those": list(memberships), "known": done_at})
    refresh(db, GIVEN, Learned(on, done_at, run, LIVE), memberships)
    return id_


_WITHDRAW = text("""
INSERT INTO withdrawn_memberships (
    subscription_id, withdrawal_id, former_expires_on, currency, owed, removed, to_be_refunded)
SELECT subscription_id, :id, expires_on, 'EUR', 0, 0, 0 FROM subscription_status WHERE subscription_id = ANY(:those)""")

_CUT = text("""
INSERT INTO terms (subscription_id, starts_on, expires_on, recorded_at)
SELECT subscription_id, starts_on, :day, :known FROM (
    SELECT DISTINCT ON (subscription_id, starts_on) * FROM terms WHERE subscription_id = ANY(:those)
    ORDER BY subscription_id, starts_on, recorded_at DESC
) AS term WHERE expires_on > :day""")


def transition(db: Connection, subscription: int, to_status: str, on: date) -> None:
    term = select(tables.terms.c.id).where(tables.terms.c.subscription_id == subscription).limit(1)
    db.execute(
        insert(tables.transitions).values(
            subscription_id=subscription,
            term_id=term.scalar_subquery(),
            to_status=to_status,
            rule=f"{to_status} {on}",
            business_date=on,
        )
    )


def card(
    db: Connection,
    number: str,
    customer: int,
    subscriptions: Sequence[int],
    *,
    total: str = "122.00",
    issued_on: date = date(2026, 11, 1),
    due_on: date = date(2026, 11, 30),
    closed_on: date | None = None,
    currency: str = "EUR",
    trial: bool = False,
) -> int:
    """A card in its first revision, open unless it was closed."""
    run_id = uuid4()
    runs.start(db, run_id, "billing-card-run", issued_on, dry_run=False, prefect_id=None)
    statement = insert(tables.cards).values(
        number=number,
        customer_id=customer,
        currency=currency,
        state="void" if closed_on else "open",
        trial=trial,
        revision=1,
        total=Decimal(total),
        issued_on=issued_on,
        due_on=due_on,
        revised_on=issued_on,
        closed_on=closed_on,
        run_id=run_id,
    )
    made = _id(db, statement.returning(tables.cards.c.id))
    revision(db, made, 1, subscriptions, total=total, made_on=issued_on, due_on=due_on, trial=trial)
    return made


def revision(
    db: Connection,
    card: int,
    number: int,
    subscriptions: Sequence[int],
    *,
    total: str,
    made_on: date,
    due_on: date = date(2026, 11, 30),
    trial: bool = False,
) -> None:
    """One revision of a card, with a line for each of `subscriptions`."""
    run_id = select(tables.cards.c.run_id).where(tables.cards.c.id == card).scalar_subquery()
    db.execute(
        insert(tables.card_revisions).values(
            card_id=card,
            revision=number,
            made_on=made_on,
            total=Decimal(total),
            paid=0,
            trial=trial,
            shows_vat=True,
            document=b"",
            digest="",
            run_id=run_id,
        )
    )
    for subscription in subscriptions:
        db.execute(
            insert(tables.card_lines).values(
                card_id=card,
                revision=number,
                subscription_id=subscription,
                expires_on=due_on,
                starts_on=date(2026, 12, 1),
                ends_on=date(2027, 11, 30),
                quantity=1,
                unit_price=Decimal(100),
                vat_rate=Decimal(22),
                payable=False,
            )
        )


def payment(db: Connection, bank_reference: str, amount: str, on: date, *, currency: str = "EUR") -> int:
    statement = insert(tables.payments).values(
        bank_reference=bank_reference,
        received_on=on,
        amount=Decimal(amount),
        currency=currency,
        remittance="from Paula Payer",
        payer="Paula Payer",
        business_date=on,
    )
    return _id(db, statement.returning(tables.payments.c.id))


def allocation(
    db: Connection,
    amount: str,
    on: date,
    *,
    payment: int | None = None,
    card: int | None = None,
    customer: int | None = None,
    currency: str = "EUR",
) -> None:
    """Money that went onto `card`; without one, to the credit of `customer`."""
    db.execute(
        insert(tables.allocations).values(
            payment_id=payment,
            customer_id=customer,
            card_id=card,
            purpose="card" if card else "credit",
            amount=Decimal(amount),
            currency=currency,
            rule="test",
            business_date=on,
        )
    )


def _id(db: Connection, statement: object) -> int:
    found: int = db.execute(statement).scalar_one()  # type: ignore[call-overload]
    return found
