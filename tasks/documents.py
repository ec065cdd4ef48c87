"""Documents that a run leaves for people: files under the home, which Prefect knows by their path alone."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile, gettempprefix

from lifecycle.persistence import erasure
from lifecycle.persistence.database import transaction
from lifecycle.rules.documents import Document
from lifecycle.settings import settings


def kept(document: Document, content: bytes, *about: object) -> Path:
    """Write a document, readable for its owner only, in place of an earlier one. Returns where it is.

    Whole or not at all: whoever has the old file open keeps it. To be called in the transaction in which its content
    was read, after `erasure.keep_out`: else it could bring a name back.
    """
    path = place(document, *about)
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, delete=False) as draft:  # made with mode 0600
        draft.write(content)
    return Path(draft.name).replace(path)


def place(document: Document, *about: object) -> Path:
    """Where the document about these days, codes or names is, or will be."""
    return _folder() / document.named(*about)


def there_are(document: Document) -> Iterator[Path]:
    """All that there are of a kind."""
    return _folder().glob(document.all)


def remove_drafts() -> int:
    """Remove what writers that were killed have left half done. Returns how many there were."""
    removed = 0
    with transaction() as db:
        erasure.await_writers(db)
        for draft in _folder().rglob(f"{gettempprefix()}????????"):
            draft.unlink(missing_ok=True)
            removed += 1
    return removed


def _folder() -> Path:
    return settings().home / "documents"
