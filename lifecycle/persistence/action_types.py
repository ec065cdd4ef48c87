"""Types of CRM actions."""

from sqlalchemy import Connection, func, select

from lifecycle.persistence.tables import action_types


def of_base_type(db: Connection, base_type: str) -> dict[str, str]:
    """Titles by code, in order of the codes."""
    those = select(action_types.c.code, action_types.c.title).where(action_types.c.base_type == base_type)
    return {row.code: row.title for row in db.execute(those.order_by(func.convert_to(action_types.c.code, "UTF8")))}
