"""Documents that a run leaves for people: files under the home, which Prefect knows by their path alone."""

from pathlib import Path
from tempfile import NamedTemporaryFile

from lifecycle.settings import settings


def kept(name: str, content: bytes) -> Path:
    """Write a document, readable for its owner only, in place of an earlier one. Returns where it is.

    Whole or not at all: whoever has the old file open keeps it.
    """
    path = settings().home / "documents" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, delete=False) as draft:  # made with mode 0600
        draft.write(content)
    return Path(draft.name).replace(path)
