"""Becoming a workstation of a server: keys are made here, and their public halves are shown."""

import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from edge import identity, sealing
from edge.agent import machine
from edge.agent.home import SLOTS, Config, Home, Unusable
from edge.agent.keys import KeyRing
from edge.agent.tokens import Tokens
from edge.agent.web import Unanswered, Web

PATH = "/api/v1/workstations/enrol"


@dataclass(frozen=True, slots=True)
class Joined:
    config: Config
    state: str
    fingerprint: str


async def join(
    home: Home,
    server: str,
    token: str,
    *,
    name: str | None = None,
    labels: Mapping[str, str] | None = None,
    slots: int | None = None,
    authorities: str | None = None,
) -> Joined:
    """Keys are kept before they are shown, so that an answer that is lost can be asked for anew."""
    home.prepare()
    if home.is_joined:
        config = home.load()
        remedy = "`procession edge leave` first, or give another --home"
        raise Unusable(f"{home.path} is {config.name!r} at {config.server} already", remedy)
    key, seal = keys(home)
    web = Web(server, authorities)
    told: dict[str, Any] = {
        "token": token,
        "public_key": identity.public(key),
        "sealing_key": sealing.public(seal),
        "hostname": socket.gethostname(),
        "machine_id": machine.machine_id(),
        "facts": dict(machine.facts()),
    }
    if name is not None:
        told["name"] = name
    try:
        answer = (await web.tell(PATH, told)).json()
        config = Config(
            server=server.rstrip("/"),
            name=str(answer["name"]),
            server_key=str(answer["server_key"]),
            slots=slots or SLOTS,
            labels=dict(labels or {}),
            authorities=authorities,
        )
    except LookupError as error:
        raise Unanswered(f"the answer lacks {error}: is this a server of ours?") from None
    finally:
        web.close()
    home.save(config)
    return Joined(config, str(answer["state"]), str(answer["fingerprint"]))


def keys(home: Home) -> tuple[Any, Any]:
    """Those that are there, if an earlier attempt has made them."""
    with suppress(FileExistsError):
        identity.make_key(home.key)
    with suppress(FileExistsError):
        sealing.make_key(home.sealing)
    return identity.read_key(home.key), sealing.read_key(home.sealing)


def leave(home: Home) -> None:
    """Nothing of the identity stays: a workstation that joins again does so with a key of its own.
    What was not sent stays, put aside, for whoever wants to look."""
    import time

    with home.held():
        for path in (home.config, home.key, home.next_key, home.sealing):
            path.unlink(missing_ok=True)
        for end in ("", "-wal", "-shm"):
            book = home.book.with_name(home.book.name + end)
            with suppress(FileNotFoundError):
                book.rename(book.with_name(f"left-{time.time_ns()}-{book.name}"))


async def proves(config: Config, home: Home) -> float | None:
    """That the server takes our key: with how far its clock is before ours."""
    import time

    web = Web(config.server, config.authorities)
    try:
        await Tokens(web, config.name, KeyRing(home), config.server_key).get()
        answer = await web.ask("GET", "/api/v1/health/live")
        return None if answer.clock is None else answer.clock - time.time()
    finally:
        web.close()
