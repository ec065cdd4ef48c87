"""The CRM history: what was done about a customer, by whom; and the agendas of consultants."""

from datetime import date
from typing import Any

from sqlalchemy import Connection, text

_HISTORY = text("""
SELECT action_type AS type, title, operator, assigned_to, note, business_date, crm_actions.recorded_at
FROM crm_actions JOIN action_types ON action_types.code = action_type
WHERE customer_id = :customer AND business_date <= :day ORDER BY crm_actions.id
""")

_AGENDA = text("""
SELECT action_type AS type, title, customers.code AS customer, business_date, note
FROM crm_actions
JOIN action_types ON action_types.code = action_type
JOIN customers ON customers.id = customer_id
WHERE assigned_to = :operator ORDER BY business_date DESC, crm_actions.id DESC
""")


def history(db: Connection, customer: int, day: date) -> list[dict[str, Any]]:
    """The actions up to `day`, in the order in which they were recorded. A note is personal, and None once erased."""
    return [dict(row) for row in db.execute(_HISTORY, {"customer": customer, "day": day}).mappings()]


def agenda(db: Connection, operator: str) -> list[dict[str, Any]]:
    """The actions that stand in the operator's agenda, the newest first."""
    return [dict(row) for row in db.execute(_AGENDA, {"operator": operator}).mappings()]
