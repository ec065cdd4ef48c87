"""The settings of one installation: environment variables with the prefix ``LIFECYCLE_``, or a ``.env`` file.

They are read once, at the edge (the command line, a task), and handed down as plain values. A wrong one is reported
together with all others.
"""

from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from platformdirs import user_data_path
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from lifecycle.rules.addresses import is_address
from lifecycle.rules.languages import Locale

# Flow runs start in the project's folder, commands anywhere: both read the project's file, and the folder's on top.
_PROJECT = Path(__file__).parent.parent


def _time_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"{name!r} is not a time zone; expected a name such as Europe/Rome")
    return name


def _mail_url(url: SecretStr) -> SecretStr:
    if urlsplit(url.get_secret_value()).scheme not in {"maildir", "smtp", "smtps"}:
        raise ValueError("expected maildir:///path, smtp://user:password@host:port or smtps://…")
    return url


def _database_url(url: SecretStr) -> SecretStr:
    if urlsplit(url.get_secret_value()).scheme not in {"postgresql", "postgres"}:
        raise ValueError("expected postgresql://user:password@host:port/database")
    return url


def _address(value: str) -> str:
    if not is_address(value):
        raise ValueError("not an e-mail address; expected name@domain")
    return value


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class GoLive(_Group):
    """The day from which a stream's messages leave the house. None: it is live."""

    reseller_report: date | None = None


class Issuer(_Group):
    """Who writes to resellers and customers."""

    name: str = Field(default="Lifecycle", min_length=1)
    address: str = ""
    vat_number: str = ""
    mail_from: Annotated[str, AfterValidator(_address)] = "lifecycle@localhost.localdomain"
    reply_to: Annotated[str, AfterValidator(_address)] | None = None


class Policy(_Group):
    """The numbers of the rules that an installation may change."""

    report_expired_from_months: int = Field(default=3, ge=0, le=6)


class Settings(BaseSettings):
    """One installation. Immutable once read."""

    model_config = SettingsConfigDict(
        env_prefix="LIFECYCLE_",
        env_nested_delimiter="__",
        env_file=(_PROJECT / ".env", ".env"),
        frozen=True,
        extra="ignore",
    )

    home: Path = Field(default_factory=lambda: user_data_path("lifecycle"))
    database_url: Annotated[SecretStr, AfterValidator(_database_url)] | None = None
    mail_url: Annotated[SecretStr, AfterValidator(_mail_url)] | None = None
    timezone: Annotated[str, AfterValidator(_time_zone)] = "Europe/Rome"
    locale: Locale = "it"
    task_runner: Literal["threads", "processes"] = "threads"
    go_live: GoLive = GoLive()
    issuer: Issuer = Issuer()
    policy: Policy = Policy()

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


@cache
def settings() -> Settings:
    """The settings of this process, read at the first call."""
    return Settings()


def known_variables() -> set[str]:
    """The names of all environment variables that are settings."""
    names: set[str] = set()
    for name, field in Settings.model_fields.items():
        variable = f"LIFECYCLE_{name}".upper()
        group = field.annotation
        if isinstance(group, type) and issubclass(group, BaseModel):
            names |= {f"{variable}__{part}".upper() for part in group.model_fields}
        else:
            names.add(variable)
    return names
