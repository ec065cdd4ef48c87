"""The handbook is about what there is: every flow, and every link leads somewhere."""

import re
from pathlib import Path

import pytest

from deployments.deploy import ROOT
from deployments.run import names

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PARTS = ("**If ", "**Again?**", "**The ")


def anchors(page: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page, flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    dead = []
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        if "://" not in link and not (target.exists() and (not anchor or anchor in anchors(target.read_text()))):
            dead.append(link)
    assert dead == []


def test_the_runbook_has_a_paragraph_for_each_flow() -> None:
    runbook = (ROOT / "docs" / "runbook.md").read_text()
    sections = re.split(r"^### ", runbook, flags=re.MULTILINE)[1:]
    about = {name: text for text in sections for name in text.partition("\n")[0].split(", ")}
    assert sorted(about) == names()
    assert [(name, part) for name in names() for part in PARTS if part not in about[name]] == []
