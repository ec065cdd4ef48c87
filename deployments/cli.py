"""The command line: what a person or a script types, and what it says when the input is wrong.

Nothing heavy is imported before a command needs it.
"""

import os
import signal
import sys
from contextlib import suppress
from typing import Annotated, NoReturn

from cyclopts import App, Parameter
from cyclopts.validators import Number
from pydantic import ValidationError
from pydantic_settings import SettingsError

from deployments import deploy as deploying
from deployments import launcher
from lifecycle.settings import Settings

FAILED = 1
WRONG_INPUT = 2

app = App(name="lifecycle", help="The dated obligations of a subscription business, as Prefect flows.")


@app.command
def up(
    *,
    port: Annotated[
        int, Parameter(env_var="PREFECT_SERVER_API_PORT", validator=Number(gte=1, lte=65535))
    ] = launcher.PORT,
) -> None:
    """Start everything on this machine and serve until Ctrl-C: the Prefect server, the deployments, a worker.

    Parameters
    ----------
    port
        Where the Prefect server listens, on this machine only.
    """
    with suppress(KeyboardInterrupt), launcher.running(read_settings(), port) as running:
        print(f"Prefect: {running.ui}\nStop with Ctrl-C.", flush=True)
        running.watch()


@app.command
def deploy() -> None:
    """Bring the deployments of PREFECT_API_URL's server, or of the one that runs here, up to date with prefect.yaml."""
    if launcher.connect(read_settings()) is None:
        fail("no Prefect server: start one here with `lifecycle up`, or set PREFECT_API_URL")
    deploying.apply(os.environ)


def read_settings() -> Settings:
    """The settings; wrong ones end the program with all of them listed, one per line, and without their values."""
    try:
        return Settings()
    except SettingsError as error:
        fail(str(error), WRONG_INPUT)
    except ValidationError as error:
        fail(
            "\n".join(f"{_variable(e['loc'])}: {e['msg'].removeprefix('Value error, ')}" for e in error.errors()),
            WRONG_INPUT,
        )


def _variable(location: tuple[int | str, ...]) -> str:
    return "LIFECYCLE_" + "__".join(str(part) for part in location).upper()


def fail(message: str, status: int = FAILED) -> NoReturn:
    """End the program with a message on standard error."""
    print(message, file=sys.stderr)
    raise SystemExit(status)


def main() -> None:
    """The program ``lifecycle``."""
    # Whoever stops us lets us stop what we started; and a shell that starts us with & has SIGINT ignored, which the
    # worker would inherit and then not end by itself.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        app()
    except (launcher.StartError, deploying.DeployError) as error:
        fail(str(error))
