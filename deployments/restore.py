"""``lifecycle erasure reapply`` and ``lifecycle adopt``: after a database was restored, moved or renamed."""

from collections import Counter

from lifecycle.persistence import installation, ledger, outbox, reapplying
from lifecycle.persistence.database import accepting_an_older_one, transaction
from lifecycle.persistence.ledger import Done
from lifecycle.rules.findings import BadInput, Finding
from lifecycle.rules.outbox import State
from tasks.erasure_stores import clear_stores


def reapply() -> None:
    """Apply the whole ledger to the database, in portions; killed, it goes on where it is run again.

    Raises ForeignEnvironment, LedgerUnusable, and what `clear_stores` raises.
    """
    counts: Counter[str] = Counter()
    with accepting_an_older_one():
        with transaction() as db:
            installation.require_own(db)
        for line in ledger.read():
            if isinstance(line, Done):
                _done(line)
            else:
                with transaction() as db:
                    counts.update(reapplying.reapply(db, line))
    with transaction() as db:
        queued = outbox.backlog(db)[State.QUEUED]
    for what, number in counts.items():
        print(f"{number:>10}  {what}")
    print(f"{queued} messages are queued. Those sent since the backup was made would be sent again.")


def _done(line: Done) -> None:
    """What lies outside of the tables may be restored too: it is cleared before the database knows that all is done."""
    with transaction() as db:
        known = reapplying.is_done(db, line)
    if not known:
        clear_stores.fn(line.id)
        with transaction() as db:
            reapplying.record_done(db, line)


def adopt(owner: str) -> None:
    """Make the database this installation's. Raises BadInput where it is not `owner`'s."""
    with accepting_an_older_one(), transaction() as db:
        if not installation.adopt(db, owner):
            belongs = f"the environment and database that it is of: {installation.owner(db)}"
            raise BadInput([Finding("NAME", f"the database is not that of {owner}", belongs)])
        queued = outbox.backlog(db)[State.QUEUED]
    print(f"{queued} messages are queued and will be sent from here.")
