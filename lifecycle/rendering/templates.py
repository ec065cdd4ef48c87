"""Mails from templates: a mail is a folder under ``mails/`` with a subject, a text and an HTML page per language."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from lifecycle.rules.languages import Locale

MAILS = Path(__file__).with_name("mails")


@dataclass(frozen=True, slots=True)
class Content:
    """What a person reads: the subject on one line, and twice the same facts."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who writes, as it stands at the foot of every mail. An empty address or VAT number is left out."""

    name: str
    address: str = ""
    vat_number: str = ""


@cache
def environment() -> Environment:
    """Compiled templates stay in the process: compiling one costs more than rendering it."""
    return Environment(
        loader=FileSystemLoader(MAILS),
        undefined=StrictUndefined,
        autoescape=select_autoescape(enabled_extensions=("html",)),
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )


def render(mail: str, locale: Locale, **facts: object) -> Content:
    """The mail `mail` (a folder's name) in one language. Raises jinja2.UndefinedError for a fact that is missing."""
    templates = environment()
    subject = templates.get_template(f"{mail}/{locale}.subject").render(facts)
    return Content(
        subject=subject,
        text=templates.get_template(f"{mail}/{locale}.txt").render(facts),
        html=templates.get_template(f"{mail}/{locale}.html").render(facts, subject=subject, locale=locale),
    )
