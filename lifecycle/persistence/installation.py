"""Whose database this is: of the environment that used it first, under the name that it had then.

A copy under another name, or used by another environment, is read, reported on and played with, and neither sends nor
erases. PostgreSQL tells the name, so that no setting has to be remembered where a copy lies beside its original; one
under the same name on another server is known by LIFECYCLE_ENVIRONMENT alone.
"""

from typing import NamedTuple

from sqlalchemy import Connection, text

from lifecycle.persistence import ForeignEnvironment
from lifecycle.settings import settings


class Place(NamedTuple):
    environment: str
    database: str

    def __str__(self) -> str:
        return f"{self.environment}/{self.database}"


def claim(db: Connection) -> None:
    """Make the database ours where it is nobody's yet."""
    if owner(db) is None:  # else nothing is written: it can be a server that is only read
        db.execute(
            text("""
            INSERT INTO installation (id, environment, database) VALUES (1, :environment, :database)
            ON CONFLICT (id) DO NOTHING"""),
            _here(db)._asdict(),
        )


def owner(db: Connection) -> Place | None:
    """Whose it is; None: nobody's yet."""
    row = db.execute(text("SELECT environment, database FROM installation")).one_or_none()
    return Place(*row) if row else None


def is_own(db: Connection) -> bool:
    return owner(db) == _here(db)


def require_own(db: Connection) -> None:
    """Raise ForeignEnvironment where the database is not ours: before anything is sent or erased."""
    if not is_own(db):
        raise ForeignEnvironment(str(owner(db)), str(_here(db)))


def adopt(db: Connection, former: str) -> bool:
    """Make a database ours that was moved or renamed for good. False: it was not the `former` owner's."""
    if str(owner(db)) != former:
        return False
    db.execute(text("UPDATE installation SET environment = :environment, database = :database"), _here(db)._asdict())
    return True


def _here(db: Connection) -> Place:
    return Place(settings().environment, db.execute(text("SELECT current_database()")).scalar_one())
