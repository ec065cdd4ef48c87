"""Settings: all wrong ones at once, and never their values."""

import base64
import os
import sys
from datetime import date
from pathlib import Path

import pytest
from pydantic import ValidationError

from deployments.cli import read_settings
from lifecycle.settings import Settings, unknown_variables

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


@pytest.fixture(autouse=True)
def _nothing_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.upper().startswith("LIFECYCLE_")]:
        monkeypatch.delenv(name)


def complaints(capsys: pytest.CaptureFixture[str]) -> list[str]:
    with pytest.raises(SystemExit) as end:
        read_settings()
    assert end.value.code == 2
    return capsys.readouterr().err.splitlines()


def test_nothing_has_to_be_set() -> None:
    found = Settings()
    assert found.provisioning == (None, None)
    assert found.go_live.customer_notice is None
    assert found.go_live.access_change is None
    assert found.policy.warning_days == 30
    assert (found.brake.share, found.brake.count) == (0.02, 25)


def test_each_is_an_environment_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "LIFECYCLE_PROVISIONING_URL": "https://example.com/access",
        "LIFECYCLE_PROVISIONING_SECRET": SECRET,
        "LIFECYCLE_GO_LIVE__CUSTOMER_NOTICE": "2024-02-29",
        "LIFECYCLE_GO_LIVE__ACCESS_CHANGE": "2024-03-01",
        "LIFECYCLE_POLICY__WARNING_DAYS": "0",
        "LIFECYCLE_BRAKE__SHARE": "0.5",
        "LIFECYCLE_BRAKE__COUNT": "0",
    }.items():
        monkeypatch.setenv(name, value)
    assert unknown_variables() == set()
    found = read_settings()
    assert found.provisioning == ("https://example.com/access", SECRET)
    assert (found.go_live.customer_notice, found.go_live.access_change) == (date(2024, 2, 29), date(2024, 3, 1))
    assert found.policy.warning_days == 0
    assert (found.brake.share, found.brake.count) == (0.5, 0)


def test_a_file_is_read_and_the_environment_is_stronger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("LIFECYCLE_BRAKE__COUNT=7\nLIFECYCLE_BRAKE__SHARE=0.1\nOTHER=1\n")
    monkeypatch.setenv("LIFECYCLE_BRAKE__COUNT", "8")
    assert (read_settings().brake.share, read_settings().brake.count) == (0.1, 8)


def test_what_is_unknown_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`lifecycle check` names it; a newer or older installation must start with it all the same."""
    monkeypatch.setenv("LIFECYCLE_CARDS__LEAD_DAYS", "3")
    monkeypatch.setenv("LIFECYCLE_BRAKE__OTHER", "3")
    (tmp_path / ".env").write_text("LIFECYCLE_OTHER__THING=1\n")
    assert read_settings() == Settings()


def test_all_wrong_ones_are_listed_together(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = {
        "LIFECYCLE_DATABASE_URL": "mysql://u:s3cret@h/d",
        "LIFECYCLE_MAIL_URL": "imap://u:s3cret@h",
        "LIFECYCLE_ALARM_URL": "slack://s3cret",
        "LIFECYCLE_PROVISIONING_URL": "http://u:s3cret@example.com/",
        "LIFECYCLE_PROVISIONING_SECRET": "whsec_s3cret",
        "LIFECYCLE_TIMEZONE": "Rome",
        "LIFECYCLE_GO_LIVE__ACCESS_CHANGE": "29/02/2024",
        "LIFECYCLE_GO_LIVE__CUSTOMER_NOTICE": "2023-02-29",
        "LIFECYCLE_POLICY__WARNING_DAYS": "-1",
        "LIFECYCLE_POLICY__BULK_PER_MINUTE": "0",
        "LIFECYCLE_UNSUBSCRIBE_URL": "http://u:s3cret@example.com/",
        "LIFECYCLE_UNSUBSCRIBE_ADDRESS": "nobody",
        "LIFECYCLE_UNSUBSCRIBE_INBOX": "smtp://u:s3cret@h",
        "LIFECYCLE_UNSUBSCRIBE_SECRET": "s3cret",
        "LIFECYCLE_BRAKE__SHARE": "nan",
        "LIFECYCLE_BRAKE__COUNT": "-1",
    }
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    lines = complaints(capsys)
    assert {line.partition(":")[0] for line in lines} == set(wrong)
    assert len(lines) == len(wrong)
    assert "s3cret" not in "".join(lines)


@pytest.mark.parametrize("url", ["https://example.com/", "http://example.com/"], ids=["right", "wrong"])
def test_a_provisioning_url_needs_a_secret(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LIFECYCLE_PROVISIONING_URL", url)
    assert complaints(capsys)[-1] == "LIFECYCLE_PROVISIONING_SECRET: missing; LIFECYCLE_PROVISIONING_URL needs it"


@pytest.mark.parametrize("url", ["maildir:///mail", "imaps://h"], ids=["right", "wrong"])
def test_an_inbox_needs_the_secret_that_signs_what_arrives_there(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LIFECYCLE_UNSUBSCRIBE_INBOX", url)
    assert complaints(capsys)[-1] == "LIFECYCLE_UNSUBSCRIBE_SECRET: missing; LIFECYCLE_UNSUBSCRIBE_INBOX needs it"


def test_dask_needs_an_address_and_what_it_is_made_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LIFECYCLE_TASK_RUNNER", "dask")
    assert complaints(capsys) == ["LIFECYCLE_DASK_ADDRESS: missing; LIFECYCLE_TASK_RUNNER=dask needs it"]
    for wrong in ("dask.example.com:8786", "tcp://dask.example.com", "tcp://h:99999", "http://h:8786"):
        monkeypatch.setenv("LIFECYCLE_DASK_ADDRESS", wrong)
        [complaint] = complaints(capsys)
        assert complaint.startswith("LIFECYCLE_DASK_ADDRESS: expected tcp://host:port")
    monkeypatch.setenv("LIFECYCLE_DASK_ADDRESS", "tcp://dask.example.com:8786")
    assert read_settings().dask_address == "tcp://dask.example.com:8786"
    monkeypatch.setitem(sys.modules, "prefect_dask", None)
    [complaint] = complaints(capsys)
    assert complaint.endswith('pip install "lifecycle[dask]"')


@pytest.mark.parametrize("share", ["-0.01", "1.01", "2 %"])
def test_a_share_is_between_none_and_all(
    share: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LIFECYCLE_BRAKE__SHARE", share)
    assert complaints(capsys)[0].startswith("LIFECYCLE_BRAKE__SHARE: ")


@pytest.mark.parametrize(("what", "days"), [("PREFECT", 7), ("ATTEMPTS", 30), ("RUNS", 400)])
def test_nothing_is_removed_that_is_still_looked_at(
    what: str, days: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(f"LIFECYCLE_RETENTION__{what}_DAYS", str(days))
    assert getattr(Settings().retention, f"{what.lower()}_days") == days
    monkeypatch.setenv(f"LIFECYCLE_RETENTION__{what}_DAYS", str(days - 1))
    assert complaints(capsys)[0].startswith(f"LIFECYCLE_RETENTION__{what}_DAYS: ")


def test_secrets_are_never_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFECYCLE_PROVISIONING_URL", "https://user:s3cret@example.com/")
    monkeypatch.setenv("LIFECYCLE_PROVISIONING_SECRET", SECRET)
    monkeypatch.setenv("LIFECYCLE_ALARM_URL", "mailtos://user:s3cret@example.com")
    monkeypatch.setenv("LIFECYCLE_UNSUBSCRIBE_INBOX", "imaps://user:s3cret@example.com/")
    monkeypatch.setenv("LIFECYCLE_UNSUBSCRIBE_SECRET", "s3cret" * 3)
    for shown in (repr(Settings()), str(Settings()), Settings().model_dump_json()):
        assert "s3cret" not in shown
        assert SECRET not in shown


def test_a_traceback_does_not_print_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that cannot read its settings writes the error itself into the run's log."""
    monkeypatch.setenv("LIFECYCLE_PROVISIONING_SECRET", "whsec_s3cret")
    monkeypatch.setenv("LIFECYCLE_MAIL_URL", "imap://u:s3cret@h")
    with pytest.raises(ValidationError) as error:
        Settings()
    assert "s3cret" not in str(error.value)


def test_slips_of_the_pen_are_found_in_the_environment_and_in_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("LIFECYCLE_TIMZONE=Europe/Rome\nLIFECYCLE_LOCALE=el\n")
    monkeypatch.setenv("LIFECYCLE_GO_LIVE__RESELER_REPORT", "2030-01-01")
    assert unknown_variables() == {"LIFECYCLE_TIMZONE", "LIFECYCLE_GO_LIVE__RESELER_REPORT"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ISSUER__BENEFICIARY", "Issuer\nIT60X0542811101000000123456"),
        ("ISSUER__NAME", "Issuer\nBcc: other@example.com"),
        ("ISSUER__NAME", "  "),
        ("POLICY__DELETE_AFTER_DAYS", "999999999"),
        ("POLICY__CARD_REMINDER_DAYS", "15,9999999999"),
    ],
)
def test_what_would_only_fail_on_a_card_or_in_a_sweep_stops_the_start(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(f"LIFECYCLE_{name}", value)
    [complaint] = complaints(capsys)
    assert complaint.startswith(f"LIFECYCLE_{name}: ")


@pytest.mark.parametrize("url", ["smtp://mail.example.com", "smtps://u:p@mail.example.com:465"])
def test_mails_that_leave_the_machine_say_from_whom_they_are(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LIFECYCLE_MAIL_URL", url)
    monkeypatch.setenv("LIFECYCLE_ISSUER__NAME", "Issuer")
    assert complaints(capsys) == ["LIFECYCLE_ISSUER: missing; mails by SMTP need LIFECYCLE_ISSUER__MAIL_FROM"]
    monkeypatch.setenv("LIFECYCLE_ISSUER__MAIL_FROM", "us@example.com")
    assert read_settings().issuer.mail_from == "us@example.com"


@pytest.mark.parametrize("url", ["maildir://host/path", "smtp://h:99999", "smtp://", "imap://h", "smtp://h?tls=no"])
def test_a_mail_url_is_looked_at_as_a_whole(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LIFECYCLE_MAIL_URL", url)
    [complaint] = complaints(capsys)
    assert complaint.startswith("LIFECYCLE_MAIL_URL: ")


@pytest.mark.parametrize(
    "url", ["mailtos://user:s3cret@example.com?to=a@example.com,b@example.com", "json://127.0.0.1:1/x"]
)
def test_an_alarm_goes_to_a_service_that_apprise_knows(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFECYCLE_ALARM_URL", url)
    assert read_settings().alarm_url is not None


@pytest.mark.parametrize("url", ["nosuch://u:s3cret@h", "garbage s3cret", "json://a,json://b", ""])
def test_any_other_address_of_alarms_is_refused_without_a_word_in_the_log(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("LIFECYCLE_ALARM_URL", url)
    [complaint] = complaints(capsys)
    assert complaint.startswith("LIFECYCLE_ALARM_URL: ")
    assert "s3cret" not in complaint + caplog.text
