"""The settings of one installation: environment variables with the prefix ``LIFECYCLE_``, or a ``.env`` file.

They are read once, at the edge (the command line, a task), and handed down as plain values. A wrong one is reported
together with all others.
"""

import logging
import os
from datetime import date
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from dotenv import dotenv_values
from platformdirs import user_data_path
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from stdnum import bic, iban
from stdnum.eu import at_02
from stdnum.exceptions import ValidationError as StdnumError

from lifecycle.rules import unsubscribing
from lifecycle.rules.addresses import is_address
from lifecycle.rules.inbox_url import inbox_source
from lifecycle.rules.languages import Locale
from lifecycle.rules.mail_url import Server, mail_target
from lifecycle.rules.provisioning import checked_url, key_of

# Flow runs start in the project's folder, commands anywhere: both read the project's file, and the folder's on top.
_ENV_FILES = (Path(__file__).parent.parent / ".env", Path(".env"))


def _time_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"{name!r} is not a time zone; expected a name such as Europe/Rome")
    return name


def _mail_url(url: SecretStr) -> SecretStr:
    mail_target(url.get_secret_value())
    return url


def _alarm_url(url: SecretStr) -> SecretStr:
    from apprise import Apprise  # it reads all its services, 0.3 s: only where one is named

    logger, addresses = logging.getLogger("apprise"), Apprise()
    before, logger.disabled = logger.disabled, True  # it quotes what can be a piece of the password
    try:
        understood = addresses.add(url.get_secret_value())
    finally:
        logger.disabled = before
    if not understood or len(addresses) != 1:
        raise ValueError(
            "not an address of Apprise's; expected one such as mailtos://user:password@host?to=name@domain"
        )
    return url


def _database_url(url: SecretStr) -> SecretStr:
    try:
        parts = urlsplit(url.get_secret_value())
        usable = parts.scheme in {"postgresql", "postgres"} and parts.port != 0
    except ValueError:  # it quotes what can be a piece of the password
        usable = False
    if not usable:
        raise ValueError("expected postgresql://user:password@host:port/database")
    return url


def _provisioning_url(url: SecretStr) -> SecretStr:
    checked_url(url.get_secret_value())
    return url


def _provisioning_secret(secret: SecretStr) -> SecretStr:
    key_of(secret.get_secret_value())
    return secret


def _inbox_url(url: SecretStr) -> SecretStr:
    inbox_source(url.get_secret_value())
    return url


def _dask_address(value: str) -> str:
    try:
        parts = urlsplit(value)
        usable = parts.scheme in {"tcp", "tls"} and bool(parts.hostname and parts.port)
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("expected tcp://host:port of a Dask scheduler, such as tcp://dask.example.com:8786")
    return value


def _address(value: str) -> str:
    if not is_address(value):
        raise ValueError("not an e-mail address; expected name@domain")
    return value


def _iban(value: str) -> str:
    """Without blanks, as banks exchange it; "" is none."""
    try:
        return iban.validate(value) if value else ""
    except StdnumError:
        raise ValueError("not an IBAN; expected one such as IT60X0542811101000000123456") from None


def _bic(value: str) -> str:
    try:
        return bic.validate(value) if value else ""
    except StdnumError:
        raise ValueError("not a BIC; expected 8 or 11 letters and digits") from None


def _creditor_id(value: str) -> str:
    try:
        return at_02.validate(value) if value else ""
    except StdnumError:
        raise ValueError("not a SEPA creditor identifier; expected one such as IT66ZZZA1B2C3D4E5F6G7H8") from None


def _one_line(value: str) -> str:
    """It stands in mails' headers and in payment codes, which end fields by line breaks."""
    if not value.isprintable():
        raise ValueError("expected one line without control characters")
    return value


def _listed(value: object) -> object:
    """Numbers separated by commas, as a variable holds them."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _days(value: tuple[int, ...]) -> tuple[int, ...]:
    if any(not 1 <= days <= 366 for days in value):
        raise ValueError("expected days before expiry, from 1 to 366, separated by commas")
    return tuple(sorted(set(value), reverse=True))


_TEN_YEARS = 3_660
"""In days. More is a slip of the pen, and in the end no date."""

OneLine = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_one_line)]
Days = Annotated[tuple[int, ...], NoDecode, BeforeValidator(_listed), AfterValidator(_days)]


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class GoLive(_Group):
    """The day from which a stream's messages and calls leave the house. None: it is live."""

    reseller_report: date | None = None
    customer_notice: date | None = None
    access_change: date | None = None
    billing_card: date | None = None
    service_transition: date | None = None
    membership: date | None = None

    def is_live(self, stream: str, day: date) -> bool:
        """Whether the stream's messages of that day leave the house."""
        start: date | None = getattr(self, stream)
        return start is None or start <= day


class Issuer(_Group):
    """Who writes to resellers and customers."""

    name: OneLine = Field(default="Lifecycle", min_length=1)
    address: str = ""
    vat_number: OneLine = ""
    mail_from: Annotated[str, AfterValidator(_address)] = "lifecycle@localhost.localdomain"
    reply_to: Annotated[str, AfterValidator(_address)] | None = None
    iban: Annotated[str, AfterValidator(_iban)] = ""
    bic: Annotated[str, AfterValidator(_bic)] = ""
    beneficiary: OneLine = Field(default="", max_length=70)
    creditor_id: Annotated[str, AfterValidator(_creditor_id)] = ""


class Policy(_Group):
    """The numbers of the rules that an installation may change."""

    report_expired_from_months: int = Field(default=3, ge=0, le=6)
    warning_days: int = Field(default=30, ge=0, le=_TEN_YEARS)
    card_lead_days: int = Field(default=30, ge=0, le=366)
    card_reminder_days: Days = (15, 7, 1)
    card_shows_vat: bool = True
    suspend_after_days: int = Field(default=7, ge=0, le=_TEN_YEARS)
    deletion_warning_days: int = Field(default=7, ge=0, le=_TEN_YEARS)
    delete_after_days: int = Field(default=60, ge=0, le=_TEN_YEARS)
    bulk_per_minute: int = Field(default=600, ge=1, le=60_000)
    consent_renewal_days: int = Field(default=0, ge=0, le=366)
    erasure_preview_days: int = Field(default=7, ge=1, le=30)
    debit_lead_days: int = Field(default=2, ge=1, le=14)
    debit_schema: Literal["pain.008.001.02", "pain.008.001.08"] = "pain.008.001.08"


class Brake(_Group):
    """A run that would cut off more than this share of the active base and more than this count waits for a person."""

    share: float = Field(default=0.02, ge=0, le=1)
    count: int = Field(default=25, ge=0)


class Retention(_Group):
    """For how many days is kept what nothing rests on any more."""

    prefect_days: int = Field(default=90, ge=7, le=_TEN_YEARS)
    attempts_days: int = Field(default=365, ge=30, le=_TEN_YEARS)
    runs_days: int = Field(default=1_095, ge=400, le=_TEN_YEARS)
    """At least for as long as missed periods are looked for."""


class Settings(BaseSettings):
    """One installation. Immutable once read."""

    model_config = SettingsConfigDict(
        env_prefix="LIFECYCLE_",
        env_nested_delimiter="__",
        env_file=_ENV_FILES,
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,  # it can be a password
    )

    home: Path = Field(default_factory=lambda: user_data_path("lifecycle"))
    database_url: Annotated[SecretStr, AfterValidator(_database_url)] | None = None
    mail_url: Annotated[SecretStr, AfterValidator(_mail_url)] | None = None
    alarm_url: Annotated[SecretStr, AfterValidator(_alarm_url)] | None = None
    provisioning_url: Annotated[SecretStr, AfterValidator(_provisioning_url)] | None = None
    provisioning_secret: Annotated[SecretStr, AfterValidator(_provisioning_secret)] | None = None
    unsubscribe_url: Annotated[str, AfterValidator(unsubscribing.checked_url)] | None = None
    unsubscribe_address: Annotated[str, AfterValidator(_address)] | None = None
    unsubscribe_inbox: Annotated[SecretStr, AfterValidator(_inbox_url)] | None = None
    unsubscribe_secret: Annotated[SecretStr, Field(min_length=16)] | None = None
    environment: OneLine = Field(default="production", min_length=1)
    erasure_ledger: Path | None = None
    operator_secret: Annotated[SecretStr, Field(min_length=16)] | None = None
    timezone: Annotated[str, AfterValidator(_time_zone)] = "Europe/Rome"
    locale: Locale = "it"
    task_runner: Literal["threads", "processes", "dask"] = "threads"
    dask_address: Annotated[str, AfterValidator(_dask_address)] | None = None
    go_live: GoLive = GoLive()
    issuer: Issuer = Issuer()
    policy: Policy = Policy()
    brake: Brake = Brake()
    retention: Retention = Retention()

    @field_validator("issuer")
    @classmethod
    def _is_named(cls, issuer: Issuer, before: ValidationInfo) -> Issuer:
        """Mails that leave this machine must say from whom they are."""
        url = before.data.get("mail_url")
        target = mail_target(url.get_secret_value()) if url else None
        leaves = isinstance(target, Server) and target.host not in {"127.0.0.1", "localhost"}
        missing = {"name", "mail_from"} - issuer.model_fields_set
        if leaves and missing:
            names = ", ".join(f"LIFECYCLE_ISSUER__{field.upper()}" for field in sorted(missing))
            raise ValueError(f"missing; mails by SMTP need {names}")
        return issuer

    @field_validator("task_runner")
    @classmethod
    def _is_installed(cls, runner: str) -> str:
        if runner == "dask" and find_spec("prefect_dask") is None:
            raise ValueError('dask needs the extra "dask": pip install "lifecycle[dask]"')
        return runner

    @field_validator("dask_address")
    @classmethod
    def _goes_with_dask(cls, address: str | None, before: ValidationInfo) -> str | None:
        if address is None and before.data.get("task_runner") == "dask":
            raise ValueError("missing; LIFECYCLE_TASK_RUNNER=dask needs it")
        return address

    @field_validator("provisioning_secret")
    @classmethod
    def _goes_with_a_url(cls, secret: SecretStr | None, before: ValidationInfo) -> SecretStr | None:
        # A wrong URL is not in the data: it was given all the same.
        if secret is None and before.data.get("provisioning_url", "wrong") is not None:
            raise ValueError("missing; LIFECYCLE_PROVISIONING_URL needs it")
        return secret

    @field_validator("unsubscribe_secret")
    @classmethod
    def _goes_with_an_inbox(cls, secret: SecretStr | None, before: ValidationInfo) -> SecretStr | None:
        if secret is None and before.data.get("unsubscribe_inbox", "wrong") is not None:
            raise ValueError("missing; LIFECYCLE_UNSUBSCRIBE_INBOX needs it")
        return secret

    @property
    def zone(self) -> ZoneInfo:
        """The business time zone."""
        return ZoneInfo(self.timezone)

    @property
    def mail_target(self) -> str:
        """Where mails go, as a URL; by default a Maildir under the home."""
        return (
            self.mail_url.get_secret_value()
            if self.mail_url
            else (self.home / "mail").absolute().as_uri().replace("file:", "maildir:", 1)
        )

    @property
    def ledger(self) -> Path:
        """Where erasures are kept outside of the database; by default under the home."""
        return (self.erasure_ledger or self.home / "erasures.ledger").absolute()

    @property
    def provisioning(self) -> tuple[str | None, str | None]:
        """Where access changes are posted, as a URL, and the secret that signs them; None: nowhere."""
        url, secret = (
            value.get_secret_value() if value else None for value in (self.provisioning_url, self.provisioning_secret)
        )
        return url, secret


@cache
def settings() -> Settings:
    """The settings of this process, read at the first call."""
    return Settings()


def unknown_variables() -> set[str]:
    """Names in the environment and in the ``.env`` files that look like settings and are none: slips of the pen."""
    given = set(os.environ).union(*map(dotenv_values, _ENV_FILES))
    known = _known_variables()
    return {name for name in given if name.upper().startswith("LIFECYCLE_") and name.upper() not in known}


def _known_variables() -> set[str]:
    names: set[str] = set()
    for name, field in Settings.model_fields.items():
        variable = f"LIFECYCLE_{name}".upper()
        group = field.annotation
        if isinstance(group, type) and issubclass(group, BaseModel):
            names |= {f"{variable}__{part}".upper() for part in group.model_fields}
        else:
            names.add(variable)
    return names
