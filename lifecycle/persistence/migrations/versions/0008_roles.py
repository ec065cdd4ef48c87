"""Roles without a login, for those who work with the database and do not own it.

Why: whoever delivers mails need not be able to erase, and whoever reads need not be able to write. What each may do is
    declared in `lifecycle.persistence.roles`; `lifecycle migrate` grants it after every upgrade.
Locks: none on tables. Roles are the cluster's: of two databases that are migrated at once, one makes them.
    Who may not make roles is told by `lifecycle check` what an administrator types; everything else works without them.
Undo: takes away what was granted in this database; the roles stay, as another database may use them.
"""

from alembic import op

revision = "0008"
down_revision = "0007"

_ROLES = ("lifecycle_operator", "lifecycle_deliverer", "lifecycle_reader")


def upgrade() -> None:
    for role in _ROLES:
        op.execute(f"""
        DO $$ BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
                CREATE ROLE {role} NOLOGIN;
            END IF;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN NULL;
            WHEN insufficient_privilege THEN RAISE NOTICE 'role {role} is not there: see lifecycle check';
        END $$""")


def downgrade() -> None:
    for role in _ROLES:
        op.execute(f"""
        DO $$ BEGIN
            IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
                EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM {role}', current_schema());
            END IF;
        END $$""")
