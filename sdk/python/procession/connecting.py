"""Where the server is and with what token it is asked: as given, or from the environment."""

import ipaddress
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

URL, SERVER = "PROCESSION_URL", "PROCESSION_SERVER"  # the second is what the command line asks
TOKEN, TOKEN_FILE = "PROCESSION_TOKEN", "PROCESSION_TOKEN_FILE"
AUTHORITIES = "PROCESSION_CA"
HERE = "http://127.0.0.1:8080"
FROM_FILE = "file:"


class Misconfigured(ValueError):
    """Says what is missing or wrong, and what to do about it."""


@dataclass(frozen=True, slots=True)
class Server:
    """Its address, and where the token is: a file is read anew each time it is needed."""

    url: str
    secret: str | Path | None = None
    authorities: str | None = None

    def __repr__(self) -> str:
        return f"Server({self.url!r})"

    def token(self) -> str:
        if self.secret is None:
            raise Misconfigured(
                f"no token was given: put one into {TOKEN}, or the name of a file that holds it"
                f" into {TOKEN_FILE}"
            )
        return self.secret if isinstance(self.secret, str) else read_token(self.secret)

    def context(self) -> ssl.SSLContext | None:
        """Certificates are always checked."""
        if not self.is_secure:
            return None
        context = ssl.create_default_context()
        if self.authorities:
            trust(context, self.authorities)
        return context

    @property
    def is_secure(self) -> bool:
        return self.url.startswith("https:")

    @property
    def is_here(self) -> bool:
        host = urlsplit(self.url).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"


def trust(context: ssl.SSLContext, file: str) -> None:
    """Besides those that this machine trusts."""
    try:
        context.load_verify_locations(cafile=file)
    except OSError as error:
        raise Misconfigured(f"{AUTHORITIES}: {file}: {error.strerror or error}") from None


def read_token(file: Path) -> str:
    try:
        found = file.read_text().strip()
    except OSError as error:
        raise Misconfigured(f"the token cannot be read from {file}: {error.strerror}") from None
    return checked_token(found, str(file))


def checked_token(token: str, source: str) -> str:
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise Misconfigured(f"{source}: this is no token; `procession tokens create` makes one")
    return token


def find(
    url: str | None = None,
    token: str | Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Server:
    """What is given counts more than the environment. A path, or `file:NAME`, is a file that holds
    the token."""
    told = os.environ if environment is None else environment
    address = checked_url(url or told.get(URL) or told.get(SERVER) or HERE)
    return Server(address, secret_of(token, told), told.get(AUTHORITIES))


def secret_of(token: str | Path | None, told: Mapping[str, str]) -> str | Path | None:
    if isinstance(token, Path):
        return token.expanduser()
    if token is None and told.get(TOKEN_FILE) and not told.get(TOKEN):
        return Path(told[TOKEN_FILE]).expanduser()
    token = token or told.get(TOKEN)
    if token is None:
        return None
    if token.startswith(FROM_FILE):
        return Path(token.removeprefix(FROM_FILE)).expanduser()
    return checked_token(token.strip(), "the token")


def checked_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Misconfigured(f"the address of a server is http://… or https://…, not {shown(url)!r}")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise Misconfigured(
            "the address of a server has no user, query or fragment: "
            f"the token goes into {TOKEN}, not into {URL}"
        )
    return url.rstrip("/")


def shown(url: str) -> str:
    """Without what may be a secret."""
    return url.rpartition("@")[2][:200]
