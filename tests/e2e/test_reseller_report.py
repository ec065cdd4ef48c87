"""The whole slice as an operator runs it: files, deployments, a worker, mails in a folder, a summary in the UI."""

import csv
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment

from deployments import sample


def run(flow: str, **parameters: Any) -> FlowRun:
    done: Any = run_deployment(
        f"{flow}/{flow}", parameters=parameters, timeout=240, poll_interval=0.5, as_subflow=False
    )
    assert done.state
    return done  # type: ignore[no-any-return]


def summaries(client: SyncPrefectClient, of: FlowRun) -> list[str]:
    found = client.read_artifacts(artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[of.id])))
    return [str(artifact.data) for artifact in found if artifact.type == "markdown"]


@pytest.fixture(scope="module")
def business(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("business")
    sample.write_business(folder)
    return folder


def test_from_files_to_mails(client: SyncPrefectClient, server_home: Path, business: Path) -> None:
    imported = run("import-records", path=str(business))
    assert imported.state_name == "Completed"

    reported = run("monthly-reseller-report", month="2019-09", deliver=True)
    assert (reported.name, reported.state_name) == ("monthly-reseller-report 2019-09", "Completed")
    assert len(list((server_home / "mail" / "new").iterdir())) == 24

    [summary] = summaries(client, reported)
    assert "| queued | 24 |" in summary
    assert "**Resellers not sent: no address**" in summary
    assert "maildir:" in summary

    again = run("monthly-reseller-report", month="2019-09", deliver=True)
    assert "| already queued or sent | 24 |" in summaries(client, again)[0]
    assert len(list((server_home / "mail" / "new").iterdir())) == 24

    assert personal_values_in_prefect(server_home, business) == set()


def test_bad_input_fails_the_run_and_says_what_is_wrong(
    client: SyncPrefectClient, server_home: Path, tmp_path: Path
) -> None:
    (tmp_path / "resellers.csv").write_text("code,name,email\nR1,Somebody Special,not-an-address\n")
    failed = run("import-records", path=str(tmp_path))
    assert failed.state_name == "Failed"
    [summary] = summaries(client, failed)
    assert "resellers.csv, line 2, email" in summary
    unknown = run("monthly-reseller-report", month="2019-09", resellers="R01,nobody")
    assert unknown.state_name == "Failed"
    stored = (server_home / "prefect" / "prefect.db").read_bytes()
    assert b"Somebody" not in stored
    assert b"not-an-address" not in stored


def personal_values_in_prefect(server_home: Path, business: Path) -> set[str]:
    """Names, addresses and telephone numbers of the business that Prefect's database or logs hold."""
    values: set[str] = set()
    for file in ("customers.csv", "resellers.csv"):
        with (business / file).open(newline="", encoding="utf-8") as lines:
            for row in csv.DictReader(lines):
                values |= {row["name"], row["email"], row.get("phone", ""), row.get("street", "")}
    kept = [server_home / "prefect" / name for name in ("prefect.db", "prefect.db-wal")] + [
        *(server_home / "logs").glob("*.log")
    ]
    stored = b"".join(path.read_bytes() for path in kept if path.exists())
    assert b"monthly-reseller-report 2019-09" in stored  # we look in the right place
    return {value for value in values if len(value) > 6 and value.encode() in stored}
