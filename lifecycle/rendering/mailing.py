"""Mailings: what operators write to many, kept as folders, and each recipient's mail made of it.

A mailing is read and checked whole before anything is queued. What is sent is then what was read: it is stored with the
run, so that a file changed meanwhile changes nothing.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from markupsafe import Markup

from lifecycle.rendering import operator_template
from lifecycle.rendering.operator_template import Recipient
from lifecycle.rendering.templates import Content, Issuer, render
from lifecycle.rules.findings import BadInput, Finding
from lifecycle.rules.languages import LOCALES, Locale
from lifecycle.rules.records import shown
from lifecycle.rules.unsubscribing import Unsubscribing

LARGEST = 200_000
"""Bytes of one file. Some large mailbox providers cut what is longer than 100 kB already."""

_NAME = re.compile("[a-z0-9][a-z0-9-]{0,63}")
_OF_A_PAGE = frozenset(["html", "head", "body", "base", "script", "plaintext", "frameset"])
_VOID = frozenset(["area", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"])
_CLOSED_BY_OTHERS = frozenset(["p", "li", "dt", "dd"])
_CONTENT_ONLY = "only what stands within <body>: the page around it is ours"
_FILES = {"subject": "subject", "text": "txt", "html": "html"}


@dataclass(frozen=True, slots=True)
class Source:
    """A mailing's templates in one language."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class Mailing:
    """A mailing that was checked. `sources` holds the languages that it has; who reads another gets `fallback`."""

    name: str
    fallback: Locale
    sources: Mapping[Locale, Source]

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Mailing":
        """The mailing that `as_json` wrote down."""
        sources = {locale: Source(**source) for locale, source in stored["sources"].items()}
        return cls(stored["name"], stored["fallback"], sources)

    def as_json(self) -> dict[str, Any]:
        """The mailing as plain objects and texts."""
        sources = {locale: asdict(source) for locale, source in self.sources.items()}
        return {"name": self.name, "fallback": self.fallback, "sources": sources}

    @property
    def digest(self) -> str:
        """SHA-256 over everything in it, in hexadecimal."""
        return hashlib.sha256(json.dumps(self.as_json(), sort_keys=True).encode()).hexdigest()


def read(folder: Path, name: str, default_locale: Locale) -> Mailing:
    """The mailing `name` of an operator's `folder`: ``<name>/it.subject``, ``it.txt``, ``it.html`` and so on.

    Raises BadInput with all that is wrong in any of its files. Hidden files are left alone: editors and Kubernetes
    keep their own beside ours.
    """
    if not _NAME.fullmatch(name):
        raise BadInput([Finding("mailing", f"{name[:80]!r} cannot be a name", "small letters, digits and -, up to 64")])
    place = folder / name
    if not place.is_dir():
        known = sorted(path.name for path in folder.glob("*/") if _NAME.fullmatch(path.name))
        raise BadInput([Finding("mailing", f"{name!r} is not in {folder}", f"one of: {', '.join(known) or '(none)'}")])
    present = {path.name for path in place.iterdir() if not path.name.startswith(".")}
    expected = {f"{locale}.{ending}" for locale in LOCALES for ending in _FILES.values()}
    findings = [
        Finding(
            f"{name}/{shown(file)}", "is no part of a mailing", f"{', '.join(LOCALES)} with .subject, .txt and .html"
        )
        for file in sorted(present - expected)
    ]
    languages = [
        locale for locale in LOCALES if locale == default_locale or any(f.startswith(f"{locale}.") for f in present)
    ]
    sources: dict[Locale, Source] = {}
    for locale in languages:
        texts = {form: _text(place / f"{locale}.{ending}", findings) for form, ending in _FILES.items()}
        sources[locale] = Source(**texts)
    if findings:
        raise BadInput(findings)
    return Mailing(name, default_locale, sources)


def content(
    mailing: Mailing,
    locale: Locale,
    recipient: Recipient,
    day: date,
    issuer: Issuer,
    unsubscribing: Unsubscribing,
    *,
    agreed: bool,
) -> Content:
    """The mail to one recipient, written on `day`: the operator's text within our page, and how to stop it at the foot.

    `agreed`: the recipient consented; the foot then says that this is why.
    Where the mailing lacks the language, all of the mail is in its fallback.
    """
    locale = locale if locale in mailing.sources else mailing.fallback
    source = mailing.sources[locale]
    values = operator_template.values(recipient, day, locale, issuer)
    html = operator_template.rendered(source.html, "html", values)
    return render(
        "mailing",
        locale,
        body=Content(
            operator_template.rendered(source.subject, "text", values).strip(),
            operator_template.rendered(source.text, "text", values).strip("\n"),
            Markup(html),  # noqa: S704 - the operator's own markup; the values in it are escaped
        ),
        issuer=issuer,
        unsubscribing=unsubscribing,
        agreed=agreed,
    )


def _text(path: Path, findings: list[Finding]) -> str:
    """The file's text; what is wrong with it is added to `findings`."""
    where = f"{path.parent.name}/{path.name}"
    if not path.is_file():
        findings.append(Finding(where, "is missing", "the subject, .txt and .html of each language"))
        return ""
    with path.open("rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        findings.append(Finding(where, "is too large", f"at most {LARGEST // 1000} kB"))
        return ""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        findings.append(Finding(where, "is not UTF-8", "text in UTF-8", line=data.count(b"\n", 0, error.start) + 1))
        return ""
    check = {".subject": operator_template.checked_subject, ".html": _checked_page}
    findings += check.get(path.suffix, operator_template.checked)(text, where)
    return text


def _checked_page(source: str, where: str) -> list[Finding]:
    return operator_template.checked(source, where) or [
        Finding(where, problem, expected, line=line)
        for line, problem, expected in _Fragment(operator_template.blanked(source)).problems
    ]


class _Fragment(HTMLParser):
    """What would make a piece of HTML break out of our page, or swallow the foot that says how to stop the mails."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.problems: list[tuple[int, str, str]] = []
        self._open: list[tuple[str, int]] = []
        self._depths: Counter[str] = Counter()
        with suppress(AssertionError):  # it stops at a malformed <![ and keeps the rest
            self.feed(html)
        if "<" in self.rawdata:
            self._add("a tag or comment does not end", "> or -->")
        while self._open:
            self._close_last("")

    def handle_decl(self, decl: str) -> None:
        self._add(f"<!{shown(decl, 20)}> is used", _CONTENT_ONLY)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - theirs
        if tag in _OF_A_PAGE:
            self._add(f"<{tag}> is used", _CONTENT_ONLY)
        elif tag not in _VOID:
            self._open.append((tag, self.getpos()[0]))
            self._depths[tag] += 1

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)  # in HTML the slash of <div/> says nothing

    def handle_endtag(self, tag: str) -> None:
        if self._depths[tag]:
            while self._close_last(tag) != tag:
                pass
        elif tag not in _OF_A_PAGE | _VOID:
            self._add(f"</{shown(tag, 20)}> closes nothing", "each tag opened and closed")

    def _close_last(self, by: str) -> str:
        tag, line = self._open.pop()
        self._depths[tag] -= 1
        if tag != by and tag not in _CLOSED_BY_OTHERS:
            self.problems.append((line, f"<{shown(tag, 20)}> is not closed", f"</{shown(tag, 20)}>"))
        return tag

    def _add(self, problem: str, expected: str) -> None:
        self.problems.append((self.getpos()[0], problem, expected))
