"""One machine with everything: a Prefect server, the deployments and a worker, started and stopped together.

Nothing is bound to other than the loopback interface, nothing reports to an outside host, and nothing stays running:
whatever was started is stopped in reverse order, the worker before the server it reports to.
"""

import atexit
import base64
import ctypes
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from itertools import count
from pathlib import Path
from typing import IO
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from deployments import deploy
from lifecycle.settings import Settings

HOST = "127.0.0.1"
PORT = 4200
START_SECONDS = 180
STOP_SECONDS = 30

_THIS_MACHINE = {HOST, "localhost", "::1"}

_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1


class StartError(Exception):
    """It cannot be started, or something ended that should go on; the message says what and where the log is."""


def environment(settings: Settings, port: int) -> dict[str, str]:
    """The environment of every Prefect process of this installation. A variable that the user set wins."""
    site = f"http://{HOST}:{port}"
    defaults = {
        "PREFECT_HOME": str(_prefect_home(settings)),
        "PREFECT_SERVER_API_HOST": HOST,
        "PREFECT_UI_URL": f"{site}/v2",
        # Relative, so that the browser asks the host it came from: right behind a proxy or a forwarded port too.
        "PREFECT_SERVER_UI_API_URL": "/api",
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(_prefect_home(settings) / "ui"),
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        # In memory, as by default, a restart of the server would crash every run that holds a concurrency slot.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        # One by one, as by default, events and task runs are recorded five times slower than they come.
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
        "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "200",
        "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_READ_BATCH_SIZE": "100",
        "PREFECT_SERVER_SERVICES_TRIGGERS_READ_BATCH_SIZE": "100",
        # By default a run is called late after 15 s, as it is whenever all places are taken for a moment.
        "PREFECT_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS": "600",
        # Runs are removed by `housekeeping`. What it was interrupted in, or what came late, is found by the server.
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,orphans",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        # What we log belongs to the run that it is about.
        "PREFECT_LOGGING_EXTRA_LOGGERS": "lifecycle",
    }
    fixed = {
        "LIFECYCLE_HOME": str(settings.home.absolute()),  # flow runs have another working directory
        "PREFECT_API_URL": f"{site}/api",
        "PREFECT_SERVER_API_PORT": str(port),
    }
    return defaults | os.environ | fixed


def _environment_at(settings: Settings, api: str) -> dict[str, str]:
    return environment(settings, urlsplit(api).port or PORT) | {"PREFECT_API_URL": api}


def connect(settings: Settings) -> str:
    """Let Prefect in this process use PREFECT_API_URL, else this home's server, else one that lives as long as we do.

    Prefect reads its settings when it is imported: this comes first. Returns the API address.
    """
    if "prefect" in sys.modules:
        raise RuntimeError("prefect is imported already: its settings can no longer be changed")
    if api := os.environ.get("PREFECT_API_URL") or running_api(settings):
        env = _environment_at(settings, api)
    else:
        # Prefect would start one too, but after its own import, 3 s later. It must be stopped after Prefect's
        # exit handlers have sent what they hold: the handler that is registered first is called last.
        until_the_end = ExitStack()
        atexit.register(until_the_end.close)
        _, env = until_the_end.enter_context(server(settings, free_port(), log_file(settings, "server")))
    os.environ.update(env)
    return env["PREFECT_API_URL"]


def running_api(settings: Settings) -> str | None:
    """The API address of the server that runs under this home, if there is one and it answers."""
    try:
        api = _record(settings).read_text()
        served = json.loads(_get(f"{api}/admin/settings"))["home"]
    except OSError:
        return None
    # After a crash the record may outlive its server, and another home's may have taken the port.
    return api if served == str(_prefect_home(settings)) else None


@dataclass(frozen=True)
class Running:
    """What was started: `ui` is the address for people, `api` the one for PREFECT_API_URL."""

    ui: str
    api: str
    processes: dict[str, subprocess.Popen[bytes]]

    def check(self) -> None:
        """Raise StartError if a process has ended by itself."""
        for name, process in self.processes.items():
            if process.poll() is not None:
                raise StartError(f"the {name} ended with status {process.returncode}")

    def watch(self) -> None:
        """Wait until a process ends by itself; then raise StartError."""
        while True:
            self.check()
            time.sleep(1)


@contextmanager
def running(settings: Settings, port: int) -> Iterator[Running]:
    """Server, deployments and a worker: ready when the block begins and gone when it ends, however it ends.

    Raises:
        StartError: A server of this home runs already, the port is taken, or a process did not start.
        deploy.DeployError: Prefect refused the deployments.
    """
    if "PREFECT_API_URL" in os.environ:
        raise StartError("PREFECT_API_URL names another server; unset it, or use `lifecycle deploy` and `worker` there")
    _refuse_second(settings, port)
    with ExitStack() as stack:
        process, env = stack.enter_context(server(settings, port, log_file(settings, "server")))
        api = env["PREFECT_API_URL"]
        stack.enter_context(_recorded(settings, api))
        deploy.apply(env)
        name = stack.enter_context(named(settings, None))
        started = stack.enter_context(worker(env, name, log_file(settings, "worker")))
        yield Running(env["PREFECT_UI_URL"], api, {"server": process, "worker": started})


@contextmanager
def another_worker(settings: Settings, name: str | None) -> Iterator[tuple[str, Running]]:
    """A worker for PREFECT_API_URL's server, else for this home's, ready when the block begins; and its name.

    What it writes is written where we write. Without a name it gets the host's, with a number where that is taken.

    Raises:
        StartError: There is no such server, it has no deployments, the name is taken, or it did not start.
    """
    api = os.environ.get("PREFECT_API_URL") or running_api(settings)
    if api is None:
        raise StartError("no server runs here: start one with `lifecycle up`, or name one by PREFECT_API_URL")
    if problem := unusable(api):
        raise StartError(problem)
    if settings.database_url is None and urlsplit(api).hostname not in _THIS_MACHINE:
        raise StartError("LIFECYCLE_DATABASE_URL is missing: a worker of another machine's server needs its database")
    env = _environment_at(settings, api)
    os.environ.update(env)
    if not deploy.has_pool(api):
        raise StartError(f"{api} has no work pool {deploy.POOL!r} yet: run `lifecycle deploy`")
    with named(settings, name) as own, worker(env, own, None) as process:
        yield own, Running(env["PREFECT_UI_URL"], api, {"worker": process})


@contextmanager
def worker(env: dict[str, str], name: str, log: Path | None) -> Iterator[subprocess.Popen[bytes]]:
    """A worker for the server of `env`, ready when the block begins; what its namesake left behind here has crashed.

    Raises:
        StartError: It did not start.
    """
    api, since = env["PREFECT_API_URL"], datetime.now(UTC)
    deploy.crash_abandoned_runs(api, name)
    with _process("prefect", ["worker", "start", "--pool", deploy.POOL, "--name", name], env, log) as process:
        _until(lambda: deploy.worker_is_ready(api, name, since), process, "worker", log)
        deploy.limit_runs(api, _slots())
        yield process


@contextmanager
def named(settings: Settings, wanted: str | None) -> Iterator[str]:
    """Hold a worker's name: that of no other on this machine, whose runs it would take for its own.

    The first one that is free: a worker that is started again is its own successor.
    """
    host = socket.gethostname()
    folder = settings.home / "workers"
    folder.mkdir(parents=True, exist_ok=True)
    for number in count(1):
        name = wanted or (host if number == 1 else f"{host}-{number}")
        with (folder / name).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if wanted:
                    raise StartError(f"a worker named {wanted!r} runs here already") from None
                continue
            yield name
            return


@contextmanager
def lone_server(settings: Settings, port: int) -> Iterator[Running]:
    """A server for workers elsewhere, ready when the block begins. What it writes is written where we write.

    Raises:
        StartError: A server of this home runs already, the port is taken, or it did not start.
    """
    with ExitStack() as stack:
        _refuse_second(settings, port)
        process, env = stack.enter_context(server(settings, port, None))
        stack.enter_context(_recorded(settings, env["PREFECT_API_URL"]))
        yield Running(env["PREFECT_UI_URL"], env["PREFECT_API_URL"], {"server": process})


@contextmanager
def server(settings: Settings, port: int, log: Path | None) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, str]]]:
    """A server alone, with the environment of its processes: ready when the block begins.

    Raises:
        StartError: It did not start.
    """
    env = environment(settings, port)
    with _process("deployments.prefect_server", ["server", "start"], env, log) as process:
        _until(lambda: healthy(env["PREFECT_API_URL"]), process, "server", log)
        _keep_pages_at_home(Path(env["PREFECT_SERVER_UI_STATIC_DIRECTORY"]))
        yield process, env


def log_file(settings: Settings, name: str) -> Path:
    """Where what a process of that name writes is kept."""
    folder = settings.home / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}.log"


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _prefect_home(settings: Settings) -> Path:
    return Path(os.environ.get("PREFECT_HOME") or settings.home.absolute() / "prefect")


def _record(settings: Settings) -> Path:
    return settings.home / "server.url"


@contextmanager
def _recorded(settings: Settings, api: str) -> Iterator[None]:
    _record(settings).write_text(api)
    try:
        yield
    finally:
        _record(settings).unlink(missing_ok=True)


def _keep_pages_at_home(pages: Path) -> None:
    # The newer UI asks an analytics host on every page, whatever the settings say, and both load images from wherever a
    # text says. The server copies its pages here when it starts; the browser obeys what they say.
    policy = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:"
    meta = f'<head><meta http-equiv="Content-Security-Policy" content="{policy}">'
    for page in pages.glob("*/index.html"):
        text = page.read_text()
        if meta not in text:
            page.write_text(text.replace("<head>", meta, 1))


def _slots() -> int:
    # One more than a long run, so that what is due every five minutes still finds its place; and one each for a
    # backfill and a make-up, which only wait for the runs that they have started.
    return max(2, os.cpu_count() or 1) + 2


def _refuse_second(settings: Settings, port: int) -> None:
    if already := running_api(settings):
        raise StartError(f"it runs already: {already.removesuffix('/api')}")
    _refuse_taken(port)


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise StartError(f"port {port} is taken or not allowed; choose another with --port") from error


def _get(url: str) -> bytes:
    request = Request(url)  # noqa: S310 - our own record's address
    if auth := os.environ.get("PREFECT_API_AUTH_STRING"):
        request.add_header("Authorization", "Basic " + base64.b64encode(auth.encode()).decode())
    with urlopen(request, timeout=5) as answer:  # noqa: S310
        content: bytes = answer.read()
        return content


def healthy(api: str) -> bool:
    """Whether the server at this API address answers and says that it is well."""
    try:
        return _get(f"{api}/health") == b"true"
    except OSError:
        return False


def unusable(api: str) -> str | None:
    """Why the server at this API address cannot be worked with; None: it can."""
    try:
        _get(f"{api}/admin/version")
    except HTTPError as error:
        login = "PREFECT_API_AUTH_STRING, which is user:password"
        verb = "refuses" if "PREFECT_API_AUTH_STRING" in os.environ else "asks for"
        why = f"{verb} {login}" if error.code == HTTPStatus.UNAUTHORIZED else f"answers {error.code}"
        return f"{api} {why}"
    except (OSError, ValueError):
        return f"{api} does not answer"
    return None


@contextmanager
def _process(
    module: str, command: list[str], env: dict[str, str], log: Path | None
) -> Iterator[subprocess.Popen[bytes]]:
    """A Prefect command; what it writes goes to the end of `log`, or without one where we write."""
    with ExitStack() as stack:
        opened: AbstractContextManager[IO[bytes] | None] = log.open("ab") if log else nullcontext()
        with opened as output, _uninterrupted():
            process = subprocess.Popen(  # noqa: S603 - our own interpreter
                [sys.executable, "-m", module, *command],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if log else None,
                # A session of its own: Ctrl-C in the terminal reaches us alone, and we stop in the right order.
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )
            stack.callback(_stop, process)
        yield process


def _end_with_parent() -> None:
    """On Linux, have the kernel end this process when its parent is killed and cannot do it."""
    if _LIBC:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    # A signal between the start of a process and our knowing of it would leave that process behind: it waits.
    received: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _: received.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for late in received:
            signal.raise_signal(late)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    finally:
        # A second Ctrl-C during the wait comes here too: what is left of the session, flow runs included, goes now.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _until(ready: Callable[[], bool], process: subprocess.Popen[bytes], what: str, log: Path | None) -> None:
    seen = f"; see {log}" if log else ""
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        if process.poll() is not None:
            raise StartError(f"the {what} ended with status {process.returncode} while starting{seen}")
        if time.monotonic() > deadline:
            raise StartError(f"the {what} is not ready after {START_SECONDS} s{seen}")
        time.sleep(0.2)
