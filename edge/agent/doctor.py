"""Looks at everything an agent rests on, and says what to do about what is wrong."""

import asyncio
import os
import shutil
import socket
import sqlite3
import ssl
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from edge import identity, sealing
from edge.agent import local, reserve
from edge.agent.home import Config, Home, Unusable
from edge.agent.keys import KeyRing
from edge.agent.policy import BadPolicy
from edge.agent.policy import read as read_policy
from edge.agent.tokens import Tokens
from edge.agent.web import Unanswered, Web
from executor import spool
from scheduler.domain.findings import Finding, Level, fine

MOST_SKEW = 5.0  # seconds
LEAST_ROOM = 512 << 20
PATIENCE = 10.0
LIVE = "/api/v1/health/live"


def fault(check: str, says: str, remedy: str) -> Finding:
    return Finding(check, Level.FAULT, says, remedy)


def warning(check: str, says: str, remedy: str) -> Finding:
    return Finding(check, Level.WARNING, says, remedy)


async def examine(home: Home) -> list[Finding]:
    try:
        home.prepare()
        config = home.load()
    except Unusable as error:
        return [fault("config", error.why, error.remedy)]
    where = f"{config.name} at {config.server}, in {home.path}"
    found = [fine("config", where), keys(home), policy(home.policy(config)), disk(home.path)]
    told = asked(home)
    found += [agent(told), book(home, told), runner(home, told)]
    return found + await beyond(home, config)


# Here.


def keys(home: Home) -> Finding:
    again = "leave, and join again with an invitation that replaces it"
    try:
        mark = identity.fingerprint(identity.public(identity.read_key(home.key)))
        sealing.read_key(home.sealing)
    except OSError as error:
        return fault("keys", f"{error.filename}: {error.strerror}", again)
    except (identity.BadProof, sealing.BadSeal) as error:
        return fault("keys", str(error), again)
    return fine("keys", f"fingerprint {mark}")


def policy(path: Path) -> Finding:
    try:
        found = read_policy(path)
    except BadPolicy as error:
        return fault("policy", f"nothing is allowed here: {error}", f"write or correct {path}")
    if not found.rules:
        return warning("policy", f"{path} allows no program", "add an [[allow]] for each")
    missing = sorted({each.program for each in found.rules if not os.access(each.program, os.X_OK)})
    if missing:
        says = f"{missing[0]} is allowed, and is no program that can be started"
        return warning("policy", says, f"correct {path}, or install it")
    programs = len({each.program for each in found.rules})
    return fine("policy", f"{programs} programs, {len(found.roots)} folders ({path})")


def disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    says = f"{free / (1 << 30):.1f} GiB free in {folder}"
    if not is_writable(folder):
        return fault("disk", f"nothing can be written in {folder}", "mount it so that it can be")
    if free < reserve.LEAST:
        return fault("disk", says, "make room: no new work is taken")
    if free < LEAST_ROOM:
        return warning("disk", says, "make room: while it is alone, all that is done is kept here")
    return fine("disk", says)


def is_writable(folder: Path) -> bool:
    probe = folder / f".probe-{os.getpid()}"
    try:
        probe.write_bytes(b"?")
        probe.unlink()
    except OSError:
        return False
    return True


def asked(home: Home) -> Mapping[str, Any] | None:
    """What the agent itself says; None where none runs."""
    try:
        return dict(local.ask(home.path, "status"))
    except local.Refused:
        return None


def agent(told: Mapping[str, Any] | None) -> Finding:
    start = "start it: `procession edge run`, or `procession edge install` for good"
    if told is None:
        return warning("agent", "it does not run", start)
    if told["unwritable"]:
        return fault(
            "agent", f"it can write nothing: {told['unwritable']}", "make room on its disk"
        )
    if told["full"]:
        return fault("agent", f"it takes no new work: {told['full']}", "make room on its disk")
    if told["state"] == "fenced":
        remedy = "find the machine that has a copy of this folder; then `procession edge connect`"
        return fault("agent", "another agent has its identity", remedy)
    waits = ", ".join(f"{count} {name}" for name, count in told["waiting"].items() if count)
    return fine("agent", f"{told['state']}; waiting to be sent: {waits or 'nothing'}")


def book(home: Home, told: Mapping[str, Any] | None) -> Finding:
    """Looked at from outside, also while its agent writes."""
    aside = sorted(home.path.glob("book.db.damaged-*"))
    if not home.book.exists():
        return fine("book", "there is none yet")
    try:
        with sqlite3.connect(f"file:{home.book}?mode=ro", uri=True, timeout=PATIENCE) as db:
            [said] = db.execute("pragma quick_check(1)").fetchone()
        db.close()
    except sqlite3.Error as error:
        said = str(error)
    if said != "ok":
        remedy = "start the agent anew: it puts the file aside and begins another"
        return fault("book", f"{home.book} is damaged: {said}", remedy)
    if aside:
        remedy = "look at the disk; remove the file when nobody needs it"
        return warning("book", f"a damaged one was put aside: {aside[-1].name}", remedy)
    return fine("book", f"whole, {home.book.stat().st_size >> 10} KiB")


def runner(home: Home, told: Mapping[str, Any] | None) -> Finding:
    if told is not None and told["runner"]["away"]:
        remedy = "`systemctl status procession-edge-runner`, or look at the agent's log"
        return fault("runner", f"away: {told['runner']['away']}", remedy)
    if told is not None:
        return fine("runner", f"process {told['runner']['pid']}")
    try:
        folder = os.open(home.runner, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return fine("runner", "none yet: the agent starts one")
    try:
        spool.connect(folder).close()
    except OSError:
        return fine("runner", "none runs: the agent starts one, or its unit does")
    finally:
        os.close(folder)
    return fine("runner", "it runs")


# On the way to the server, and there. What cannot be known without the step before is not asked.


async def beyond(home: Home, config: Config) -> list[Finding]:
    web, found = Web(config.server, config.authorities), list[Finding]()
    try:
        for step in (names, certificates, answers, partial(identified, home, config)):
            found += await step(web)
            if found[-1].level is Level.FAULT:
                break
    finally:
        web.close()
    return found


async def names(web: Web) -> list[Finding]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            web.host, web.port, type=socket.SOCK_STREAM
        )
    except OSError as error:
        remedy = "correct the name in config.json, or /etc/resolv.conf; or the network is away"
        return [fault("dns", f"{web.host} is not known here: {error.strerror}", remedy)]
    return [fine("dns", f"{web.host} is {found[0][4][0]}")]


async def certificates(web: Web) -> list[Finding]:
    if not web.is_secure:
        return [fine("tls", "none: the server is on this machine")]
    try:
        async with asyncio.timeout(PATIENCE):
            _, writer = await asyncio.open_connection(
                web.host, web.port, ssl=web.context(), server_hostname=web.host
            )
    except ssl.SSLCertVerificationError as error:
        return [fault("tls", error.verify_message, certificate_remedy(error))]
    except (OSError, Unanswered) as error:
        says = f"{web.host}:{web.port}: {getattr(error, 'strerror', None) or error}"
        return [fault("tls", says, "the server, a firewall or the network is in the way")]
    said = writer.get_extra_info("ssl_object").version()
    writer.close()
    return [fine("tls", f"{said}, the certificate is trusted")]


def certificate_remedy(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code in (9, 10):  # not yet, or no longer
        return "set this machine's clock; if it is right, the server needs a new certificate"
    return "give the authority that has signed it: `authorities` in config.json names its file"


async def answers(web: Web) -> list[Finding]:
    asked_at = time.time()
    try:
        answer = await web.ask("GET", LIVE)
    except Unanswered as error:
        remedy = "start the server, or correct the address in config.json"
        return [fault("server", error.why, remedy)]
    theirs = answer.clock
    here = fine("server", f"answers in {(time.time() - asked_at) * 1000:.0f} ms")
    if theirs is None:
        return [here]
    return [clock(theirs - (asked_at + time.time()) / 2), here]


def clock(ahead: float) -> Finding:
    """The server tells its time to a second."""
    ahead = 0.0 if abs(ahead) < 2 else ahead
    says = f"{-ahead:+.0f} s before the server's" if ahead else "as the server's"
    if abs(ahead) > MOST_SKEW:
        remedy = "set it by NTP; until then times are put right by what the server says"
        return warning("clock", says, remedy)
    return fine("clock", says)


async def identified(home: Home, config: Config, web: Web) -> list[Finding]:
    try:
        await Tokens(web, config.name, KeyRing(home), config.server_key).get()
    except (Unanswered, OSError, identity.BadProof) as error:
        remedy = getattr(error, "remedy", "") or "ask who runs the server, or join again"
        return [fault("identity", str(error), remedy)]
    return [fine("identity", f"the server knows this machine as {config.name}")]


def steps(findings: list[Finding]) -> Iterator[str]:
    """As text, for a terminal."""
    for each in findings:
        yield f"{each.level:8}{each.check:10}{each.says}"
        if each.remedy:
            yield f"{'':18}{each.remedy}"
