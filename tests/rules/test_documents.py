"""Every kind of document says what becomes of it, and there is no other way to keep one."""

import ast
from datetime import date
from pathlib import Path

import pytest

from lifecycle.rules.documents import Document, DocumentFate
from tasks.erasure_stores import MADE_ANEW

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("document", Document)
def test_every_kind_says_what_it_holds_and_what_becomes_of_it(document: Document) -> None:
    assert document.holds
    assert (document in MADE_ANEW) == (document.fate is DocumentFate.MADE_ANEW)


def test_the_folder_of_documents_is_known_to_one_module_alone() -> None:
    """Whatever is written there goes by a kind, and with it by a fate."""
    sources = [
        path for folder in ("tasks", "flows", "lifecycle", "deployments") for path in (ROOT / folder).rglob("*.py")
    ]
    naming = {
        path.relative_to(ROOT).as_posix()
        for path in sources
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.BinOp) and isinstance(node.right, ast.Constant) and node.right.value == "documents"
    }
    assert naming == {"tasks/documents.py"}


def test_the_days_that_a_document_is_about_are_in_its_name() -> None:
    name = Document.OPEN_CARDS.named(date(2026, 3, 1))
    assert name == "open-cards-2026-03-01.xlsx"
    assert Document.OPEN_CARDS.days(name) == [date(2026, 3, 1)]
    assert Document.CONSENTS.days(name) is None
    assert Document.OPEN_CARDS.days(f"{name}.old") is None
