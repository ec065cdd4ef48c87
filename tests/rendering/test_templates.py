"""Every mail there is, walked as files: whoever adds one gets these tests with it."""

from pathlib import Path

import pytest
from jinja2 import meta

from lifecycle.rendering.templates import MAILS, environment
from lifecycle.rules.languages import LOCALES

FOLDERS = sorted(path for path in MAILS.iterdir() if path.is_dir())
TEMPLATES = sorted(MAILS.rglob("*.*"))


def facts(path: Path) -> set[str]:
    """The names that a template takes from outside. Jinja counts an import that a block uses among them."""
    return meta.find_undeclared_variables(environment().parse(path.read_text())) - {"parts"}


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(MAILS)))
def test_each_template_compiles(path: Path) -> None:
    environment().get_template(str(path.relative_to(MAILS)))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_a_mail_is_complete_in_every_language(folder: Path) -> None:
    expected = {f"{locale}.{kind}" for locale in LOCALES for kind in ("subject", "txt", "html")}
    assert {path.name for path in folder.iterdir()} == expected


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_a_subject_is_one_line(folder: Path) -> None:
    for subject in folder.glob("*.subject"):
        assert subject.read_text().count("\n") == 1


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_languages_and_forms_tell_the_same_facts(folder: Path) -> None:
    for kind in ("subject", "txt", "html"):
        assert len({frozenset(facts(path)) for path in folder.glob(f"*.{kind}")}) == 1
    assert facts(folder / "it.txt") == facts(folder / "it.html")


@pytest.mark.parametrize("path", [path for path in TEMPLATES if path.suffix == ".html"], ids=lambda path: path.name)
def test_no_mail_loads_anything_from_outside(path: Path) -> None:
    page = path.read_text()
    assert not any(sign in page for sign in ("http:", "https:", "src=", "url(", "@import", "<script"))
