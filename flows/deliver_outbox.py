"""Delivery: hands what the outbox holds to the mail server or the mail folder."""

from prefect import flow


@flow(name="deliver-outbox")
def deliver_outbox(dry_run: bool = False) -> None:
    """Deliver what is due.

    Args:
        dry_run: Only say what would be sent.
    """
    raise NotImplementedError
