"""Run by Alembic: inside the program on the connection it hands over, from the shell on LIFECYCLE_DATABASE_URL."""

import os

from alembic import context
from sqlalchemy import Connection, create_engine

from lifecycle.persistence.tables import metadata


def migrate(db: Connection) -> None:
    context.configure(connection=db, target_metadata=metadata, transaction_per_migration=False)
    with context.begin_transaction():
        context.run_migrations()


if (given := context.config.attributes.get("connection")) is not None:
    migrate(given)
else:
    url = os.environ["LIFECYCLE_DATABASE_URL"].split("://", 1)[1]
    with create_engine(f"postgresql+psycopg://{url}").begin() as db:
        migrate(db)
