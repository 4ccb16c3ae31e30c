"""Units into their place, and started."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from edge.agent import units
from edge.agent.home import Unusable
from edge.agent.units import Units

FLEETING = (Path("/tmp"), Path("/var/tmp"))


def owner(home: Path) -> str:
    return pwd.getpwuid(home.stat().st_uid).pw_name


def install(home: Path, user: str | None, made: Units) -> Iterator[str]:
    """What was done, step by step."""
    require_system()
    require_place(home)
    require_runs(user or owner(home))
    if user is not None and user != owner(home):
        give(home, user)
        yield f"{home} belongs to {user} now"
    for path in units.write(made):
        yield f"wrote {path}"
    systemctl("daemon-reload")
    systemctl("enable", "--now", units.RUNNER, units.AGENT)
    yield f"started {units.RUNNER} and {units.AGENT}"


def require_system() -> None:
    if shutil.which("systemctl") is None or not Path("/run/systemd/system").exists():
        remedy = "with --print it shows the units; run `procession edge run` by what you have"
        raise Unusable("systemd does not run this machine", remedy)
    if os.geteuid() != 0:
        raise Unusable("only root can install units", "use sudo, or --print")


def require_place(home: Path) -> None:
    if any(home.is_relative_to(each) for each in FLEETING):
        remedy = "choose another one with --home, and join from there"
        raise Unusable(f"{home}: a unit has folders for what is fleeting of its own", remedy)


def require_runs(user: str) -> None:
    """Where it was installed may be its owner's alone."""
    command = [*units.command(), "--version"]
    try:
        done = run_as(pwd.getpwnam(user), command)
    except KeyError:
        raise nobody(user) from None
    except OSError as error:
        raise closed(user, f"{command[0]}: {error.strerror}") from None
    if done.returncode != 0:
        raise closed(user, done.stderr.decode(errors="replace").strip()[-300:])


def run_as(user: pwd.struct_passwd, command: list[str]) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        command,
        capture_output=True,
        check=False,
        cwd="/",
        env={},
        user=user.pw_uid,
        group=user.pw_gid,
        extra_groups=[],
    )


def closed(user: str, why: str) -> Unusable:
    return Unusable(f"{user!r} cannot run it: {why}", "install it where everybody may read it")


def nobody(user: str) -> Unusable:
    return Unusable(f"there is no user {user!r}", f"useradd --system {user}")


def give(home: Path, user: str) -> None:
    try:
        units.give_to(home, user)
    except LookupError:
        raise nobody(user) from None


def systemctl(*words: str) -> None:
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = done.stderr.strip() or f"it ended with {done.returncode}"
        raise Unusable(f"systemctl {words[0]}: {said}", "`journalctl -xe` says more")
