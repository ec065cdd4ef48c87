"""What lies outside of the tables and holds values of the erased: mail folders, documents, Prefect.

Safety case. It runs after the portions are committed, and reads from the database who was erased: so it can be killed
anywhere, run again, and run for an erasure that is done, with the same end. Nobody's values are written anew meanwhile:
who reads names to write them keeps erasures out until it has written. What is removed is evidence of nothing that is
still to be decided: a mail in doubt is settled first. Where something cannot be reached it fails; until it succeeds the
erasure is not done.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import UUID

from prefect import task
from prefect.cache_policies import NO_CACHE

from lifecycle.persistence import erasure_traces, installation
from lifecycle.persistence.database import transaction
from lifecycle.rules.documents import Document, DocumentFate
from tasks import appointments_report, charge_run, open_cards_report, withdrawal_report
from tasks.delivery import forget_mails
from tasks.documents import remove_drafts, there_are
from tasks.runs import forget_parameters

MADE_ANEW: dict[Document, Callable[..., Any]] = {
    Document.APPOINTMENTS: appointments_report.rewrite,
    Document.OPEN_CARDS: open_cards_report.write_report.fn,
    Document.WITHDRAWALS: withdrawal_report.rewrite,
}
"""How a document is made anew, by the days it is about."""

STORED: dict[Document, Callable[[], set[str]]] = {Document.COLLECTION: charge_run.stored}
"""The names of those of which the tables hold what is in them."""


@task(cache_policy=NO_CACHE, retries=3, retry_delay_seconds=[10, 30, 60])
def clear_stores(erasure_id: UUID) -> Counter[str]:
    """Let everything outside of the tables lose the values of whom this erasure has erased. Returns what was done.

    Raises ForeignEnvironment, Unreachable, StillBeingSent, and whatever Prefect's server or the disk has to say.
    """
    with transaction() as db:
        installation.require_own(db)
    cleared = Counter({"mails removed": forget_mails(erasure_id)})
    cleared += clear_documents()
    cleared += forget_parameters()
    erasure_traces.vacuum()
    return cleared


def clear_documents() -> Counter[str]:
    """Do with the documents that there are what is said of their kinds. Returns how many, by what was done."""
    cleared = Counter({"drafts of documents removed": remove_drafts()})
    for document in Document:
        stored = STORED[document]() if document.fate is DocumentFate.REMOVED_WITH_ITS_ROW else set()
        for path in sorted(there_are(document)):
            if path.name in stored:
                continue
            if document.fate in {DocumentFate.REMOVED, DocumentFate.REMOVED_WITH_ITS_ROW}:
                path.unlink(missing_ok=True)
                cleared["documents removed"] += 1
            elif document.fate is DocumentFate.MADE_ANEW:
                days = document.days(path.name)
                if days is None:
                    cleared["documents left that a person has named"] += 1
                else:
                    MADE_ANEW[document](*days)
                    cleared["documents made anew"] += 1
    return +cleared
