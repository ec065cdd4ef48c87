"""``lifecycle check``: what an operator looks at first when something does not run."""

import os
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

from apprise import Apprise

from deployments import launcher
from lifecycle.delivery.carriers import Carrier, open_carrier
from lifecycle.delivery.outcomes import Unreachable
from lifecycle.delivery.provisioning import Provisioning, open_provisioning
from lifecycle.persistence import (
    DatabaseOutdated,
    DatabaseRestored,
    DatabaseUnreachable,
    ForeignEnvironment,
    LedgerUnusable,
    NotPermitted,
    database,
    installation,
    ledger,
    roles,
)
from lifecycle.persistence.database import Transaction
from lifecycle.persistence.ledger import Portion
from lifecycle.reading.arrived import NotRead
from lifecycle.reading.inbox import open_inbox
from lifecycle.rules.inbox_url import Mailbox, inbox_source
from lifecycle.rules.mail_url import Folder
from lifecycle.settings import Settings, settings, unknown_variables


def findings(settings: Settings) -> Iterator[tuple[str, str, bool]]:
    """What was looked at, what was found, and whether that is usable."""
    yield _settings()
    yield from _database()
    yield _reached("mail", open_carrier(settings.mail_target))
    yield _inbox(settings)
    yield _reached("provisioning", open_provisioning(*settings.provisioning))
    yield _alarms(settings)
    yield _prefect(settings)
    if settings.task_runner == "dask":
        yield _dask(str(settings.dask_address))


def _settings() -> tuple[str, str, bool]:
    unknown = sorted(unknown_variables())
    return "settings", f"unknown: {', '.join(unknown)}" if unknown else "all known", not unknown


def _database() -> Iterator[tuple[str, str, bool]]:
    try:
        with database.transaction() as db:
            yield "database", f"PostgreSQL {database.server_version(db)}", True
            yield "migrations", f"at {database.revision(db)}", True
            yield _role(db)
            yield _environment(db)
            yield "ledger", _written_in_ledger(), True
            if missing := database.talkative(db):
                yield "log", f"the server's log may repeat names and addresses: set {', '.join(missing)}", True
    except (DatabaseRestored, LedgerUnusable) as error:
        yield "ledger", str(error), False
    except DatabaseOutdated as error:
        yield "migrations", str(error), False
    except DatabaseUnreachable as error:
        yield "database", str(error), False
    except NotPermitted as error:
        one = " or ".join(roles.Role)
        yield (
            "role",
            f"{error}: an administrator grants {one} to this user; then `lifecycle migrate` by the owner",
            False,
        )


def _role(db: Transaction) -> tuple[str, str, bool]:
    """As whom this session works, and what the owner or an administrator has to do."""
    mine, stands = roles.of(db), roles.standing(db)
    owns = mine == [roles.OWNER]
    todo = [f"CREATE ROLE {role} NOLOGIN" for role in stands.missing]
    if todo:
        todo = [f"for logins with less rights an administrator types `{'; '.join(todo)}`, and the owner then migrates"]
    if stands.differs:
        todo.append(f"what roles may do is not as declared: `lifecycle migrate`{'' if owns else ' by the owner'}")
    return "role", "; ".join([f"{roles.user(db)}: {', '.join(mine)}", *todo]), owns or not stands.differs


def _environment(db: Transaction) -> tuple[str, str, bool]:
    try:
        installation.require_own(db)
    except ForeignEnvironment as error:
        return "environment", str(error), False
    return "environment", str(installation.owner(db)), True


def _written_in_ledger() -> str:
    """All of it is read, so that a line that is broken shows."""
    erased = {line.id: len(line.customers) for line in ledger.read() if isinstance(line, Portion)}
    return f"{sum(erased.values())} erased customers in {settings().ledger}"


def _reached(what: str, system: Carrier | Provisioning) -> tuple[str, str, bool]:
    with system:
        try:
            system.reach()
        except Unreachable as error:
            return what, f"{system.name}: {error}", False
        return what, system.name, True


def _inbox(settings: Settings) -> tuple[str, str, bool]:
    if settings.unsubscribe_inbox is None:
        return "inbox", "none: mails that unsubscribe are not read", True
    url = settings.unsubscribe_inbox.get_secret_value()
    match inbox_source(url):
        case Folder(path):
            name = f"maildir:{path}"
        case Mailbox(host=host, port=port, folder=folder):
            name = f"imap:{host}:{port}/{folder}"
    try:
        with open_inbox(url):
            return "inbox", name, True
    except NotRead as error:
        return "inbox", f"{name}: {error}", False


def _alarms(settings: Settings) -> tuple[str, str, bool]:
    if settings.alarm_url is None:
        return "alarms", "none: set LIFECYCLE_ALARM_URL", True
    [service] = Apprise(settings.alarm_url.get_secret_value())
    # No more than whose it is: what stands in the place of a host is the password of many services.
    return "alarms", str(service.service_name), True


def _prefect(settings: Settings) -> tuple[str, str, bool]:
    if api := os.environ.get("PREFECT_API_URL"):
        problem = launcher.unusable(api)
        return "prefect", problem or api, problem is None
    api = launcher.running_api(settings)
    return "prefect", api or "no server runs; `lifecycle run` starts one for itself", True


def _dask(address: str) -> tuple[str, str, bool]:
    scheduler = urlsplit(address)
    try:
        socket.create_connection((str(scheduler.hostname), scheduler.port or 0), timeout=5).close()
    except OSError:
        return "dask", f"{address} does not answer", False
    return "dask", address, True
