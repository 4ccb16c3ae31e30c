"""Where an agent lives: one folder, which holds who it is, what it knows, and what it runs.

Nothing in it is anybody else's to read. Its name decides which agent is meant: several of them may
live on one machine, each in a folder of its own.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

HOME = "PROCESSION_EDGE_HOME"
OF_ROOT = Path("/var/lib/procession-edge")
OF_OTHERS = Path(".local/state/procession-edge")
OWNERS_POLICY = Path("/etc/procession/policy.toml")

Carrier = Literal["auto", "stream", "poll", "called"]
SLOTS = 4
CARRIERS: tuple[Carrier, ...] = ("auto", "stream", "poll", "called")


class Unusable(Exception):
    """Says what is wrong with the folder or its settings, and what to do about it."""

    def __init__(self, why: str, remedy: str = "") -> None:
        self.why, self.remedy = why, remedy
        super().__init__(why)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What joining has found out, and what may be set by hand afterwards."""

    server: str
    name: str
    server_key: str = ""
    carrier: Carrier = "auto"
    slots: int = SLOTS
    labels: Mapping[str, str] = field(default_factory=dict)
    authorities: str | None = None  # a file of certificates, where the system's do not suffice
    policy: str | None = None  # where the owner's policy lies, if not in its usual place
    listen: str | None = None  # HOST:PORT, where the server and other workstations call it
    certificate: str | None = None  # to show there, where it is not to be one of our own
    certificate_key: str | None = None
    plain: bool = False  # without TLS


class Home:
    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.config = self.path / "config.json"
        self.key = self.path / "key.pem"
        self.next_key = self.path / "key.next.pem"
        self.sealing = self.path / "sealing.pem"
        self.book = self.path / "book.db"
        self.reserve = self.path / "reserve"
        self.runner = self.path / "runner"
        self.work = self.path / "work"
        self.templates = self.path / "templates"

    @property
    def is_joined(self) -> bool:
        return self.config.exists()

    def policy(self, config: Config) -> Path:
        """The machine's owner decides: their file comes before one in our own folder."""
        if config.policy:
            return Path(config.policy)
        own = self.path / "policy.toml"
        return OWNERS_POLICY if OWNERS_POLICY.exists() and not own.exists() else own

    def prepare(self) -> None:
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            facts = self.path.stat()
        except OSError as error:
            remedy = "choose another with --home"
            raise Unusable(f"{self.path}: {error.strerror}", remedy) from None
        if facts.st_uid != os.geteuid():
            raise Unusable(f"{self.path} belongs to another user", "run this as that user")
        if facts.st_mode & 0o077:
            raise Unusable(f"{self.path} is open to others", f"chmod 700 {self.path}")

    def load(self) -> Config:
        if not self.is_joined:
            remedy = "`procession edge join URL TOKEN`, with the line that the server shows"
            raise Unusable(f"{self.path} belongs to no server yet", remedy)
        try:
            return read_config(json.loads(self.config.read_text()))
        except (OSError, ValueError) as error:
            remedy = "correct it, or leave and join again"
            raise Unusable(f"{self.config}: {error}", remedy) from None

    def save(self, config: Config) -> None:
        """Written beside and moved into place: whoever reads finds all of it."""
        draft = self.config.with_suffix(".new")
        place = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(place, "w") as file:
            file.write(json.dumps(asdict(config), indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.config)

    @contextmanager
    def held(self) -> Iterator[None]:
        """By one agent at a time; the lock ends with its holder."""
        lock = os.open(self.path / "agent.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            remedy = "`procession edge status` asks it; end it before another is started"
            raise Unusable(f"an agent of {self.path} runs already", remedy) from None
        try:
            yield
        finally:
            os.close(lock)


def usual() -> Path:
    if chosen := os.environ.get(HOME):
        return Path(chosen)
    return OF_ROOT if os.geteuid() == 0 else Path.home() / OF_OTHERS


def read_config(told: Any) -> Config:
    if not isinstance(told, dict):
        raise ValueError("an object is due")
    known = {name: told[name] for name in Config.__slots__ if name in told}
    if missing := {"server", "name"} - known.keys():
        raise ValueError(f"{min(missing)} is missing")
    config = Config(**known)
    if config.carrier not in CARRIERS:
        raise ValueError(f"carrier: {config.carrier!r} is none of {', '.join(CARRIERS)}")
    if type(config.slots) is not int or not 1 <= config.slots <= 1000:
        raise ValueError(f"slots: {config.slots!r} is no number from 1 to 1000")
    if not isinstance(config.labels, dict):
        raise ValueError("labels: an object is due")
    check_url(config.server)
    return config


def check_url(url: str) -> str:
    """A server is spoken to by TLS, or on this very machine."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url[:120]!r} is no address of a server: https://HOST[:PORT]")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError(f"{parts.hostname}: an address holds no user, query or fragment")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError(f"{url[:120]!r} is not encrypted: use https")
    return url.rstrip("/")


def is_loopback(host: str) -> bool:
    from ipaddress import ip_address

    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
