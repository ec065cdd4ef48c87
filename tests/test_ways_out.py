"""Nothing in the program goes around the gate: what is written of messages, looked at in its source.

That only two tasks reach what carries messages out is held by import-linter, and by the table of messages what the
source cannot show.
"""

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import lifecycle

ROOT = Path(lifecycle.__file__).parents[1]
PROGRAM = sorted(
    path
    for folder in ("lifecycle", "tasks", "flows", "deployments")
    for path in (ROOT / folder).rglob("*.py")
    if "migrations" not in path.parts
)
OUTBOX = ROOT / "lifecycle/persistence/outbox.py"
WRITES = re.compile(r"\b(INSERT\s+INTO|UPDATE|MERGE\s+INTO|COPY)\s+messages\b", re.IGNORECASE)
LEAVES = re.compile(r"""state\s*=\s*(CASE\b.*?)?('sending'|'sent'|'in_doubt'|'queued'|:|%)""", re.DOTALL)


def texts(path: Path) -> Iterator[str]:
    """All strings of a module, as they stand in it: of an f-string also what is put in."""
    source = path.read_text()
    inside = set[int]()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            inside.update(id(part) for part in ast.walk(node) if part is not node)
        is_text = isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))
        if is_text and id(node) not in inside:
            yield ast.get_source_segment(source, node) or ""


def writing() -> Iterator[tuple[Path, str]]:
    """What writes to the table of messages, each statement with what follows it in its text."""
    for path in PROGRAM:
        for each in texts(path) if WRITES.search(path.read_text()) else ():
            starts = [found.start() for found in WRITES.finditer(each)]
            for start, end in pairwise([*starts, len(each)]):
                yield path, each[start:end]


def names(path: Path) -> set[str]:
    return {alias.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)
            for alias in node.names}  # fmt: skip


def test_what_is_queued_to_customers_asks_at_the_gate() -> None:
    queued = [(path, each) for path, each in writing() if each.upper().startswith("INSERT")]
    assert len(queued) >= 6
    for path, statement in queued:
        columns = statement[: statement.index(")")]
        if "channel" in columns and "'call'" in statement:  # a call to the provisioning system contacts nobody
            continue
        assert "basis" in columns, (path, statement)
        assert re.search(r"\{CONTRACTUAL\}|\{gate\(|FROM asked\b", statement), (path, statement)


def test_only_the_outbox_makes_messages_leave() -> None:
    for path, statement in writing():
        if path != OUTBOX and statement.upper().startswith("UPDATE"):
            assert not LEAVES.search(statement.partition("WHERE")[0]), (path, statement)
            assert "basis" not in statement.partition("WHERE")[0], (path, statement)


def test_only_the_outbox_knows_the_table_of_messages_by_another_name() -> None:
    knowing = {path for path in PROGRAM if "messages" in names(path) or "tables.messages" in path.read_text()}
    assert knowing - {ROOT / "deployments/cli.py"} == {OUTBOX}  # the command line has a command of this name


def test_the_outbox_begins_what_leaves_in_one_statement_that_asks() -> None:
    begun = [statement for path, statement in writing() if path == OUTBOX and "'sending' ELSE" in statement]
    assert len(begun) == 1
    assert "asked.basis" in begun[0]
    sending = re.findall(r"state = [^,\n]*'sending'", OUTBOX.read_text())
    assert [found for found in sending if "WHERE" not in found and found.startswith("state = CASE")] == [
        "state = CASE WHEN missing IS NULL THEN 'sending'"
    ]


def test_only_delivery_hands_mails_over() -> None:
    handing = {
        path.relative_to(ROOT).as_posix()
        for path in PROGRAM
        for node in ast.walk(ast.parse(path.read_text()))
        if path.parent != ROOT / "lifecycle/delivery"
        and isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"send", "send_message", "sendmail"}
    }
    assert handing == {"tasks/delivery.py"}


def test_nothing_turns_the_databases_refusals_off() -> None:
    off = re.compile(r"session_replication_role|DISABLE\s+TRIGGER|DROP\s+TRIGGER", re.IGNORECASE)
    assert [path for path in PROGRAM if off.search(path.read_text())] == []
