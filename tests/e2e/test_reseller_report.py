"""The whole slice as an operator runs it: files, deployments, a worker, mails in a folder, a summary in the UI."""

from pathlib import Path

from prefect.client.orchestration import SyncPrefectClient

from tests.operations import log_of, personal_values_in_prefect, run, summaries


def reports_sent(server_home: Path) -> int:
    mails = (server_home / "mail" / "new").iterdir()
    return sum(b"\nX-Lifecycle-Kind: reseller-report" in mail.read_bytes() for mail in mails)


def test_from_files_to_mails(client: SyncPrefectClient, server_home: Path, business: Path) -> None:
    imported = run("import-records", path=str(business))
    assert imported.state_name == "Completed"

    reported = run("monthly-reseller-report", month="2019-09", deliver=True)
    assert (reported.name, reported.state_name) == ("monthly-reseller-report 2019-09", "Completed")
    assert reports_sent(server_home) == 24

    [summary] = summaries(client, reported.id)
    assert "| queued | 24 |" in summary
    assert "**Resellers not sent: no address**" in summary
    assert "maildir:" in summary

    again = run("monthly-reseller-report", month="2019-09", deliver=True)
    assert "| already queued or sent | 24 |" in summaries(client, again.id)[0]
    assert reports_sent(server_home) == 24

    assert personal_values_in_prefect(server_home, business, reported.name) == set()


def test_bad_input_fails_the_run_and_says_what_is_wrong(
    client: SyncPrefectClient, server_home: Path, tmp_path: Path
) -> None:
    (tmp_path / "resellers.csv").write_text("code,name,email\nR1,Somebody Special,not-an-address\n")
    failed = run("import-records", path=str(tmp_path))
    assert failed.state_name == "Failed"
    [summary] = summaries(client, failed.id)
    assert "resellers.csv, line 2, email" in summary
    unknown = run("monthly-reseller-report", month="2019-09", resellers="R01,nobody")
    assert unknown.state_name == "Failed"
    logged = log_of(client, unknown.id, "'nobody'")
    assert not [line.message for line in logged if "Traceback" in line.message]
    stored = (server_home / "prefect" / "prefect.db").read_bytes()
    assert b"Somebody" not in stored
    assert b"not-an-address" not in stored
