"""Who is not erased, why and until when: holds, only ever added. Of those with the same reason the last one counts."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Connection, Row, text


def held(customer: str, day: str) -> str:
    """SQL, true where a hold on the customer with this id lasts on the day. Columns among the arguments are qualified."""
    return f"""EXISTS (
    SELECT FROM (
        SELECT DISTINCT ON (holds.reason) holds.until_on FROM holds WHERE holds.customer_id = {customer}
        ORDER BY holds.reason, holds.id DESC
    ) AS hold WHERE hold.until_on >= {day})"""


def on(db: Connection, code: str) -> tuple[int, dict[str, date]] | None:
    """The id of the customer with this code, and until when each of its holds lasts, by reason; None: there is none.

    The customer is locked until the transaction ends, so that recordings, and erasing it, take turns.
    """
    raise NotImplementedError
