"""Who is not erased, why and until when: holds, only ever added. Of those with the same reason the last one counts."""


def held(customer: str, day: str) -> str:
    """SQL, true where a hold on the customer with this id lasts on the day. Columns are given qualified."""
    return f"""EXISTS (
    SELECT FROM (
        SELECT DISTINCT ON (holds.reason) holds.until_on FROM holds WHERE holds.customer_id = {customer}
        ORDER BY holds.reason, holds.id DESC
    ) AS hold WHERE hold.until_on >= {day})"""
