import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deployments.cli import app
from tests.receiver import SECRET as KEY
from tests.receiver import receiver

SECRET = "hunter2"


@pytest.fixture(autouse=True)
def _home_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFECYCLE_HOME", str(tmp_path))


def lifecycle(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from deployments.cli import main; main()", *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_all_wrong_settings_are_reported_at_once_by_name_and_without_their_values() -> None:
    done = lifecycle(
        "up",
        LIFECYCLE_TIMEZONE="Europe/Roma",
        LIFECYCLE_MAIL_URL=f"http://user:{SECRET}@host",
        LIFECYCLE_ISSUER__MAIL_FROM="nobody",
    )
    assert done.returncode == 2
    assert sorted(line.split(":")[0] for line in done.stderr.splitlines()) == [
        "LIFECYCLE_ISSUER__MAIL_FROM",
        "LIFECYCLE_MAIL_URL",
        "LIFECYCLE_TIMEZONE",
    ]
    assert SECRET not in done.stderr


def test_a_port_that_cannot_be_is_wrong_input() -> None:
    assert lifecycle("up", "--port", "80000").returncode == 2


def test_another_server_in_the_environment_is_not_silently_passed_over() -> None:
    done = lifecycle("up", PREFECT_API_URL="http://127.0.0.1:1/api")
    assert done.returncode == 1
    assert "PREFECT_API_URL" in done.stderr


def test_help_does_not_wait_for_prefect_to_be_imported() -> None:
    modules = "import sys, deployments.cli; print({'prefect', 'sqlalchemy'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", modules], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize("month", ["1899-12", "２０１９-09"])
def test_a_month_that_cannot_be_is_refused_before_anything_runs(month: str) -> None:
    done = lifecycle("run", "monthly-reseller-report", "--month", month, PREFECT_API_URL="http://127.0.0.1:1/api")
    assert done.returncode == 2
    assert "--month" in done.stderr


def test_a_refused_run_ends_with_one_json_object_all_the_same() -> None:
    done = lifecycle("run", "record-renewal", "--jsn", "1", "--json", PREFECT_API_URL="http://127.0.0.1:1/api")
    assert done.returncode == 2
    assert json.loads(done.stdout.splitlines()[-1])["outcome"] == "refused"
    assert {line.split(":")[0] for line in done.stderr.splitlines()} == {"--jsn", "--subscription", "--expires_on"}


@pytest.mark.parametrize("command", [["migrate"], ["check"], ["show", "customer", "C1"], ["import", "."]])
def test_a_database_that_is_down_is_named_without_the_password(command: list[str]) -> None:
    done = lifecycle(*command, LIFECYCLE_DATABASE_URL=f"postgresql://user:{SECRET}@127.0.0.1:1/absent")
    assert done.returncode == 1
    [line] = [line for line in (done.stdout + done.stderr).splitlines() if "cannot be reached" in line]
    assert "Connection refused" in line
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stdout + done.stderr


def test_check_asks_the_provisioning_system_without_a_call() -> None:
    with receiver() as system:
        told = {"LIFECYCLE_PROVISIONING_URL": f"{system.url}?token={SECRET}", "LIFECYCLE_PROVISIONING_SECRET": KEY}
        up = lifecycle("check", **told)
    down = lifecycle("check", **told)
    assert f"provisioning ok    {system.url}\n" in up.stdout
    assert (system.tries, system.others) == ([], ["OPTIONS"])
    assert down.returncode == 1
    assert f"provisioning FAIL  {system.url}: cannot reach the provisioning system" in down.stdout
    assert SECRET not in up.stdout + down.stdout


def test_check_asks_the_server_it_is_told_of_and_says_who_is_told_alarms() -> None:
    alarms = f"slack://{SECRET}/{SECRET}/{SECRET}"
    done = lifecycle("check", PREFECT_API_URL="http://127.0.0.1:1/api", LIFECYCLE_ALARM_URL=alarms)
    assert done.returncode == 1
    assert "alarms       ok    Slack\n" in done.stdout
    assert SECRET not in done.stdout + done.stderr
    assert "FAIL  http://127.0.0.1:1/api does not answer" in done.stdout


def test_a_flow_may_have_a_parameter_that_is_called_flow() -> None:
    _, bound, _ = app.parse_args(["run", "backfill", "--flow", "consent-report", "--from_date", "2026-01-01"])
    assert bound.args == ("backfill", "--flow", "consent-report", "--from_date", "2026-01-01")
