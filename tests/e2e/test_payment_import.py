"""A folder of bank files, as an operator imports it, and what the summary says of it."""

from pathlib import Path

from prefect.client.orchestration import SyncPrefectClient

from tests.operations import run, summaries
from tests.paying import HEADER

CAMT = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"


def test_a_wrong_file_fails_the_run_and_the_others_are_imported(
    client: SyncPrefectClient, server_home: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text(f"{HEADER}E2E-1,2026-04-01,12.5,EUR,from Zacharias PF-2026-999999,Zacharias,\n")
    (tmp_path / "b.xml").write_text(f"<Document xmlns='{CAMT}'><Nm>Zacharias &Sons; Ltd</Nm>")
    imported = run("payment-import", path=str(tmp_path))
    assert imported.state_name == "Failed"
    [summary] = summaries(client, imported.id)
    assert "| names a card that is unknown | 1 |" in summary
    assert "| 12.50 | EUR | names a card that is unknown | PF-2026-999999 |" in summary
    assert "| b.xml, line 1 | is not well-formed XML | a camt.053 statement |" in summary
    again = run("payment-import", path=str(tmp_path / "a.csv"))
    assert again.state_name == "Completed"
    assert "| imported before | 1 |" in summaries(client, again.id)[0]
    stored = b"".join(file.read_bytes() for file in (server_home / "prefect").glob("prefect.db*"))
    assert b"PF-2026-999999" in stored
    assert b"Zacharias" not in stored
    assert b"Sons" not in stored
