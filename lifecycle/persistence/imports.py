"""Import: rows go into temporary tables by COPY; all that follows is done by statements over whole tables.

In one transaction: `stage`, `copy` each file, `check`, and `record` if nothing was found. What is equal is not written
at all, and facts are only ever added: an import can be repeated, and what was known at a moment stays as it was.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from psycopg import sql
from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Date,
    Integer,
    MetaData,
    Select,
    Subquery,
    Table,
    Text,
    UpdateBase,
    and_,
    case,
    cast,
    delete,
    exists,
    func,
    insert,
    literal,
    not_,
    null,
    or_,
    select,
    text,
    true,
    union,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from lifecycle.persistence import erasure, turns
from lifecycle.persistence.subscription_status import IMPORTED, Learned, follow_policies, refresh
from lifecycle.persistence.tables import (
    Instant,
    Money,
    action_types,
    appointments,
    associations,
    consent_types,
    consents,
    contacts,
    crm_actions,
    customers,
    instalments,
    mandates,
    motives,
    objections,
    operators,
    products,
    resellers,
    subscription_status,
    subscriptions,
    terms,
)
from lifecycle.rules import records
from lifecycle.rules.calendar import SINCE_EVER
from lifecycle.rules.contact import CONTRACT
from lifecycle.rules.findings import Finding, Findings
from lifecycle.rules.provisioning import Calls
from lifecycle.rules.records import Block, File, shown
from lifecycle.rules.subscriptions import ChargeMethod, Policy

Counts = Counter[str]
_Columns = ReadOnlyColumnCollection[str, Any]
Staging = Mapping[str, Table]
"""The temporary tables by the name of their file; there is one for every file, given or not."""

_TYPES: dict[str, Any] = {
    "created_on": Date,
    "starts_on": Date,
    "expires_on": Date,
    "from_on": Date,
    "until_on": Date,
    "recorded_at": Instant,
    "period_months": Integer,
    "quantity": Integer,
    "price": Money,
    "unit_price": Money,
    "vat_rate": products.c.vat_rate.type,
    "auto_renew": Boolean,
    "valid_days": Integer,
    "allows_bulk": Boolean,
    "allows_single": Boolean,
    "allows_contact": Boolean,
    "duty": Boolean,
    "granted_on": Date,
    "withdrawn_on": Date,
    "objected_on": Date,
    "starts_at": Instant,
    "administrator": Boolean,
    "signed_on": Date,
    "due_on": Date,
    "amount": Money,
    "in_agenda": Boolean,
}
_MASTER = {
    table.name: table
    for table in (
        resellers,
        customers,
        products,
        mandates,
        subscriptions,
        consent_types,
        motives,
        appointments,
        operators,
        action_types,
    )
}
_REFERENCES = (
    ("customers", "reseller", resellers),
    ("associations", "reseller", resellers),
    ("associations", "customer", customers),
    ("subscriptions", "customer", customers),
    ("subscriptions", "product", products),
    ("subscriptions", "mandate", mandates),
    ("terms", "subscription", subscriptions),
    ("mandates", "customer", customers),
    ("instalments", "subscription", subscriptions),
    ("consents", "customer", customers),
    ("consents", "consent_type", consent_types),
    ("objections", "customer", customers),
    ("appointments", "customer", customers),
)
# What belongs to one belongs to it for ever.
_OWNERS = (
    ("subscriptions", "customer", customers, "what is sold anew is a new subscription"),
    ("subscriptions", "product", products, "what is sold anew is a new subscription"),
    ("appointments", "customer", customers, "what is agreed with another is a new appointment"),
    ("mandates", "customer", customers, "what another gives is a new mandate"),
)
_OF_SUBSCRIPTIONS = tuple((name, column) for name, column, target in _REFERENCES if target is subscriptions)
_OF_CUSTOMERS = (
    ("customers", "code"),
    *((name, column) for name, column, target in _REFERENCES if target is customers),
)
_PERIODS = (
    ("associations", "from_on", "until_on"),
    ("subscriptions", "starts_on", "expires_on"),
    ("terms", "starts_on", "expires_on"),
    ("consents", "granted_on", "withdrawn_on"),
)
# Columns that follow one of the file which has another name.
_FOLLOWS = {"imported_reseller_id": "code", "mandate_id": "mandate"}
# Findings are few or far too many: they are fetched as they are kept.
_STREAMED = {"yield_per": 1_000}
# Fewer new rows do not change a plan.
_ANALYZE_FROM = 1_000


def stage(db: Connection, files: Iterable[File]) -> Staging:
    """Wait for other imports, and erasures, to end; then make empty temporary tables, for this transaction."""
    db.execute(select(func.pg_advisory_xact_lock(turns.IMPORT)))
    erasure.keep_out(db)
    db.execute(text("SET LOCAL work_mem = '64MB'"))
    return {
        file.name: _temporary(db, file.name, Column("line", Integer), *map(_staged_column, file.columns))
        for file in files
    }


def _staged_column(column: records.Column) -> Column[Any]:
    return Column(column.name, _TYPES.get(column.name, Text), server_default=column.empty)


def _temporary(db: Connection, name: str, *columns: Column[Any]) -> Table:
    table = Table(f"import_{name}", MetaData(), *columns, prefixes=["TEMPORARY"], postgresql_on_commit="DROP")
    table.create(db)
    return table


def copy(db: Connection, staged: Table, blocks: Iterator[Block]) -> set[str]:
    """Stage a file's blocks, of which the first is its header's. Returns the columns that the file gives."""
    given = list(next(blocks).values)
    if given:
        statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(
            sql.Identifier(staged.name), sql.SQL(", ").join(map(sql.Identifier, ["line", *given]))
        )
        driver: Any = db.connection.driver_connection
        with driver.cursor() as cursor, cursor.copy(statement) as out:
            for block in blocks:
                buffer = io.StringIO()
                csv.writer(buffer).writerows(zip(block.lines, *block.values.values(), strict=True))
                out.write(buffer.getvalue())
        _analyze(db, staged)
    return set(given)


def _analyze(db: Connection, table: Table) -> None:
    db.execute(text(f"ANALYZE {table.name}"))


def check(
    db: Connection, staging: Staging, given: Mapping[str, set[str]], incomplete: set[str], findings: Findings
) -> None:
    """Add what is wrong between rows: codes given twice, unknown ones, periods that end too early, contradictions.

    References to files in `incomplete` are not judged: what is missing may stand in the part that was not read.
    """
    for name in _MASTER:
        _twice(db, staging[name], f"{name}.csv", findings)
    for name, column, target in _REFERENCES:
        if target.name not in incomplete:
            _unknown(db, staging[name], f"{name}.csv", column, target, staging[target.name], findings)
    for name, first, last in _PERIODS:
        staged = staging[name]
        early = select(staged.c.line, cast(staged.c[last], Text)).where(staged.c[last] < staged.c[first])
        _add(db, early, findings, f"{name}.csv", last, f"is before {first}", f"a day on or after {first}")
    for name, column, owner, instead in _OWNERS:
        _moved(db, staging[name], _MASTER[name], column, owner, instead, findings)
    _contradictions(db, _term_rows(staging), ["expires_on"], "one expiry for a term at a time", findings)
    _contradictions(
        db,
        _association_rows(staging),
        ["until_on", "reseller"],
        "one reseller and last day for a customer at a time",
        findings,
    )
    _contradictions(
        db, _consent_rows(staging), ["withdrawn_on", "evidence"], "one withdrawal and evidence for a consent", findings
    )
    _contradictions(db, _instalment_rows(staging), ["amount", "status"], "one amount and status for each day", findings)
    _of_others(db, staging, findings)
    _no_memberships(db, staging, findings)
    for kind, needed in _CHARGED_BY.items():
        _not_chargeable(db, staging["mandates"], kind, needed, given.get("mandates", set()), findings)
    if "duty" in given.get("motives", ()):
        _no_duty(db, staging["motives"], findings)
    for name, used in _FIXED_BY_USE.items():
        for column in sorted(given.get(name, set()) - _FREE):
            _redefined(db, staging[name], _MASTER[name], column, used, findings)


def _add(
    db: Connection, rows: Select[Any], findings: Findings, file: str, column: str, problem: str, expected: str
) -> None:
    """Add a finding for each of `rows`: line, value, and optionally the other line that `problem` speaks of."""
    found = db.execute(rows, execution_options=_STREAMED)
    findings.add(
        Finding(file, problem.format(*other), expected, shown(value), line, column) for line, value, *other in found
    )


def _twice(db: Connection, staged: Table, file: str, findings: Findings) -> None:
    given = staged.c.code.is_not(None)
    counted = select(staged.c.code, func.min(staged.c.line).label("first")).where(given).group_by(staged.c.code)
    twice = counted.having(func.count() > 1).subquery()
    rows = (
        select(staged.c.line, staged.c.code, twice.c.first)
        .join(twice, twice.c.code == staged.c.code)
        .where(staged.c.line > twice.c.first)
    )
    _add(db, rows, findings, file, "code", "stands in line {} already", "each code once")


def _unknown(
    db: Connection, staged: Table, file: str, column: str, target: Table, beside: Table, findings: Findings
) -> None:
    code = staged.c[column]
    rows = select(staged.c.line, code).where(
        code.is_not(None),
        ~exists().where(beside.c.code == code),
        ~exists().where(target.c.code == code),
    )
    expected = f"a code in {target.name}.csv or imported before"
    _add(db, rows, findings, file, column, "is not known", expected)


def _moved(
    db: Connection, staged: Table, target: Table, column: str, owner: Table, instead: str, findings: Findings
) -> None:
    rows = (
        select(staged.c.line, staged.c[column])
        .join(target, target.c.code == staged.c.code)
        .join(owner, owner.c.id == target.c[f"{column}_id"])
        .where(owner.c.code != staged.c[column])
    )
    expected = f"the same {column} as before: {instead}"
    _add(db, rows, findings, f"{target.name}.csv", column, f"is another {column}", expected)


def _term_rows(staging: Staging) -> Select[Any]:
    """Each staged term: file, line, whose, first day, content, moment. A subscription's own row is one of its terms."""
    sold, later = staging["subscriptions"].c, staging["terms"].c
    rows = union_all(
        select(literal("subscriptions.csv").label("file"), sold.line, sold.code, sold.starts_on.label("day"),
               sold.expires_on, sold.recorded_at),
        select(literal("terms.csv"), later.line, later.subscription, later.starts_on, later.expires_on,
               later.recorded_at),
    ).subquery()  # fmt: skip
    return select(rows)


def _association_rows(staging: Staging) -> Select[Any]:
    """Each staged association: file, line, whose, first day, content, moment. A customer has one reseller at a time."""
    c = staging["associations"].c
    until_on = func.coalesce(c.until_on, text("date 'infinity'")).label("until_on")
    file = literal("associations.csv").label("file")
    return select(file, c.line, c.customer.label("code"), c.from_on.label("day"), until_on, c.reseller, c.recorded_at)


def _consent_rows(staging: Staging) -> Select[Any]:
    """Each staged consent: file, line, whose and what for, first day, content, moment."""
    c = staging["consents"].c
    whose = (c.customer + "," + c.consent_type).label("code")
    withdrawn_on = func.coalesce(c.withdrawn_on, text("date 'infinity'")).label("withdrawn_on")
    file = literal("consents.csv").label("file")
    evidence = func.coalesce(c.evidence, "").label("evidence")
    return select(file, c.line, whose, c.granted_on.label("day"), withdrawn_on, evidence, c.recorded_at)


def _instalment_rows(staging: Staging) -> Select[Any]:
    """Each staged instalment: file, line, whose, day, content, and no moment: what is told is so now."""
    c = staging["instalments"].c
    file, moment = literal("instalments.csv").label("file"), cast(null(), Instant).label("recorded_at")
    return select(file, c.line, c.subscription.label("code"), c.due_on.label("day"), c.amount, c.status, moment)


def _of_others(db: Connection, staging: Staging, findings: Findings) -> None:
    """A subscription is charged by a mandate of its own customer."""
    staged, beside = staging["subscriptions"], staging["mandates"]
    theirs = union(
        select(beside.c.code, beside.c.customer),
        select(mandates.c.code, customers.c.code.label("customer")).join(customers),
    ).subquery()
    rows = select(staged.c.line, staged.c.mandate).join(theirs, theirs.c.code == staged.c.mandate)
    other = rows.where(theirs.c.customer != staged.c.customer)
    _add(db, other, findings, "subscriptions.csv", "mandate", "is another customer's", "one of the same customer")


def _no_memberships(db: Connection, staging: Staging, findings: Findings) -> None:
    """Instalments are owed under memberships only, by the products as they are after this import."""
    staged, sold, offered = staging["instalments"], staging["subscriptions"], staging["products"]
    held = products.alias("held")
    rows = (
        select(staged.c.line, staged.c.subscription)
        .outerjoin(sold, sold.c.code == staged.c.subscription)
        .outerjoin(subscriptions, subscriptions.c.code == staged.c.subscription)
        .outerjoin(held, held.c.id == subscriptions.c.product_id)
        .outerjoin(offered, offered.c.code == func.coalesce(sold.c.product, held.c.code))
        .outerjoin(products, products.c.code == func.coalesce(sold.c.product, held.c.code))
        .where(func.coalesce(offered.c.policy, products.c.policy) != Policy.MEMBERSHIP)
    )
    expected = f"a subscription of a product with policy {Policy.MEMBERSHIP}"
    _add(db, rows, findings, "instalments.csv", "subscription", "is not a membership", expected)


_CHARGED_BY = {ChargeMethod.SEPA: "iban", ChargeMethod.CARD: "token"}


def _not_chargeable(
    db: Connection, staged: Table, kind: ChargeMethod, needed: str, given: set[str], findings: Findings
) -> None:
    rows = select(staged.c.line, literal("")).where(staged.c.kind == kind, staged.c[needed].is_(None))
    if needed not in given:
        # The one that is known stays. Of who is erased none is known, and none is needed.
        known = mandates.c[needed].is_not(None) | customers.c.erased_on.is_not(None)
        rows = rows.where(
            ~exists().where(mandates.c.code == staged.c.code, customers.c.id == mandates.c.customer_id, known)
        )
    doubtful = [f.line for f in findings.kept if (f.where, f.column) == ("mandates.csv", needed)]
    missing = rows.where(staged.c.line.not_in(doubtful))
    _add(db, missing, findings, "mandates.csv", needed, "is empty", f"a value: the kind is {kind}")


def _no_duty(db: Connection, staged: Table, findings: Findings) -> None:
    """Our own messages rest on the contract: it must stay a duty."""
    rows = select(staged.c.line, staged.c.code).where(staged.c.code == CONTRACT.code, staged.c.duty.is_(False))
    _add(db, rows, findings, "motives.csv", "duty", "must be true", f"{CONTRACT.code}: notices and cards rest on it")


# What customers consented to stays what it was, and with it what contacts rested on, and what an action was. What is
# owed under a membership stays in one currency: it is added up. A mandate is not a card, used or not.
_FIXED_BY_USE = {
    "action_types": exists().where(crm_actions.c.action_type == action_types.c.code),
    "consent_types": exists().where(consents.c.consent_type_id == consent_types.c.id),
    "mandates": true(),
    "motives": exists().where(contacts.c.motive == motives.c.code),
    "products": exists().where(
        instalments.c.subscription_id == subscriptions.c.id, subscriptions.c.product_id == products.c.id
    ),
}
_FREE = (
    {"code", "title", "description", "in_agenda"}
    | {"name", "policy", "period_months", "price", "vat_rate"}
    | {"customer", "holder", "iban", "bic", "token", "signed_on"}
)


def _redefined(
    db: Connection, staged: Table, target: Table, column: str, used: ColumnElement[bool], findings: Findings
) -> None:
    new = staged.c[column]
    rows = (
        select(staged.c.line, func.coalesce(cast(new, Text), ""))
        .join(target, target.c.code == staged.c.code)
        # In a CASE: whether it is in use is looked up where something is new, and that is hardly ever.
        .where(case((new.is_distinct_from(target.c[column]), used), else_=False))
    )
    problem, expected = "is not what was in use", "as before, or another code"
    _add(db, rows, findings, f"{target.name}.csv", column, problem, expected)


def _contradictions(
    db: Connection, rows: Select[Any], content: Sequence[str], expected: str, findings: Findings
) -> None:
    staged = rows.subquery()
    moment = func.coalesce(staged.c.recorded_at, text("'infinity'"))
    keys = (staged.c.code, staged.c.day, moment.label("moment"))
    several = or_(*(func.min(staged.c[name]) != func.max(staged.c[name]) for name in content))
    torn = select(*keys).group_by(*keys).having(several).subquery()
    same = and_(torn.c.code == staged.c.code, torn.c.day == staged.c.day, torn.c.moment == moment)
    said = (cast(staged.c[name], Text) for name in content)
    found = db.execute(
        select(torn.c.code, torn.c.day, cast(torn.c.moment, Text), staged.c.file, staged.c.line, *said)
        .join(torn, same)
        .order_by(*torn.c, staged.c.file, staged.c.line),
        execution_options=_STREAMED,
    )
    column = content[0]
    # What they say, or when, could not be read and looks like something else now.
    doubtful = {(f.where, f.line) for f in findings.kept if f.column in {*content, "recorded_at"}}
    sound = (row for row in found if (row.file, row.line) not in doubtful)
    for _, group in groupby(sound, key=lambda row: tuple(row[:3])):
        first, *others = group
        if all(row[5:] == first[5:] for row in others):
            continue
        problem = f"contradicts {first.file} line {first.line}, recorded at the same time"
        findings.add(Finding(row.file, problem, expected, shown(row.code), row.line, column) for row in others)


def record(
    db: Connection, staging: Staging, given: Mapping[str, set[str]], now: datetime, zone: ZoneInfo, calls: Calls
) -> Counts:
    """Write what was staged and found sound. Master data follow the files' `given` columns; other columns stay.

    Nobody comes back with a file, however old or new it is: what it says of erased customers is left out.

    `calls`: the states of those about renewed access. Returns counts such as "customers new",
    "customers changed", "customers unchanged", "terms added", and "subscriptions brought back" where there are any.
    """
    counts: Counts = Counter()
    if left_out := _leave_out_erased(db, staging):
        counts["rows about erased customers, left out"] = left_out
    # Looked up before the customers' own rows take the new reseller over.
    db.execute(_MOVES)
    counts.update(_merge_master(db, staging, given, now))
    if counts["products changed"]:
        follow_policies(db)
    versions = _term_versions(db, staging)
    if left_out := _leave_out_withdrawn(db):
        counts["rows after a withdrawal, left out"] = left_out
    counts["terms added"] = _add_terms(db, versions, now)
    if counts["terms added"]:
        learned = Learned(now.astimezone(zone).date(), now, None, calls)
        if back := refresh(db, IMPORTED, learned):
            counts["subscriptions brought back"] = back
        if counts["terms added"] >= _ANALYZE_FROM:
            _analyze(db, subscription_status)
    if "instalments" in given:
        counts.update(_merge_instalments(db, staging["instalments"], now))
    if "consents" in given:
        counts["consents added"] = _add_consents(db, staging, now)
    if "objections" in given:
        counts["objections added"] = _add_objections(db, staging, now)
    counts["associations added"] = _add_associations(db, staging, now)
    counts["associations added"] += _first_associations(db, now, zone) + _move(db, now, zone)
    return counts


def _merge_master(db: Connection, staging: Staging, given: Mapping[str, set[str]], now: datetime) -> Counts:
    counts: Counts = Counter()
    for name, source in (
        ("resellers", select(staging["resellers"])),
        ("products", select(staging["products"])),
        ("customers", _customers(staging)),
        ("mandates", _mandates(staging)),
        ("subscriptions", _subscriptions(staging)),
        ("consent_types", select(staging["consent_types"])),
        ("motives", select(staging["motives"])),
        ("operators", select(staging["operators"])),
        ("appointments", _appointments(staging)),
        ("action_types", select(staging["action_types"])),
    ):
        if name in given:
            counts.update(_merge(db, _MASTER[name], staging[name], source.subquery(), given[name], now))
    return counts


def _leave_out_erased(db: Connection, staging: Staging) -> int:
    """Take out of what was staged whatever is about somebody who is erased. Returns how many rows that were."""
    erased = select(customers.c.code).where(customers.c.erased_on.is_not(None))
    sold = staging["subscriptions"].c
    held = union_all(
        select(subscriptions.c.code).join(customers).where(customers.c.erased_on.is_not(None)),
        select(sold.code).where(sold.customer.in_(erased)),
    )
    # What is of subscriptions first, while these are still there.
    whose = (
        *((name, column, held) for name, column in _OF_SUBSCRIPTIONS),
        *((name, column, erased) for name, column in _OF_CUSTOMERS),
    )
    return sum(
        _rows(db, delete(staging[name]).where(staging[name].c[column].in_(those))) for name, column, those in whose
    )


def _customers(staging: Staging) -> Select[Any]:
    """Customers with the reseller that this import or the last one named."""
    staged = staging["customers"]
    reseller = func.coalesce(resellers.c.id, customers.c.imported_reseller_id).label("imported_reseller_id")
    return (
        select(*(column for column in staged.c if column.name != "reseller"), reseller)
        .outerjoin(resellers, resellers.c.code == staged.c.reseller)
        .outerjoin(customers, customers.c.code == staged.c.code)
    )


def _subscriptions(staging: Staging) -> Select[Any]:
    staged = staging["subscriptions"]
    described = ("line", "code", "reference", "quantity", "unit_price", "auto_renew", "charge_method")
    return (
        select(
            *(staged.c[name] for name in described),
            customers.c.id.label("customer_id"),
            products.c.id.label("product_id"),
            mandates.c.id.label("mandate_id"),
            staged.c.starts_on.label("anchor"),
        )
        .join(customers, customers.c.code == staged.c.customer)
        .join(products, products.c.code == staged.c.product)
        .outerjoin(mandates, mandates.c.code == staged.c.mandate)
    )


def _mandates(staging: Staging) -> Select[Any]:
    staged = staging["mandates"]
    described = (column for column in staged.c if column.name != "customer")
    return select(*described, customers.c.id.label("customer_id")).join(
        customers, customers.c.code == staged.c.customer
    )


def _appointments(staging: Staging) -> Select[Any]:
    staged = staging["appointments"]
    described = (staged.c[name] for name in ("line", "code", "starts_at", "status", "title"))
    return select(*described, customers.c.id.label("customer_id")).join(
        customers, customers.c.code == staged.c.customer
    )


def _merge(db: Connection, target: Table, staged: Table, source: Subquery, given: set[str], now: datetime) -> Counts:
    """Update what differs in a given column, insert what is new.

    Not by ON CONFLICT: that locks each row that stays as it is, which writes to all of them.
    """
    changing = {c.name: c for c in source.c if _FOLLOWS.get(c.name, c.name) in given and c.name != "code"}
    changed = 0
    if changing:
        differs = or_(*(target.c[name].is_distinct_from(value) for name, value in changing.items()))
        changed = _rows(db, update(target).values(changing).where(target.c.code == source.c.code, differs))
    columns = [column for column in source.c if column.name != "line"]
    unknown = select(*columns, literal(now, Instant)).where(~exists().where(target.c.code == source.c.code))
    names = [column.name for column in columns]
    # In the file's order the rows come to the indexes as sorted as the file is.
    new = _rows(db, insert(target).from_select([*names, "recorded_at"], unknown.order_by(source.c.line)))
    rows = db.scalar(select(func.count()).select_from(staged)) or 0
    if new >= _ANALYZE_FROM:
        _analyze(db, target)
    name = target.name
    return Counter({f"{name} new": new, f"{name} changed": changed, f"{name} unchanged": rows - new - changed})


def _rows(db: Connection, statement: UpdateBase) -> int:
    """Execute and say how many rows were written, which for inserts must be asked for."""
    return db.execute(statement, execution_options={"preserve_rowcount": True}).rowcount


def _term_versions(db: Connection, staging: Staging) -> Table:
    rows = _term_rows(staging).subquery()
    versions = _temporary(
        db,
        "term_versions",
        *(Column(c.name, c.type) for c in (terms.c.subscription_id, terms.c.starts_on, terms.c.expires_on)),
        Column("recorded_at", Instant),
    )
    known = select(subscriptions.c.id, rows.c.day, rows.c.expires_on, rows.c.recorded_at)
    db.execute(
        insert(versions).from_select(versions.c.keys(), known.join(subscriptions, subscriptions.c.code == rows.c.code))
    )
    return versions


def _leave_out_withdrawn(db: Connection) -> int:
    """Take out of what was staged whatever a withdrawal took away. Returns how many rows that were."""
    db.execute(_LOCK_MEMBERSHIPS)
    return db.execute(_TERMS_WITHDRAWN).rowcount + db.execute(_INSTALMENTS_WITHDRAWN).rowcount


def _add_terms(db: Connection, versions: Table, now: datetime) -> int:
    added = _add_versions(db, terms, versions, ["expires_on"], now)
    _move_anchors(db, versions)
    return added


def _move_anchors(db: Connection, versions: Table) -> None:
    """The anchor is the first term's start, also where that term is told of last."""
    v = versions.c
    earlier = (
        select(v.subscription_id, func.min(v.starts_on).label("day"))
        .join(subscriptions, and_(subscriptions.c.id == v.subscription_id, v.starts_on < subscriptions.c.anchor))
        .group_by(v.subscription_id)
        .subquery()
    )
    db.execute(
        update(subscriptions).values(anchor=earlier.c.day).where(subscriptions.c.id == earlier.c.subscription_id)
    )


def _merge_instalments(db: Connection, staged: Table, now: datetime) -> Counts:
    """Record what is owed. A status only moves forward; an amount changes only while it is due."""
    changed = db.execute(_CHANGE_INSTALMENTS).rowcount
    new = db.execute(_NEW_INSTALMENTS, {"now": now}).rowcount
    if new >= _ANALYZE_FROM:
        _analyze(db, instalments)
    rows = db.scalar(select(func.count()).select_from(staged)) or 0
    return Counter(
        {"instalments new": new, "instalments changed": changed, "instalments unchanged": rows - new - changed}
    )


def _add_associations(db: Connection, staging: Staging, now: datetime) -> int:
    staged = staging["associations"]
    versions = _temporary(
        db,
        "association_versions",
        *(Column(name, associations.c[name].type) for name in ("customer_id", "reseller_id", "from_on", "until_on")),
        Column("recorded_at", Instant),
    )
    known = (
        select(customers.c.id, resellers.c.id, staged.c.from_on, staged.c.until_on, staged.c.recorded_at)
        .select_from(staged)
        .join(customers, customers.c.code == staged.c.customer)
        .join(resellers, resellers.c.code == staged.c.reseller)
    )
    db.execute(insert(versions).from_select(versions.c.keys(), known))
    return _add_versions(db, associations, versions, ["until_on"], now)


def _add_consents(db: Connection, staging: Staging, now: datetime) -> int:
    staged = staging["consents"]
    versions = _temporary(
        db,
        "consent_versions",
        *(Column(name, consents.c[name].type) for name in ("customer_id", "consent_type_id", "granted_on")),
        Column("withdrawn_on", Date),
        Column("evidence", Text),
        Column("recorded_at", Instant),
    )
    known = (
        select(
            customers.c.id,
            consent_types.c.id,
            staged.c.granted_on,
            staged.c.withdrawn_on,
            staged.c.evidence,
            staged.c.recorded_at,
        )
        .select_from(staged)
        .join(customers, customers.c.code == staged.c.customer)
        .join(consent_types, consent_types.c.code == staged.c.consent_type)
    )
    db.execute(insert(versions).from_select(versions.c.keys(), known))
    db.execute(_AS_KNOWN)
    return _add_versions(db, consents, versions, ["withdrawn_on", "evidence"], now)


def _add_objections(db: Connection, staging: Staging, now: datetime) -> int:
    staged = staging["objections"]
    known = select(customers.c.id, staged.c.channel, staged.c.objected_on, literal(now, Instant)).join(
        customers, customers.c.code == staged.c.customer
    )
    columns = ["customer_id", "channel", "objected_on", "recorded_at"]
    return _rows(db, upsert(objections).from_select(columns, known).on_conflict_do_nothing())


def _add_versions(db: Connection, facts: Table, versions: Table, content: Sequence[str], now: datetime) -> int:
    """Add those of `versions` that are new; all columns but `content` and the moment are the key.

    A version without a moment is learned now, unless it equals the one known last. So is one whose moment is taken by
    another content, which corrects it, unless a later version of the same key is imported beside it.
    """
    _analyze(db, versions)
    v = versions.c
    columns = v.keys()
    key = [name for name in columns if name not in {*content, "recorded_at"}]

    def same_key(one: _Columns, other: _Columns) -> ColumnElement[bool]:
        return and_(*(one[name] == other[name] for name in key))

    def differs(one: _Columns, other: _Columns) -> ColumnElement[bool]:
        return or_(*(one[name].is_distinct_from(other[name]) for name in content))

    same_moment = and_(same_key(facts.c, v), facts.c.recorded_at == v.recorded_at)
    told = select(*v).where(v.recorded_at.is_not(None), ~exists().where(same_moment))
    # Sorted, the rows come to the indexes and to the referenced rows in order, which is twice as fast.
    added = _rows(db, insert(facts).from_select(columns, told.distinct().order_by(*(v[name] for name in key))))

    untimed = select(*v).where(v.recorded_at.is_(None))
    corrections = select(*v).join(facts, same_moment).where(differs(facts.c, v))
    late = union_all(untimed, corrections).subquery()
    later = or_(late.c.recorded_at < v.recorded_at, and_(late.c.recorded_at.is_not(None), v.recorded_at.is_(None)))
    last = (
        select(*(facts.c[name] for name in content))
        .where(same_key(facts.c, late.c))
        .order_by(facts.c.recorded_at.desc(), facts.c.id.desc())
        .limit(1)
        .correlate(late)
        .subquery()
    )
    learned = (
        select(*(late.c[name] for name in (*key, *content)), literal(now, Instant))
        .where(
            ~exists().where(same_key(late.c, v), later),
            ~exists().where(not_(differs(last.c, late.c))),
        )
        .distinct()
    )
    added += _rows(db, insert(facts).from_select([*key, *content, "recorded_at"], learned))
    if added >= _ANALYZE_FROM:
        _analyze(db, facts)
    return added


# What a file does not say of a consent, or says once more, is as it was known: a withdrawal by hand outlives the next
# import of the grant. Rows with a moment that is not taken tell what was known then, and stay.
_AS_KNOWN = text("""
    UPDATE import_consent_versions AS told
    SET withdrawn_on = least(told.withdrawn_on, known.withdrawn_on),
        evidence = CASE WHEN told.evidence = ANY(known.heard) THEN known.evidence
            ELSE coalesce(told.evidence, known.evidence) END
    FROM (
        SELECT customer_id, consent_type_id, granted_on,
            (array_agg(withdrawn_on ORDER BY recorded_at DESC, id DESC))[1] AS withdrawn_on,
            (array_agg(evidence ORDER BY recorded_at DESC, id DESC))[1] AS evidence,
            array_agg(evidence) AS heard
        FROM consents
        WHERE (customer_id, consent_type_id, granted_on) IN (
            SELECT customer_id, consent_type_id, granted_on FROM import_consent_versions)
        GROUP BY customer_id, consent_type_id, granted_on
    ) AS known
    WHERE (told.customer_id, told.consent_type_id, told.granted_on)
        = (known.customer_id, known.consent_type_id, known.granted_on)
        AND (told.recorded_at IS NULL OR EXISTS (
            SELECT FROM consents AS held
            WHERE (held.customer_id, held.consent_type_id, held.granted_on, held.recorded_at)
                = (told.customer_id, told.consent_type_id, told.granted_on, told.recorded_at)
                AND (held.withdrawn_on, held.evidence) IS DISTINCT FROM (told.withdrawn_on, told.evidence)))
""")

# Whoever changes a membership locks it first: a withdrawal that is under way is waited for, and then looked at.
_LOCK_MEMBERSHIPS = text("""
    SELECT count(*) FROM (
        SELECT FROM subscription_status WHERE subscription_id IN (
            SELECT told.subscription_id
            FROM import_term_versions AS told
            JOIN subscriptions ON subscriptions.id = told.subscription_id
            JOIN products ON products.id = product_id
            WHERE policy = 'membership' AND CASE
                WHEN told.recorded_at IS NULL THEN told.expires_on = (
                    SELECT expires_on FROM terms
                    WHERE (terms.subscription_id, terms.starts_on) = (told.subscription_id, told.starts_on)
                    ORDER BY recorded_at DESC LIMIT 1)
                ELSE EXISTS (
                    SELECT FROM terms
                    WHERE (terms.subscription_id, terms.starts_on, terms.recorded_at, terms.expires_on)
                        = (told.subscription_id, told.starts_on, told.recorded_at, told.expires_on))
                END IS NOT TRUE
            UNION SELECT subscriptions.id
            FROM import_instalments AS told
            JOIN subscriptions ON subscriptions.code = told.subscription
            LEFT JOIN instalments AS owed ON (owed.subscription_id, owed.due_on) = (subscriptions.id, told.due_on)
            WHERE owed.id IS NULL OR owed.status IN ('due', 'submitted')
                AND (owed.amount, owed.status) <> (told.amount, told.status))
        ORDER BY subscription_id FOR UPDATE
    ) AS locked
""")

_WITHDRAWN = """
    SELECT subscription_id, withdrawn_on FROM withdrawn_memberships JOIN withdrawals ON withdrawals.id = withdrawal_id
"""

# What the last version of the same term has overtaken since is history, and may be told late.
_TERMS_WITHDRAWN = text(f"""
    DELETE FROM import_term_versions AS told USING ({_WITHDRAWN}) AS withdrawn
    WHERE told.subscription_id = withdrawn.subscription_id AND told.expires_on > withdrawn_on AND NOT (
        EXISTS (
            SELECT FROM terms
            WHERE (terms.subscription_id, terms.starts_on) = (told.subscription_id, told.starts_on)
                AND terms.recorded_at > told.recorded_at AND terms.expires_on <= withdrawn_on)
        AND NOT EXISTS (
            SELECT FROM terms
            WHERE (terms.subscription_id, terms.starts_on, terms.recorded_at)
                = (told.subscription_id, told.starts_on, told.recorded_at)
                AND terms.expires_on <> told.expires_on))
""")

_INSTALMENTS_WITHDRAWN = text(f"""
    DELETE FROM import_instalments AS told
    USING ({_WITHDRAWN}) AS withdrawn JOIN subscriptions ON subscriptions.id = subscription_id
    WHERE told.subscription = code AND told.due_on > withdrawn_on
""")

# Nothing comes back: neither what was removed or is to be refunded, nor a charge that the bank has returned since.
_MOVES_FORWARD = """
    (owed.status, told.status) IN (('due', 'submitted'), ('due', 'paid'), ('submitted', 'paid'))
    AND NOT (told.status = 'submitted' AND EXISTS (
        SELECT FROM settlements WHERE instalment_id = owed.id AND outcome = 'returned'))
"""

_CHANGE_INSTALMENTS = text(f"""
    UPDATE instalments SET amount = told.amount, status = told.status
    FROM (
        SELECT owed.id, CASE owed.status WHEN 'due' THEN told.amount ELSE owed.amount END AS amount,
            CASE WHEN {_MOVES_FORWARD} THEN told.status ELSE owed.status END AS status
        FROM import_instalments AS told
        JOIN subscriptions ON subscriptions.code = told.subscription
        JOIN instalments AS owed ON (owed.subscription_id, owed.due_on) = (subscriptions.id, told.due_on)
        WHERE owed.status = 'due' AND owed.amount <> told.amount OR {_MOVES_FORWARD}
        ORDER BY owed.id FOR UPDATE OF owed
    ) AS told
    WHERE instalments.id = told.id
""")

_NEW_INSTALMENTS = text("""
    INSERT INTO instalments (subscription_id, due_on, amount, currency, status, recorded_at)
    SELECT DISTINCT subscriptions.id, told.due_on, told.amount, currency, told.status, cast(:now AS timestamptz)
    FROM import_instalments AS told
    JOIN subscriptions ON subscriptions.code = told.subscription
    JOIN products ON products.id = product_id
    WHERE NOT EXISTS (
        SELECT FROM instalments AS owed WHERE (owed.subscription_id, owed.due_on) = (subscriptions.id, told.due_on))
    ORDER BY subscriptions.id, told.due_on
""")

_MOVES = text("""
    CREATE TEMPORARY TABLE import_moves ON COMMIT DROP AS
    SELECT customers.id AS customer_id, staged.reseller
    FROM import_customers staged
    JOIN customers USING (code)
    JOIN resellers ON resellers.id = customers.imported_reseller_id
    WHERE resellers.code <> staged.reseller
""")

_FIRST_ASSOCIATIONS = text("""
    INSERT INTO associations (customer_id, reseller_id, from_on, recorded_at)
    SELECT customers.id, customers.imported_reseller_id, began.day, least(began.day::timestamp AT TIME ZONE :zone, :now)
    FROM import_customers staged
    JOIN customers USING (code)
    CROSS JOIN LATERAL (SELECT coalesce(customers.created_on, :since_ever) AS day) began
    WHERE staged.reseller IS NOT NULL
      AND NOT EXISTS (SELECT FROM associations WHERE associations.customer_id = customers.id)
""")

_HELD = """
    SELECT reseller_id, from_on, until_on
    FROM associations
    WHERE associations.customer_id = moves.customer_id AND from_on <= :day
    ORDER BY from_on DESC, recorded_at DESC, id DESC
    LIMIT 1
"""

# Nothing to end where associations.csv speaks of the same period now: the new one begins later and counts.
_END_FORMER = text(f"""
    INSERT INTO associations (customer_id, reseller_id, from_on, until_on, recorded_at)
    SELECT moves.customer_id, held.reseller_id, held.from_on, CAST(:day AS date) - 1, :now
    FROM import_moves moves
    CROSS JOIN LATERAL ({_HELD}) held
    JOIN resellers ON resellers.id = held.reseller_id
    WHERE coalesce(held.until_on, 'infinity') >= :day AND resellers.code <> moves.reseller
    ON CONFLICT DO NOTHING
""")

_BEGIN_NEXT = text(f"""
    INSERT INTO associations (customer_id, reseller_id, from_on, recorded_at)
    SELECT moves.customer_id, resellers.id, :day, :now
    FROM import_moves moves
    JOIN resellers ON resellers.code = moves.reseller
    WHERE NOT EXISTS (
        SELECT FROM ({_HELD}) held
        WHERE held.reseller_id = resellers.id AND coalesce(held.until_on, 'infinity') >= :day
    )
""")


def _first_associations(db: Connection, now: datetime, zone: ZoneInfo) -> int:
    """Customers that have no association yet get the one that customers.csv names: so it has been since ever."""
    return db.execute(_FIRST_ASSOCIATIONS, {"now": now, "zone": zone.key, "since_ever": SINCE_EVER}).rowcount


def _move(db: Connection, now: datetime, zone: ZoneInfo) -> int:
    """Customers for whom customers.csv names another reseller than last time move to it today."""
    today = {"now": now, "day": now.astimezone(zone).date()}
    ended = db.execute(_END_FORMER, today).rowcount
    return ended + db.execute(_BEGIN_NEXT, today).rowcount
