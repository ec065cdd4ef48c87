"""The end of an erasure: it is said to be done, certified, and its administrator told, all together or not at all."""

from datetime import datetime
from uuid import UUID

from prefect import task
from prefect.cache_policies import NO_CACHE

from lifecycle.persistence import erasure_certificate, outbox
from lifecycle.persistence.database import Transaction, transaction
from lifecycle.persistence.outbox import Message
from lifecycle.rendering import erasure_certificate as rendering
from lifecycle.rules.documents import Document
from lifecycle.rules.erasure import CONFIRMATION, Certificate
from lifecycle.settings import settings
from tasks.documents import kept
from tasks.issuer import issuer
from tasks.retries import transient


@task(cache_policy=NO_CACHE, **transient)
def finish(erasure: UUID, run_id: UUID, now: datetime) -> Certificate:
    """Say that an approved erasure is done, with its certificate, and queue the mail to who approved it.

    The document is written before the commit: a kill in between leaves it to be written again, never a done erasure
    without it. Of one that is done already nothing is changed but the document, which is written once more.
    Raises NotDone and NothingChanged.
    """
    with transaction() as db:
        newly = erasure_certificate.finish(db, erasure, now)
        certificate = erasure_certificate.read(db, erasure, settings().zone)
        if newly:
            erasure_certificate.store(db, erasure, rendering.pdf(certificate, issuer(), settings().locale))
            _tell(db, certificate, run_id)
        about = certificate.criteria.day, certificate.erasure.hex[:8]
        kept(Document.CERTIFICATE, erasure_certificate.document(db, erasure), *about)
    return certificate


def _tell(db: Transaction, certificate: Certificate, run_id: UUID) -> None:
    to = erasure_certificate.approver(db, certificate.erasure)
    mail = Message(
        key=f"{CONFIRMATION}/{certificate.erasure}",
        kind=CONFIRMATION,
        recipient=to.email,
        recipient_name=to.name,
        business_date=certificate.finished_at.date(),
        run_id=run_id,
        to_operator_id=to.id,
    )
    outbox.queue(db, [mail])
