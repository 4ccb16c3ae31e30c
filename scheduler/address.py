"""Where the server is: as given, or as `procession up` left it on this machine."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

SERVER, TOKEN, DATA_DIR = "PROCESSION_SERVER", "PROCESSION_TOKEN", "PROCESSION_DATA_DIR"
ADDRESS_FILE, TOKEN_FILE = "server.json", "admin.token"
FOLDERS = (Path(".procession"), Path("~/.procession"))


@dataclass(frozen=True, slots=True)
class Address:
    url: str
    token: str | None = field(default=None, repr=False)


def find(server: str | None, environment: Mapping[str, str]) -> Address | None:
    """Whom to ask and with what token.

    A token that lies beside an address goes to that server alone, and one from the environment
    never to a server that only the current folder names.
    """
    server = server or environment.get(SERVER)
    local = beside_us(environment)
    if server is None:
        return local
    server = server.rstrip("/")
    known = local.token if local and local.url == server else None
    return Address(server, environment.get(TOKEN) or known)


def beside_us(environment: Mapping[str, str]) -> Address | None:
    chosen = environment.get(DATA_DIR)
    folders = (Path(chosen),) if chosen else FOLDERS
    return next((found for each in folders if (found := left_in(each.expanduser()))), None)


def left_in(folder: Path) -> Address | None:
    """What a server of ours wrote there; a file that somebody else may have written is not read."""
    try:
        url = json.loads(own_text(folder / ADDRESS_FILE))["url"].rstrip("/")
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    try:
        return Address(url, own_text(folder / TOKEN_FILE).strip())
    except OSError:
        return Address(url)


def own_text(file: Path) -> str:
    if file.stat().st_uid not in (os.geteuid(), 0):
        raise PermissionError(f"{file} belongs to somebody else")
    return file.read_text()


def leave(folder: Path, url: str) -> None:
    """Written beside and moved into place: a reader finds the whole of it or what was before."""
    draft = folder / f"{ADDRESS_FILE}.{os.getpid()}"
    draft.write_text(json.dumps({"url": reachable(url)}) + "\n")
    draft.replace(folder / ADDRESS_FILE)


def take_away(folder: Path, url: str) -> None:
    """Unless another server has left its own address there meanwhile."""
    left = left_in(folder)
    if left is not None and left.url == reachable(url):
        (folder / ADDRESS_FILE).unlink(missing_ok=True)


def reachable(url: str) -> str:
    """From this machine: a server that listens everywhere is found on loopback."""
    for everywhere, here in (("//0.0.0.0:", "//127.0.0.1:"), ("//[::]:", "//[::1]:")):
        url = url.replace(everywhere, here)
    return url


def is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
