"""Templates that operators write. They reach the offered values and nothing else.

What keeps it so:

- Each is parsed, and every node of it must be one of the few that `_problem` lets pass: text, an offered value, a
  condition, a comparison for equality, ``~``, and four filters without arguments. There is nothing to call, to walk
  into or to repeat, so a template cannot read a secret, run for ever or grow beyond its own size times its values.
- What passes cannot fail later either: every name is known, and text can always be compared, joined and filtered.
- Nothing is compiled that was not checked: `_compiled` does both. The parser itself computes nothing.
- The environment is a sandbox without functions, tests and further filters: a second fence behind the first.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Literal

from jinja2 import StrictUndefined, Template, TemplateSyntaxError, nodes
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from lifecycle.rendering.locales import long_day
from lifecycle.rendering.templates import Issuer
from lifecycle.rules.findings import BadInput, Finding
from lifecycle.rules.languages import Locale

OFFERED = (
    "customer_name",
    "reseller_name",
    "reseller_email",
    "reseller_phone",
    "issuer_name",
    "issuer_address",
    "issuer_vat_number",
    "today",
)
"""The names that a template can use. Each is text, "" where it is not known."""

Form = Literal["text", "html"]

_FILTERS = ("upper", "lower", "capitalize", "trim")
_DEEPEST = 20
"""Levels of the syntax tree. Compiled to Python, conditions may be a hundred levels deep."""

_TOO_DEEP = "is nested too deeply", "fewer conditions within one another"
_VALUES = f"only the offered values: {', '.join(OFFERED)}"
_LINE_END = re.compile("\r\n|\r|\n")
_UNSAFE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_ALLOWED = frozenset(
    [
        nodes.TemplateData,
        nodes.Output,
        nodes.If,
        nodes.CondExpr,
        nodes.And,
        nodes.Or,
        nodes.Not,
        nodes.Operand,
        nodes.Concat,
    ]
)
_FORBIDDEN: tuple[tuple[type[nodes.Node] | tuple[type[nodes.Node], ...], str], ...] = (
    (nodes.Call, "a method or function is called"),
    ((nodes.Getattr, nodes.Getitem), "a part of a value is read"),
    (nodes.For, "a loop is used"),
    ((nodes.Assign, nodes.AssignBlock, nodes.With), "a name is set"),
    ((nodes.Macro, nodes.CallBlock), "a macro is used"),
    (
        (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends, nodes.Block),
        "another template or a block is used",
    ),
    (nodes.Test, "a test (is ...) is used"),
    ((nodes.BinExpr, nodes.UnaryExpr), "something is calculated"),
    ((nodes.Tuple, nodes.List, nodes.Dict), "a list is made"),
)


def _environment(form: Form) -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        autoescape=form == "html",
        trim_blocks=True,
        lstrip_blocks=True,
        optimized=False,
        cache_size=0,
    )
    environment.filters = {name: environment.filters[name] for name in _FILTERS}
    environment.globals = {}
    environment.tests = {}
    return environment


_ENVIRONMENTS: dict[Form, ImmutableSandboxedEnvironment] = {"text": _environment("text"), "html": _environment("html")}


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whom a mail addresses, and the reseller that looks after them; "" for what is not known."""

    customer_name: str
    reseller_name: str = ""
    reseller_email: str = ""
    reseller_phone: str = ""


def values(recipient: Recipient, day: date, locale: Locale, issuer: Issuer) -> dict[str, str]:
    """The offered values of one mail, written on `day`."""
    return {
        "customer_name": recipient.customer_name,
        "reseller_name": recipient.reseller_name,
        "reseller_email": recipient.reseller_email,
        "reseller_phone": recipient.reseller_phone,
        "issuer_name": issuer.name,
        "issuer_address": issuer.address,
        "issuer_vat_number": issuer.vat_number,
        "today": long_day(day, locale),
    }


def checked(source: str, where: str) -> list[Finding]:
    """All that keeps `source` from being used as a template; `where` names it."""
    unsafe = [
        Finding(where, *_unsafe(found[0]), line=number)
        for number, line in enumerate(_LINE_END.split(source), 1)
        if (found := _UNSAFE.search(line))
    ]
    return unsafe or list(_problems(source, where))


def checked_subject(source: str, where: str) -> list[Finding]:
    """As `checked`; besides, a subject must be one line with something on it."""
    lines = _LINE_END.split(source.strip())
    if lines == [""] or len(lines) > 1:
        problem = "has several lines" if len(lines) > 1 else "is empty"
        return [Finding(where, problem, "exactly one line")]
    return checked(source, where)


def blanked(source: str) -> str:
    """`source` without what is the template's: only what stands in every mail, on the same lines."""
    tokens = _ENVIRONMENTS["html"].lex(source)
    return "".join(text if kind == "data" else "\n" * text.count("\n") for _, kind, text in tokens)


def rendered(source: str, form: Form, offered: dict[str, str]) -> str:
    """The text. In HTML the values are escaped, the template's own markup stays.

    Raises BadInput for a template that `checked` finds fault with.
    """
    return _compiled(source, form).render(offered)


@lru_cache(maxsize=128)
def _compiled(source: str, form: Form) -> Template:
    """Compiling costs more than rendering, and a mailing renders the same three thousands of times."""
    if findings := checked(source, "template"):
        raise BadInput(findings)
    return _ENVIRONMENTS[form].from_string(source)


def _problems(source: str, where: str) -> Iterator[Finding]:
    try:
        parser = Parser(_ENVIRONMENTS["text"], source)
        tree = parser.parse()
    except TemplateSyntaxError as error:
        message = (error.message or "").rstrip(".")[:200]
        expected = "{{ value }} or {% if value %}...{% endif %}"
        yield Finding(where, f"is not a template: {message}", expected, line=error.lineno)
    except RecursionError:
        yield Finding(where, *_TOO_DEEP, line=parser.stream.current.lineno)
    except ValueError:  # from Python, for thousands of digits
        yield Finding(where, "has too long a number", 'text in quotes: "..."', line=parser.stream.current.lineno)
    else:
        for node in tree.body:
            yield from _below(node, where, 1)


def _below(node: nodes.Node, where: str, depth: int) -> Iterator[Finding]:
    """What is wrong with a node, or else in it. A construct that is refused is named once, not piece by piece."""
    problem = _problem(node) if depth <= _DEEPEST else _TOO_DEEP
    if problem:
        line = node.lineno or next((part.lineno for part in node.find_all(nodes.Node) if part.lineno), 0)
        yield Finding(where, *problem, line=line)
    else:
        for child in node.iter_child_nodes():
            yield from _below(child, where, depth + 1)


def _problem(node: nodes.Node) -> tuple[str, str] | None:
    match node:
        case nodes.Name(name=name):
            return None if name in OFFERED else (f"there is no value {name[:80]!r}", _VALUES)
        case nodes.Const(value=str(text)):
            return _unsafe(found[0]) if (found := _UNSAFE.search(text)) else None
        case nodes.Const():
            return "a number, true, false or none is used", 'text in quotes: "..."'
        case nodes.Filter():
            return _filter_problem(node)
        case nodes.Compare(ops=ops):
            return None if all(op.op in {"eq", "ne"} for op in ops) else ("values are ordered or searched", "== or !=")
        case nodes.CondExpr(expr2=None):
            return "an if inside {{ }} has no else", 'else ""'
    if type(node) in _ALLOWED:
        return None
    words = (words for kind, words in _FORBIDDEN if isinstance(node, kind))
    return next(words, "more than values and conditions is used"), _VALUES


def _unsafe(character: str) -> tuple[str, str]:
    return f"has the character U+{ord(character):04X}", "text without control characters"


def _filter_problem(node: nodes.Filter) -> tuple[str, str] | None:
    if node.name in _FILTERS and not (node.args or node.kwargs or node.dyn_args or node.dyn_kwargs):
        return None
    filters = ", ".join(_FILTERS)
    problem = f"the filter {node.name[:80]!r} is used" if node.name not in _FILTERS else f"{node.name} has arguments"
    return problem, f"one of the filters {filters}, without arguments"
