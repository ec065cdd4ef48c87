"""What each database role may do with each table: least privilege, declared here and granted by `lifecycle migrate`.

The owner is whoever migrates. The others are roles without a login, to which an administrator adds the users that log
in. The operator does what workers and people do: all flows. It cannot change what is only ever added, but for what an
erasure takes from there, and makes no tables. The deliverer does what `deliver-outbox` does, and nothing more: it reads
what mails say, and can neither erase, bill, withdraw nor record a consent. The reader writes nothing, so it runs no
flow, as each records its run; it reads what `lifecycle show` says, with names and accounts, and no secrets.

The roles are the cluster's, what is granted to them is each database's. Rows get their ids without a right of their
own, and triggers and foreign keys work as the owner: so tables and columns are all there is to grant.
"""

from collections import defaultdict
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import Connection, Table, text

from lifecycle.persistence.tables import metadata
from lifecycle.rules.erasure import Fate


class Role(StrEnum):
    OPERATOR = "lifecycle_operator"
    DELIVERER = "lifecycle_deliverer"
    READER = "lifecycle_reader"


OWNER = "owner"


class May(NamedTuple):
    """What a role may do with a table. `but` are the columns that it does not see, `changes` those that it may change.

    No columns named, and `reads`: it sees all. `rewrites`: it may change all.
    """

    reads: bool = True
    but: tuple[str, ...] = ()
    adds: bool = False
    changes: tuple[str, ...] = ()
    rewrites: bool = False
    removes: bool = False


NOTHING = May(reads=False)
READS = May()
ADDS = May(adds=True)
KEEPS = May(adds=True, rewrites=True)
"""Adds and changes rows."""
ENDS = May(adds=True, rewrites=True, removes=True)
"""Removes rows too."""


class Declared(NamedTuple):
    """To what an operator may do with a table, `granted` adds what the table declares that an erasure takes."""

    operator: May
    deliverer: May
    reader: May


DECLARED = {
    "resellers": Declared(KEEPS, READS, READS),
    "operators": Declared(KEEPS, READS, READS),
    "enrolments": Declared(KEEPS, NOTHING, May(but=("secret", "last_step"))),
    "customers": Declared(KEEPS, READS, READS),
    "associations": Declared(ADDS, READS, READS),
    "products": Declared(KEEPS, READS, READS),
    # An acknowledgement of a withdrawal says by what was charged, not from which account.
    "mandates": Declared(KEEPS, May(but=("holder", "iban", "bic", "token")), May(but=("token",))),
    "subscriptions": Declared(KEEPS, READS, READS),
    "terms": Declared(ADDS, READS, READS),
    "runs": Declared(ENDS, May(adds=True, changes=("outcome", "business_date", "counts", "finished_at")), READS),
    "transitions": Declared(ADDS, READS, READS),
    "reseller_reports": Declared(ADDS, READS, READS),
    "reseller_report_lines": Declared(ADDS, READS, READS),
    "messages": Declared(
        KEEPS,
        May(
            changes=(
                "state",
                "recipient",  # of one that is queued again
                "due_at",
                "failures",
                "claimed_by",
                "lease_until",
                "sent_at",
                "digest",
                "basis",
                "consent_id",
                "asked_on",
            )
        ),
        READS,
    ),
    "message_bodies": Declared(May(adds=True, removes=True), May(removes=True), NOTHING),
    "message_attempts": Declared(ENDS, May(adds=True, changes=("finished_at", "outcome", "reply")), READS),
    "subscription_status": Declared(KEEPS, READS, READS),
    "plans": Declared(KEEPS, NOTHING, READS),
    "plan_steps": Declared(ADDS, NOTHING, READS),
    "card_numbers": Declared(KEEPS, NOTHING, READS),
    "cards": Declared(KEEPS, READS, READS),
    "card_revisions": Declared(ADDS, READS, READS),
    "card_lines": Declared(KEEPS, READS, READS),
    "card_renewals": Declared(ADDS, READS, READS),
    "payments": Declared(May(adds=True, changes=("reverses_id",)), NOTHING, READS),
    "allocations": Declared(ADDS, READS, READS),
    "consent_types": Declared(KEEPS, READS, READS),
    "consents": Declared(ADDS, READS, READS),
    "objections": Declared(ADDS, READS, READS),
    "motives": Declared(KEEPS, READS, READS),
    "switches": Declared(ADDS, READS, READS),
    "contacts": Declared(ADDS, ADDS, READS),
    "mailings": Declared(ADDS, READS, READS),
    "collections": Declared(May(adds=True, changes=("filed_at",)), NOTHING, READS),
    "instalments": Declared(KEEPS, READS, READS),
    "settlements": Declared(ADDS, NOTHING, READS),
    "action_types": Declared(KEEPS, NOTHING, READS),
    "crm_actions": Declared(ADDS, NOTHING, READS),
    "withdrawals": Declared(KEEPS, READS, READS),
    "withdrawn_memberships": Declared(ADDS, READS, READS),
    "appointments": Declared(KEEPS, NOTHING, READS),
    "holds": Declared(ADDS, NOTHING, READS),
    "erasures": Declared(KEEPS, READS, READS),
    "erasure_portions": Declared(May(adds=True, changes=("ledger_page",)), READS, READS),
    "erasure_candidates": Declared(KEEPS, READS, READS),
    "installation": Declared(KEEPS, READS, READS),
}

_MAINTAIN_FROM = 170_000
"""Since PostgreSQL 17 VACUUM and ANALYZE can be granted. Before, they pass over what is another's, with a warning."""


class Grant(NamedTuple):
    """One privilege of one role on a table, or on one column of it."""

    role: str
    table: str
    privilege: str
    column: str | None = None


class Standing(NamedTuple):
    """How the roles stand in a database. `lacking` and `excessive` hold privileges of roles that there are."""

    missing: list[Role]
    lacking: set[Grant]
    excessive: set[Grant]

    @property
    def differs(self) -> bool:
        return bool(self.lacking or self.excessive)


def granted(version: int) -> set[Grant]:
    """All that is declared, for a server of this version (`server_version_num`)."""
    tables = {each for name, declared in DECLARED.items() for each in _of_table(metadata.tables[name], declared)}
    if version >= _MAINTAIN_FROM:
        tables |= {Grant(Role.OPERATOR, name, "MAINTAIN") for name in DECLARED}
    return tables | {Grant(role, "alembic_version", "SELECT") for role in Role}


def _of_table(table: Table, declared: Declared) -> Iterator[Grant]:
    taken = tuple(column.name for column in table.columns if column.info["fate"] in {Fate.BLANKED, Fate.REPLACED})
    operator = declared.operator
    by_role = {
        Role.OPERATOR: operator._replace(changes=operator.changes + taken),
        Role.DELIVERER: declared.deliverer,
        Role.READER: declared.reader,
    }
    for role, may in by_role.items():
        if may.reads and not may.but:
            yield Grant(role, table.name, "SELECT")
        elif may.reads:
            yield from (Grant(role, table.name, "SELECT", c.name) for c in table.columns if c.name not in may.but)
        if may.rewrites:
            yield Grant(role, table.name, "UPDATE")
        else:
            yield from (Grant(role, table.name, "UPDATE", column) for column in may.changes)
        if may.adds:
            yield Grant(role, table.name, "INSERT")
        if may.removes:
            yield Grant(role, table.name, "DELETE")


_HELD = text("""
WITH tables AS (
    SELECT oid, relname, relacl FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v')
), held AS (
    SELECT relname, entry.*, NULL::text AS column FROM tables CROSS JOIN LATERAL aclexplode(relacl) AS entry
    UNION ALL
    SELECT relname, entry.*, attname FROM tables
    JOIN pg_attribute ON attrelid = tables.oid AND NOT attisdropped
    CROSS JOIN LATERAL aclexplode(attacl) AS entry
)
SELECT rolname, relname, privilege_type, held.column FROM held JOIN pg_roles ON pg_roles.oid = grantee
WHERE rolname = ANY(:roles)""")


def standing(db: Connection) -> Standing:
    """How what is granted stands to what is declared."""
    roles = {"roles": list(Role)}
    there = set(db.execute(text("SELECT rolname FROM pg_roles WHERE rolname = ANY(:roles)"), roles).scalars())
    held = {Grant(*row) for row in db.execute(_HELD, roles)}
    version = int(db.execute(text("SHOW server_version_num")).scalar_one())
    declared = {grant for grant in granted(version) if grant.role in there}
    return Standing([role for role in Role if role not in there], declared - held, held - declared)


def grant(db: Connection) -> None:
    """Grant what is declared and revoke what is not, of the roles that there are; by the owner of the tables."""
    version = int(db.execute(text("SHOW server_version_num")).scalar_one())
    stands = standing(db)
    differ = {(each.role, each.table) for each in stands.lacking | stands.excessive}
    for role, table in sorted(differ):
        # Of the whole table: to revoke a privilege on it takes the same on its columns away as well.
        db.execute(text(f"REVOKE ALL ON {table} FROM {role}"))
    columns: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for each in sorted(granted(version), key=str):
        if (each.role, each.table) in differ:
            columns[each.role, each.table, each.privilege] += [each.column] if each.column else []
    for (role, table, privilege), named in columns.items():
        of = f"({', '.join(named)})" if named else ""
        db.execute(text(f"GRANT {privilege} {of} ON {table} TO {role}"))
    _admit(db, [role for role in Role if role not in stands.missing])


_CLOSED = text("""
SELECT statement FROM (SELECT unnest(cast(:roles AS text[])) AS role) AS roles CROSS JOIN LATERAL (VALUES
    (has_schema_privilege(role, current_schema(), 'USAGE'),
        format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), role)),
    (has_database_privilege(role, current_database(), 'CONNECT'),
        format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), role)),
    (role <> :operator OR has_database_privilege(role, current_database(), 'TEMPORARY'),
        format('GRANT TEMPORARY ON DATABASE %I TO %I', current_database(), role))
) AS needed (is_there, statement)
WHERE NOT is_there""")


def _admit(db: Connection, roles: list[Role]) -> None:
    """Let them in where the database does not let everybody in, as by default it does."""
    asked = {"roles": roles, "operator": Role.OPERATOR}
    for statement in db.execute(_CLOSED, asked).scalars().all():
        db.execute(text(statement))


def of(db: Connection) -> list[str]:
    """Whether this session is the tables' owner, or in which of the roles it is; none: it may do nothing."""
    owns = "SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = 'installation'::regclass"
    if db.execute(text(owns)).scalar_one():
        return [OWNER]
    inherited = (
        "SELECT rolname FROM pg_roles WHERE rolname = ANY(:roles) AND pg_has_role(oid, 'USAGE') ORDER BY rolname"
    )
    return list(db.execute(text(inherited), {"roles": list(Role)}).scalars())


def user(db: Connection) -> str:
    return str(db.execute(text("SELECT current_user")).scalar_one())


def acts(db: Connection) -> bool:
    """Whether this session may do what operators do; else it only delivers, or reads."""
    may: bool = db.execute(text("SELECT has_table_privilege('installation', 'INSERT')")).scalar_one()
    return may
