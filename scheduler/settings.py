"""Every setting, its default and its environment variable. Read once, then passed down.

With PROCESSION_SECRETS_DIR, each file of that folder is a setting too, by the name of its
variable in small letters.
"""

import os
import re
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from scheduler.domain.durations import parse_duration
from scheduler.domain.errors import Invalid
from scheduler.domain.places import is_reserved


def duration(value: object) -> object:
    """As in definitions: `6s`, `10m`; a number is seconds."""
    if not isinstance(value, str | int | float):
        return value
    try:
        return parse_duration(value)
    except Invalid as fault:
        raise ValueError(str(fault)) from None


Duration = Annotated[timedelta, BeforeValidator(duration)]


def queue(value: str) -> str:
    """What waits for a workstation is no worker's."""
    if is_reserved(value):
        raise ValueError(f"the queue {value!r} is that of a workstation: no worker serves it")
    if value.startswith(OF_PROGRAMS):
        raise ValueError(f"the queue {value!r} is that of programs with an SDK: docs/workers.md")
    return value


OF_PROGRAMS = ("action:", "workflow:")
Queue = Annotated[str, AfterValidator(queue)]


def worker_name(value: str | None) -> str | None:
    if value is not None and value.startswith(REMOTE):
        raise ValueError(f"names that begin with {REMOTE!r} are those of programs with an SDK")
    return value


REMOTE = "remote:"
WorkerName = Annotated[str | None, AfterValidator(worker_name)]


def version(value: str) -> str:
    if value and re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6}){0,3}", value) is None:
        raise ValueError(f"{value!r} is no version: write numbers with dots between, such as 1.4")
    return value


Version = Annotated[str, AfterValidator(version)]

COLOURS = ("red", "orange", "green", "blue", "violet")


def environment(value: str) -> str:
    """A name, or a name and a colour: `production`, `line 3:violet`."""
    name, _, colour = value.strip().partition(":")
    if len(name) > 40 or not name.isprintable():
        raise ValueError("the name of an environment has 40 printable characters at most")
    if colour and (colour not in COLOURS or not name):
        raise ValueError(f"an environment is NAME or NAME:COLOUR, of {', '.join(COLOURS)}")
    return value.strip()


Environment = Annotated[str, AfterValidator(environment)]


class LeaseSettings(BaseModel, frozen=True):
    """How long a holder may be silent, and how often it speaks."""

    length: Duration = timedelta(seconds=60)
    renew_every: Duration = timedelta(seconds=10)


class HttpSettings(BaseModel, frozen=True):
    """What tasks of the kind http may reach beside the public internet."""

    # Networks, for tasks that say `allow_private: true`: ["10.1.0.0/16"].
    allow_private: tuple[IPv4Network | IPv6Network, ...] = ()
    ca_file: Path | None = None  # instead of the authorities that come along


class WorkerSettings(BaseModel, frozen=True):
    name: WorkerName = None  # default: host name and index
    queues: tuple[Queue, ...] = ("default",)
    slots: int = Field(default=8, ge=1, le=1000)
    poll: Duration = timedelta(seconds=1)
    grace: Duration = timedelta(seconds=15)
    lease: LeaseSettings = LeaseSettings()
    http: HttpSettings = HttpSettings()


class SignInSettings(BaseModel, frozen=True):
    """How long somebody stays signed in, and how often a password may be tried."""

    idle: Duration = timedelta(minutes=30)
    length: Duration = timedelta(hours=12)
    link: Duration = timedelta(hours=24)  # to set a password with
    login_link: Duration = timedelta(minutes=10)  # to be let in with, once
    window: Duration = timedelta(minutes=15)
    tries: int = Field(default=5, ge=1, le=1000)  # for each name, within the window
    tries_of_address: int = Field(default=30, ge=1, le=100_000)


class ChoreSettings(BaseModel, frozen=True):
    """Work about processes, which every server takes part in."""

    at_once: int = Field(default=4, ge=1, le=50)
    poll: Duration = timedelta(seconds=2)  # beside the words that servers are told
    silent_after: Duration = timedelta(seconds=30)  # a server whose chores others take over


class MailSettings(BaseModel, frozen=True):
    """The mail server that notifications are sent by; nothing is sent without one."""

    host: str | None = None
    port: int = Field(default=587, ge=1, le=65535)
    sender: str | None = None
    user: str | None = None
    password: SecretStr | None = None
    security: Literal["starttls", "tls", "none"] = "starttls"
    ca_file: Path | None = None
    timeout: Duration = timedelta(seconds=30)


class EventSettings(BaseModel, frozen=True):
    """How much is taken before those who send more are asked to wait."""

    backlog: int = Field(default=100_000, ge=1)  # events that wait to be routed
    in_hand: int = Field(default=32 << 20, ge=1 << 20)  # bytes that wait to be stored
    webhooks_per_minute: int = Field(default=6_000, ge=1)  # of each webhook, by each server
    keep: Duration = timedelta(days=90)  # what happened, and what was decided about it


class WorkstationSettings(BaseModel, frozen=True):
    """How workstations speak with this server."""

    beat: Duration = timedelta(seconds=15)  # between two signs of life
    poll: Duration = timedelta(seconds=5)  # of those that cannot keep a connection
    accept_within: Duration = timedelta(seconds=10)  # or the offer is taken back
    frames_per_second: int = Field(default=100, ge=1, le=100_000)  # of one workstation
    oldest_agent: Version = ""  # to which work is given; both count themselves
    newest_agent: Version = ""
    # How long one may start something at another one that has not heard of its revocation.
    grants_last: Duration = Field(
        default=timedelta(days=1), ge=timedelta(minutes=2), le=timedelta(days=30)
    )


class StartSettings(BaseModel, frozen=True):
    """How many starts are answered before they are stored (`ack=memory`) and wait for that."""

    in_memory: int = Field(default=20_000, ge=1, le=1_000_000)
    bytes_in_memory: int = Field(default=64 << 20, ge=1 << 20)


class RemoteSettings(BaseModel, frozen=True):
    """How workers with an SDK speak with this server."""

    beat: Duration = timedelta(seconds=5)  # between two signs of life
    lease: Duration = timedelta(seconds=20)  # of silence, after which one is gone
    poll: Duration = timedelta(seconds=1)  # of those that cannot keep a connection
    frames_per_second: int = Field(default=2_000, ge=1, le=100_000)  # of one worker


class ServerSettings(BaseModel, frozen=True):
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    pool: int = Field(default=8, ge=2, le=100)
    body_limit: int = Field(default=1 << 20, ge=1 << 10, le=1 << 30)
    json_depth: int = Field(default=64, ge=8, le=500)
    page_limit: int = Field(default=200, ge=1, le=1000)
    wait_limit: int = Field(default=60, ge=0, le=600)  # seconds that `Prefer: wait=N` waits at most
    keys_live: Duration = timedelta(days=7)  # idempotency keys
    environment: Environment = ""  # as PROCESSION_ENVIRONMENT says it
    sign_in: SignInSettings = SignInSettings()
    events: EventSettings = EventSettings()
    workstations: WorkstationSettings = WorkstationSettings()
    remote: RemoteSettings = RemoteSettings()
    starts: StartSettings = StartSettings()


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="PROCESSION_", env_nested_delimiter="__", frozen=True, extra="ignore"
    )

    database_url: SecretStr | None = None
    admin_token: SecretStr | None = None  # becomes the first admin's, where there is none
    secret_keys: SecretStr | None = None  # a line for each key; better in a file
    secret_keys_file: Path | None = None  # default: secret.keys in the data folder
    environment: Environment = ""  # a name, or name:colour; stands on every page
    data_dir: Path = Path(".procession")
    worker: WorkerSettings = WorkerSettings()
    server: ServerSettings = ServerSettings()
    lease: LeaseSettings = LeaseSettings()
    http: HttpSettings = HttpSettings()
    chores: ChoreSettings = ChoreSettings()
    mail: MailSettings = MailSettings()


def load() -> Settings:
    places: dict[str, Any] = {"_secrets_dir": os.environ.get("PROCESSION_SECRETS_DIR")}
    return Settings(**places)
