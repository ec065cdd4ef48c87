"""``lifecycle run``: a flow, now, in this process."""

import json
from collections import deque
from importlib import import_module
from inspect import Parameter, getdoc, signature
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from lifecycle.rules.findings import BadInput, Finding
from lifecycle.rules.runs import RunFailed, Summary, Table, WaitsForPerson

FLOWS = Path(__file__).parent.parent / "flows"

# No parameter can be named "from".
_SHORT = {"from": "from_date", "to": "to_date"}


def run(name: str, tokens: list[str], *, as_json: bool) -> None:
    """Run the flow of that deployment name and print its result, also that of a run in which items failed.

    Raises BadInput for wrong names and values, and what the flow raises.
    """
    try:
        flow = _flow(name)
        summary: Summary = flow(**_parameters(flow.fn, tokens))
    except (WaitsForPerson, RunFailed) as ended:
        _print(ended.summary, "waiting" if isinstance(ended, WaitsForPerson) else "failed", as_json=as_json)
        raise
    except Exception as error:
        if isinstance(error, BadInput) and error.summary:
            _print(error.summary, "refused", as_json=as_json)
        elif as_json:
            outcome = "refused" if isinstance(error, BadInput) else "failed"
            print(json.dumps({"flow": name, "business_date": None, "outcome": outcome, "counts": {}, "run_id": None}))
        raise
    _print(summary, "completed", as_json=as_json)


def names() -> list[str]:
    """The names of the flows that can be run."""
    return sorted(path.stem.replace("_", "-") for path in FLOWS.glob("*.py") if "@flow(" in path.read_text())


def describe(name: str) -> str:
    """What a flow does, and its parameters."""
    return getdoc(_flow(name).fn) or name


def _flow(name: str) -> Any:
    if name not in names():
        raise BadInput([Finding("FLOW", f"{name!r} is no flow", f"one of {', '.join(names())}")])
    stem = name.replace("-", "_")
    return getattr(import_module(f"flows.{stem}"), stem)


def _parameters(function: Any, tokens: list[str]) -> dict[str, Any]:
    """Values from ``--name value``, ``--name=value`` or, for a switch, ``--name`` alone; all that is wrong at once."""
    known = signature(function, eval_str=True).parameters
    given = _pairs(deque(tokens))
    for short, name in _SHORT.items():
        if short in given and name in known:
            given[name] = given.pop(short)
    findings = [
        Finding(f"--{name}", "no such parameter", " ".join(f"--{n}" for n in known))
        for name in given
        if name not in known
    ]
    findings += [
        Finding(f"--{name}", "is missing", "a value")
        for name, parameter in known.items()
        if parameter.default is Parameter.empty and name not in given
    ]
    values: dict[str, Any] = {}
    for name in given.keys() & known.keys():
        try:
            values[name] = TypeAdapter(known[name].annotation).validate_python(given[name])
        except ValidationError as error:
            findings += [Finding(f"--{name}", f"{e['input']!r}", e["msg"]) for e in error.errors()]
    if findings:
        raise BadInput(findings)
    return values


def _pairs(tokens: deque[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    while tokens:
        name, equals, value = tokens.popleft().removeprefix("--").partition("=")
        if not equals:
            value = tokens.popleft() if tokens and not tokens[0].startswith("--") else "true"
        pairs[name.replace("-", "_")] = value
    return pairs


def _print(summary: Summary, outcome: str, *, as_json: bool) -> None:
    if as_json:
        result = {
            "flow": summary.flow,
            "business_date": str(summary.business_date),
            "outcome": outcome,
            "counts": dict(summary.counts),
            "run_id": str(summary.run_id),
            "dry_run": summary.dry_run,
        }
        print(json.dumps(result, ensure_ascii=False))
        return
    print(f"{summary.flow} {summary.business_date}: {outcome}{' (dry run)' if summary.dry_run else ''}")
    for reason, number in sorted(summary.counts.items()):
        print(f"{number:>10}  {reason}")
    if summary.dry_run or outcome == "waiting":  # of what is done the figures tell enough
        for table in summary.tables:
            _print_table(table)
    for note in summary.notes:
        print(note)


def _print_table(table: Table) -> None:
    if not table.rows:
        return
    rows = [table.header, *(tuple(map(str, row)) for row in table.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    print(f"\n{table.title}")
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print()
