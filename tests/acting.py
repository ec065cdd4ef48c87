"""Logins in one of the database roles, working as one, and leaving a database for another."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from lifecycle.persistence import database
from lifecycle.persistence.roles import Role
from lifecycle.settings import settings


def login(owner_url: str, role: Role) -> str:
    """The URL for a login in the role, which is made: it is the cluster's and stays."""
    name = f"{role}_login"
    owner = database.connect(owner_url)
    with owner.begin() as db:
        if not db.execute(text("SELECT FROM pg_roles WHERE rolname = :name"), {"name": name}).all():
            db.execute(text(f"CREATE ROLE {name} LOGIN PASSWORD 'only in tests' IN ROLE {role}"))
    owner.dispose()
    url = make_url(owner_url).set(username=name, password="only in tests")
    return url.render_as_string(hide_password=False)


@contextmanager
def as_role(owner_url: str, role: Role, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever uses the configured database in the block does so in the role."""
    _use(login(owner_url, role), monkeypatch)
    try:
        yield
    finally:
        _use(owner_url, monkeypatch)


def disconnect() -> None:
    """Leave the configured database: what this process uses next may be another one."""
    if database.engine.cache_info().currsize:
        database.configured().dispose()
        database.engine.cache_clear()


def _use(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    disconnect()
    monkeypatch.setenv("LIFECYCLE_DATABASE_URL", url)
    settings.cache_clear()
