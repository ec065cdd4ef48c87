"""A mailing as an operator knows it: the command line, its summary without names, its delivery."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.mailing import DAY, business, write

HOLDERS = ("--mailing", "spring", "--segment", "policy=licence,service country=IT,GR")


def lifecycle(*command: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-c", "from deployments.cli import main; main()"]
    return subprocess.run([*program, *command], env=os.environ.copy(), capture_output=True, text=True, check=False)


def counts(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])["counts"]
    return found


def test_it_is_queued_from_the_command_line_and_delivered_and_nobody_is_named_in_prefect(
    home: Path, prefect_api: str, server_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", prefect_api)
    business(home, monkeypatch)
    write(home)
    refused = lifecycle("run", "mailing-run", "--mailing", "autumn", "--segment", "reseller=R1,R7")
    assert refused.returncode == 2
    assert "mailing: 'autumn' is not in" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert "segment: reseller 'R7' is not known; expected a reseller on record" in refused.stderr
    early = lifecycle("run", "mailing-run", *HOLDERS, "--business_date", str(DAY))
    assert early.returncode == 2
    assert early.stderr.endswith(f"business_date: {DAY} is yet to come; expected today or tomorrow, or a dry run\n")

    queued = counts(lifecycle("run", "mailing-run", *HOLDERS, "--json"))
    assert queued == {"in the segment": 3, "queued": 1, "skipped: no consent": 2}
    assert counts(lifecycle("run", "deliver-outbox", "--json")) == {"mailings: sent": 1}
    assert len(list((home / "mail" / "new").iterdir())) == 1

    stored = b"".join(file.read_bytes() for file in (server_home / "prefect").glob("prefect.db*"))
    assert b"mailing-run spring" in stored
    assert b"NOBODY" in stored  # a code, in the summary
    for named in ("Mario", "Rossi", "eleni@example.com", "Ελένη"):
        assert named.encode() not in stored
