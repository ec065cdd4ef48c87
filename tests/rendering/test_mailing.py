"""Mailings: what is wrong in a folder, and the mails made of a sound one."""

import json
import os
import re
from dataclasses import replace
from datetime import date
from html import unescape
from pathlib import Path

import pytest

from lifecycle.rendering.mailing import Mailing, Source, content, read
from lifecycle.rendering.operator_template import Recipient
from lifecycle.rendering.templates import Content, Issuer
from lifecycle.rules.findings import BadInput
from lifecycle.rules.languages import Locale
from lifecycle.rules.unsubscribing import Unsubscribing

ISSUER = Issuer("Lifecycle S.r.l.", "Via Roma 1, 33100 Udine", "IT01234567890")
RECIPIENT = Recipient("O'Brien & Figli <srl>", "D'Alò")
TOKEN = "u-1f-0123456789abcdef0123456789abcdef"
WAYS = Unsubscribing("stop@example.com", TOKEN, "https://example.com/stop?a=1&b=2")
FILES = {
    "it.subject": "Novità per {{ customer_name }}\n",
    "it.txt": "Gentile {{ customer_name }},\n\noggi è il {{ today }}.\n",
    "it.html": "<p>Gentile <b>{{ customer_name }}</b>,<br>oggi è il {{ today }}.</p>\n",
}
ENGLISH = {"en.subject": "News\n", "en.txt": "Hello\n", "en.html": "<p>Hello</p>\n"}

OFFER = "only the offered values: customer_name, reseller_name, reseller_email, reseller_phone, issuer_name, "
OFFER += "issuer_address, issuer_vat_number, today"


def folder(path: Path, files: dict[str, str | bytes]) -> Path:
    (path / "may").mkdir()
    for name, text in files.items():
        (path / "may" / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refused(path: Path, files: dict[str, str | bytes]) -> list[str]:
    with pytest.raises(BadInput) as error:
        read(folder(path, files), "may", "it")
    return [str(finding) for finding in error.value.findings]


def written(
    locale: Locale = "it", issuer: Issuer = ISSUER, ways: Unsubscribing = WAYS, *, agreed: bool = True
) -> Content:
    source = Source(FILES["it.subject"], FILES["it.txt"], FILES["it.html"])
    mailing = Mailing("may", "it", dict.fromkeys(("it", "el", "en"), source))
    return content(mailing, locale, RECIPIENT, date(2026, 5, 1), issuer, ways, agreed=agreed)


def seen(html: str) -> str:
    return unescape(re.sub(r"<[^>]*>", "", html))


def test_a_folder_is_read_in_the_languages_that_it_has(tmp_path: Path) -> None:
    mailing = read(folder(tmp_path, {**FILES, **ENGLISH, ".it.txt.swp": b"\0"}), "may", "it")
    assert (mailing.name, mailing.fallback, list(mailing.sources)) == ("may", "it", ["it", "en"])
    assert mailing.sources["it"] == Source(FILES["it.subject"], FILES["it.txt"], FILES["it.html"])


def test_all_that_is_wrong_is_said_at_once_with_file_and_line(tmp_path: Path) -> None:
    assert refused(
        tmp_path,
        {
            "it.subject": "one\ntwo\n",
            "it.txt": "a\n{{ customer_name.upper() }}\n{{ price }}\n",
            "it.html": b"<p>\n\xe8</p>",
            "en.subject": "News",
            "en.txt": "x" * 200_001,
            "de.txt": "Hallo",
        },
    ) == [
        "may/de.txt: is no part of a mailing; expected it, el, en with .subject, .txt and .html",
        "may/en.html: is missing; expected the subject, .txt and .html of each language",
        "may/en.txt: is too large; expected at most 200 kB",
        "may/it.html, line 2: is not UTF-8; expected text in UTF-8",
        "may/it.subject: has several lines; expected exactly one line",
        f"may/it.txt, line 2: a method or function is called; expected {OFFER}",
        f"may/it.txt, line 3: there is no value 'price'; expected {OFFER}",
    ]


def test_the_default_language_must_be_there(tmp_path: Path) -> None:
    missing = refused(tmp_path, {**ENGLISH})
    assert [line.split(";")[0] for line in missing] == [
        f"may/it.{kind}: is missing" for kind in ("html", "subject", "txt")
    ]


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    place = folder(tmp_path, {name: text for name, text in FILES.items() if name != "it.txt"})
    os.mkfifo(place / "may" / "it.txt")
    with pytest.raises(BadInput, match=r"may/it.txt: is missing"):
        read(place, "may", "it")


@pytest.mark.parametrize("name", ["../may", "may/..", "", "May", "-may", "m" * 65, "may\n"])
def test_a_name_cannot_lead_out_of_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match="cannot be a name; expected small letters, digits and -"):
        read(folder(tmp_path, {**FILES}), name, "it")


def test_an_unknown_mailing_is_answered_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"'june' is not in .*; expected one of: may$"):
        read(folder(tmp_path, {**FILES}), "june", "it")


@pytest.mark.parametrize(
    ("page", "problem"),
    [
        ("<p>\n<!-- not ended", "line 2: a tag or comment does not end; expected > or -->"),
        ('<p>\n<a href="{{ today }}', "line 2: a tag or comment does not end; expected > or -->"),
        ("<p>\n<![<", "line 2: a tag or comment does not end; expected > or -->"),
        ("<table>\n<tr><td>x</td></table>", "line 2: <tr> is not closed; expected </tr>"),
        ("<div>", "line 1: <div> is not closed; expected </div>"),
        ("<div/>", "line 1: <div> is not closed; expected </div>"),
        ("x</td></tr>", "line 1: </td> closes nothing; expected each tag opened and closed"),
        ("<script>x</script>", "line 1: <script> is used; expected only what stands within <body>"),
        ("<!doctype html>", "line 1: <!doctype html> is used; expected only what stands within <body>"),
        ("<html><body>x</body></html>", "line 1: <html> is used; expected only what stands within <body>"),
        ("<plaintext>", "line 1: <plaintext> is used; expected only what stands within <body>"),
    ],
)
def test_no_markup_can_swallow_the_foot_that_says_how_to_stop(tmp_path: Path, page: str, problem: str) -> None:
    assert refused(tmp_path, {**FILES, "it.html": page})[0].startswith(f"may/it.html, {problem}")


@pytest.mark.parametrize(
    "page",
    [
        "<p>one<p>two<ul><li>a<li>b</ul><br><img alt='x'><hr/>",
        '<!--[if mso]><table><tr><td><![endif]--><a href="{{ reseller_email }}">1 < 2 &amp; 3 > 2</a>',
        "{% if today %}\n<b>{{ today }}</b>\n{% endif %}{% raw %}<i>{{ }}</i>{% endraw %}",
    ],
)
def test_sound_markup_is_taken_as_it_is(tmp_path: Path, page: str) -> None:
    assert read(folder(tmp_path, {**FILES, "it.html": page}), "may", "it").sources["it"].html == page


def test_files_may_come_from_windows(tmp_path: Path) -> None:
    files = {name: b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode() for name, text in FILES.items()}
    mail = content(
        read(folder(tmp_path, {**files}), "may", "it"), "it", RECIPIENT, date(2026, 5, 1), ISSUER, WAYS, agreed=True
    )
    assert mail == written()


def test_what_was_read_is_what_is_stored_and_known_by_its_digest(tmp_path: Path) -> None:
    mailing = read(folder(tmp_path, {**FILES, **ENGLISH}), "may", "it")
    again = Mailing.from_json(json.loads(json.dumps(mailing.as_json())))
    assert again == mailing
    assert again.digest == mailing.digest
    assert re.fullmatch("[0-9a-f]{64}", mailing.digest)
    others = (
        replace(mailing, name="june"),
        replace(mailing, fallback="en"),
        replace(mailing, sources={"it": mailing.sources["it"]}),
    )
    assert mailing.digest not in {other.digest for other in others}


def test_a_mail_is_the_operators_text_within_our_page() -> None:
    mail = written()
    assert mail.subject == "Novità per O'Brien & Figli <srl>"
    assert mail.text.startswith(
        "Gentile O'Brien & Figli <srl>,\n\noggi è il 1º maggio 2026.\n\n-- \nLifecycle S.r.l.\n"
    )
    assert "<p>Gentile <b>O&#39;Brien &amp; Figli &lt;srl&gt;</b>,<br>oggi è il 1º maggio 2026.</p>" in mail.html
    assert "<title>Novità per O&#39;Brien &amp; Figli &lt;srl&gt;</title>" in mail.html


@pytest.mark.parametrize(
    ("locale", "words"),
    [
        ("it", ("Ricevete questa mail perché avete acconsentito", "rispondete a questa mail oppure", "questa pagina")),
        ("el", ("επειδή δώσατε τη συγκατάθεσή σας", "απαντήστε σε αυτό ή γράψτε", "από αυτή τη σελίδα")),
        ("en", ("because you agreed to it", "answer this mail or write to", "on this page")),
    ],
)
def test_the_foot_names_the_issuer_and_says_why_and_how_to_stop(locale: Locale, words: tuple[str, ...]) -> None:
    mail = written(locale)
    for body in (mail.text, seen(mail.html)):
        assert all(word in body for word in (*words, "stop@example.com", ISSUER.name, ISSUER.address, "IT01234567890"))
    assert f"unsubscribe {TOKEN}\n" in mail.text
    assert f"https://example.com/stop?a=1&b=2&token={TOKEN}\n" in mail.text
    assert f'href="mailto:stop@example.com?subject=unsubscribe%20{TOKEN}"' in mail.html
    assert f'href="https://example.com/stop?a=1&amp;b=2&amp;token={TOKEN}"' in mail.html
    assert f'<html lang="{locale}">' in mail.html


def test_who_did_not_consent_is_not_told_so() -> None:
    mail = written("en", agreed=False)
    assert "agreed" not in mail.text + mail.html
    assert "If you would rather not get any more" in mail.text


def test_what_is_not_known_leaves_no_empty_words() -> None:
    mail = written("it", Issuer("Lifecycle S.r.l."), Unsubscribing("stop@example.com", TOKEN))
    assert not re.search("pagina|IVA|None", mail.text + mail.html)


def test_who_reads_another_language_gets_all_of_the_mail_in_the_fallback() -> None:
    mailing = Mailing("may", "en", {"en": Source("News", "It is {{ today }}", "<p>{{ today }}</p>")})
    mail = content(mailing, "el", RECIPIENT, date(2026, 5, 1), ISSUER, WAYS, agreed=True)
    assert mail.text.startswith("It is 1 May 2026\n")
    assert "because you agreed to it" in mail.text
    assert '<html lang="en">' in mail.html
