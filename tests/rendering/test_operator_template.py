"""What operators' templates can do, and that they can do nothing else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifecycle.rendering.operator_template import OFFERED, checked, checked_subject, rendered
from lifecycle.rules.findings import BadInput

VALUES = {name: f"<{name}>" for name in OFFERED}
OFFER = "only the offered values: customer_name, reseller_name, reseller_email, reseller_phone, issuer_name, "
OFFER += "issuer_address, issuer_vat_number, today"

HOSTILE = [
    # reading what was not offered
    ("{{ customer_name.__class__.__mro__ }}", "a part of a value is read"),
    ("{{ customer_name['__class__'] }}", "a part of a value is read"),
    ("{{ today[0:9] }}", "a part of a value is read"),
    ("{{ self._TemplateReference__context }}", "a part of a value is read"),
    ("{{ cycler.__init__.__globals__.os.environ }}", "a part of a value is read"),
    ("{{ '{0.__class__}'.format(today) }}", "a method or function is called"),
    ("{{ lipsum.__globals__['os'].popen('id').read() }}", "a method or function is called"),
    ("{% call today() %}x{% endcall %}", "a macro is used"),
    ("{{ today|attr('__class__') }}", "the filter 'attr' is used"),
    ("{{ self }}", "there is no value 'self'"),
    ("{{ environment }}", "there is no value 'environment'"),
    ("{{ custmer_name }}", "there is no value 'custmer_name'"),
    ("{% if today %}a{% elif secret %}b{% endif %}", "there is no value 'secret'"),
    ("{% include '/etc/passwd' %}", "another template or a block is used"),
    ("{% import 'parts.html' as parts %}", "another template or a block is used"),
    ("{% extends 'layout.html' %}", "another template or a block is used"),
    ("{% block foot %}{% endblock %}", "another template or a block is used"),
    # never ending, or growing
    ("{% for letter in today %}{{ letter }}{% endfor %}", "a loop is used"),
    ("{{ range(10**9) }}", "a method or function is called"),
    ("{{ 'x' * 10**9 }}", "something is calculated"),
    ("{{ -today }}", "something is calculated"),
    ("{{ 'x'|center(10**9) }}", "the filter 'center' is used"),
    ("{{ today|trim('x') }}", "trim has arguments"),
    ("{% macro a() %}{{ a() }}{% endmacro %}", "a macro is used"),
    ("{{ " + "(" * 500 + "today" + ")" * 500 + " }}", "is nested too deeply"),
    ("{% if today %}" * 21 + "{% endif %}" * 21, "is nested too deeply"),
    ("{% if today %}" * 5000 + "{% endif %}" * 5000, "is nested too deeply"),
    ("{{ " + "not " * 5000 + "today }}", "is nested too deeply"),
    ("{{ " + "9" * 5000 + " }}", "has too long a number"),
    # failing later, for the one or the other recipient
    ("{{ 'a' if reseller_name }}", "an if inside {{ }} has no else"),
    ("{{ today < 5 }}", "values are ordered or searched"),
    ("{{ 'a' in (not today) }}", "values are ordered or searched"),
    ("{{ 5 }}", "a number, true, false or none is used"),
    (r"{{ '\ud800' }}", "has the character U+D800"),
    # changing what is around
    ("{% set today = 'never' %}", "a name is set"),
    ("{% with today = 'never' %}{% endwith %}", "a name is set"),
    ("{% autoescape false %}{{ today }}{% endautoescape %}", "more than values and conditions is used"),
    ("{% filter upper %}x{% endfilter %}", "more than values and conditions is used"),
    ("{{ today is defined }}", "a test (is ...) is used"),
    ("{{ [today] }}", "a list is made"),
    # no template, or no text
    ("{{ today", "is not a template: unexpected end of template, expected 'end of print statement'"),
    ("{% do today %}", "is not a template: Encountered unknown tag 'do'"),
    ("{{ today!r }}", "is not a template: unexpected char '!' at 16"),
    ("{# no end", "is not a template: Missing end of comment tag"),
    ("a\0b", "has the character U+0000"),
    ("a\x1bb", "has the character U+001B"),
]


@pytest.mark.parametrize(("source", "problem"), HOSTILE, ids=lambda text: text[:40])
def test_what_is_not_offered_is_refused_in_words_and_never_compiled(source: str, problem: str) -> None:
    [finding, *_] = checked(f"one\ntwo\n{source}", "may/it.txt")
    assert (finding.place, finding.problem) == ("may/it.txt, line 3", problem)
    with pytest.raises(BadInput, match="line 1"):
        rendered(source, "html", VALUES)


def test_a_finding_says_what_can_be_used() -> None:
    [called, filtered] = checked("{{ today.upper() }}\r\n\r\n{{ today|title }}", "it.txt")
    assert str(called) == f"it.txt, line 1: a method or function is called; expected {OFFER}"
    assert str(filtered).endswith(
        "line 3: the filter 'title' is used; expected one of the filters upper, lower, capitalize, trim, "
        "without arguments"
    )


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("Dear {{ customer_name }}, it is {{ today }}.", "Dear <customer_name>, it is <today>."),
        ("{{ 'Dear ' ~ customer_name|upper|trim ~ \"!\" }}", "Dear <CUSTOMER_NAME>!"),
        ("{% if reseller_name and not (today == 'x') %}a{% elif today %}b{% else %}c{% endif %}", "a"),
        ("{{ reseller_phone if reseller_phone != '' else reseller_email or 'none' }}", "<reseller_phone>"),
        ("{% raw %}{{ secret }}{% endraw %}{# {{ secret }} #}", "{{ secret }}"),
        ("{% if today %}" * 18 + "x" + "{% endif %}" * 18, "x"),
        ("a\r\nb", "a\nb"),
        ("{{ " + " ~ ".join(["today"] * 300) + " }}", "<today>" * 300),
    ],
)
def test_values_conditions_and_a_few_filters_can_be_used(source: str, text: str) -> None:
    assert checked(source, "it.txt") == []
    assert rendered(source, "text", VALUES) == text


def test_in_html_values_are_escaped_and_markup_is_kept() -> None:
    source = "<b>{{ customer_name|upper }}</b> {{ '<i>' ~ today ~ '</i>' }}"
    assert rendered(source, "html", VALUES) == "<b>&lt;CUSTOMER_NAME&gt;</b> &lt;i&gt;&lt;today&gt;&lt;/i&gt;"


ATOMS = st.sampled_from(["today", "issuer_name", "'x'", "'<b>'", "today", "5", "none", "secret", "[today]"])
EXPRESSIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["~", "==", "!=", "and", "or", "<", "in", "+"]), inner, inner).map(
            lambda e: f"({e[1]} {e[0]} {e[2]})"
        ),
        st.tuples(inner, st.sampled_from(["upper", "lower", "capitalize", "trim", "list", "trim(5)"])).map("|".join),
        st.tuples(inner, inner, inner).map(lambda e: f"({e[0]} if {e[1]} else {e[2]})"),
        inner.map(lambda e: f"(not {e})"),
    ),
    max_leaves=5,
)
TEMPLATES = st.lists(
    EXPRESSIONS.map(lambda e: f"{{{{ {e} }}}}") | EXPRESSIONS.map(lambda e: f"{{% if {e} %}}<b>{{% endif %}}"),
    max_size=3,
).map("\n".join)


@settings(max_examples=500, deadline=None)
@given(source=TEMPLATES, values=st.sampled_from([VALUES, dict.fromkeys(OFFERED, "")]))
def test_what_passes_can_always_be_rendered(source: str, values: dict[str, str]) -> None:
    if not checked(source, "it.txt"):
        assert len(rendered(source, "html", values)) <= len(source) * 30


@pytest.mark.parametrize(
    ("source", "problem"),
    [("", "is empty"), (" \n", "is empty"), ("a\nb\n", "has several lines"), ("{{\ntoday }}", "has several lines")],
)
def test_a_subject_is_one_line_with_something_on_it(source: str, problem: str) -> None:
    assert [finding.problem for finding in checked_subject(source, "it.subject")] == [problem]
    assert checked_subject("News\r\n", "it.subject") == []
