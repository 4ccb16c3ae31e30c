"""What the owner of a machine lets be done on it: a file of theirs, which no server can change.

Without a file nothing may be carried out; with one, what it does not allow is refused. It is asked
when work is offered and again just before it begins, since files and links change meanwhile.

    zone = "Europe/Rome"
    hours = ["mon-fri 06:00-22:00", "sat 07:00-12:00"]
    roots = ["/srv/press"]           # a command works in one of these, or in a folder of its own
    users = ["press"]                # none: as the agent itself, and as nobody else
    env = ["JOB", "PRESS_*"]
    max_runtime = 3600               # seconds; what may take longer is cut to this

    [[allow]]
    program = "/usr/local/bin/press"
    args = ["--job", "[0-9]{1,9}"]   # each a pattern for the whole of one argument
    rest = "--[a-z-]+"               # and any number more of these

    [[allow]]
    program = "/bin/sh"              # a shell runs what it is told: it has to be named, and wanted
    shell = true
    args = ["-c", "systemctl restart press"]
"""

import hashlib
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

from edge.agent.page.guard import read_address
from edge.messages import Refusal

Objection: TypeAlias = tuple[Refusal, str] | None
KNOWN = {
    "allow", "env", "hours", "max_runtime", "page", "page_names", "roots", "users", "zone",
}  # fmt: skip
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
# They run what they are given, so allowing one with free arguments allows everything.
SHELLS = frozenset({"ash", "bash", "busybox", "csh", "dash", "fish", "ksh", "sh", "tcsh", "zsh"})
# What a program is loaded and found by: a pattern never reaches these, only their very names.
GRAVE = re.compile(
    r"LD_.*|PATH|IFS|ENV|BASH_.*|SHELLOPTS|PYTHON.*|PERL.*|RUBY.*|NODE_.*|JAVA_.*|GCONV_PATH|TMPDIR"
)


class BadPolicy(ValueError):
    """Says what in the file is wrong. With such a file nothing is carried out."""


@dataclass(frozen=True, slots=True)
class Hours:
    days: frozenset[int]
    begin: time
    end: time

    def has(self, moment: datetime) -> bool:
        """Hours that end before they begin go on past midnight."""
        now, day = moment.time(), moment.weekday()
        if self.begin < self.end:
            return day in self.days and self.begin <= now < self.end
        if now >= self.begin:
            return day in self.days
        return now < self.end and (day - 1) % 7 in self.days


@dataclass(frozen=True, slots=True)
class Rule:
    program: str
    args: Sequence[str]
    rest: str | None = None
    shell: bool = False

    def admits(self, args: Sequence[str]) -> bool:
        if len(args) < len(self.args) or (len(args) > len(self.args) and self.rest is None):
            return False
        patterns = [*self.args, *[self.rest or ""] * (len(args) - len(self.args))]
        return all(
            re.fullmatch(pattern, each, re.DOTALL)
            for pattern, each in zip(patterns, args, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Policy:
    rules: Sequence[Rule] = ()
    roots: Sequence[str] = ()
    users: Sequence[str] = ()
    env: Sequence[str] = ()
    hours: Sequence[Hours] = ()
    zone: str = "UTC"
    max_runtime: float | None = None
    page: str | None = None  # where the machine's own page is shown
    page_names: Sequence[str] = ()  # by which it may be asked for, beside that address
    digest: str = ""

    def object_to(self, invocation: Mapping[str, Any], now: datetime) -> Objection:
        """Why this is not carried out here; None if it may be."""
        try:
            why = self.complaint(invocation, now)
        except (TypeError, ValueError, AttributeError, OSError) as error:
            why = f"what is asked for cannot be understood: {error}"
        return None if why is None else (Refusal.POLICY, why)

    def complaint(self, invocation: Mapping[str, Any], now: datetime) -> str | None:
        return (
            self.about_time(now)
            or self.about_program(invocation.get("argv"))
            or self.about_folder(invocation.get("cwd"))
            or self.about_user(invocation.get("user"))
            or self.about_names(invocation.get("env") or {})
            or self.about_names(invocation.get("secrets") or {})
        )

    def about_time(self, now: datetime) -> str | None:
        here = now.astimezone(ZoneInfo(self.zone))
        if not self.hours or any(each.has(here) for each in self.hours):
            return None
        return f"nothing is carried out at {here:%a %H:%M} here"

    def about_program(self, argv: Any) -> str | None:
        if not isinstance(argv, list) or not argv:
            return "there is no program"
        if not all(isinstance(each, str) and "\0" not in each for each in argv):
            return "an argument is not a text"
        program, args = argv[0], argv[1:]
        if not os.path.isabs(program):
            return f"{shown(program)} is not named by its whole path"
        rules = [each for each in self.rules if each.program == program]
        if not rules:
            return f"{shown(program)} is not among the programs that are allowed"
        if is_shell(program):
            rules = [each for each in rules if each.shell]
            if not rules:
                return f"{shown(program)} is a shell"
        if not any(each.admits(args) for each in rules):
            return f"{shown(program)} is not allowed with these arguments"
        return None

    def about_folder(self, cwd: Any) -> str | None:
        if cwd is None:
            return None
        real = Path(os.path.realpath(cwd))
        if not os.path.isabs(cwd):
            return f"the folder {shown(cwd)} is not named by its whole path"
        if any(real.is_relative_to(os.path.realpath(root)) for root in self.roots):
            return None
        return f"the folder {shown(cwd)} is outside of those that are allowed"

    def about_user(self, user: Any) -> str | None:
        if user is None or (isinstance(user, str) and user in self.users):
            return None
        return f"nothing is carried out as {shown(str(user))}"

    def about_names(self, env: Mapping[str, Any]) -> str | None:
        if not isinstance(env, Mapping):
            return "the variables are not given by their names"
        for name in env:
            if name in self.env:
                continue
            if GRAVE.fullmatch(name) or not any(fnmatchcase(name, each) for each in self.env):
                return f"the variable {shown(name)} may not be set"
        return None

    def bounded(self, invocation: Mapping[str, Any]) -> Mapping[str, Any]:
        """The same, for no longer than is allowed."""
        if self.max_runtime is None:
            return invocation
        asked = invocation.get("timeout")
        timeout = self.max_runtime if asked is None else min(float(asked), self.max_runtime)
        return {**invocation, "timeout": timeout}

    def summary(self) -> Mapping[str, Any]:
        """What the server is told of it."""
        return {
            "digest": self.digest,
            "programs": sorted({each.program for each in self.rules}),
            "shells": sorted({each.program for each in self.rules if each.shell}),
            "roots": list(self.roots),
            "users": list(self.users),
            "has_hours": bool(self.hours),
            "max_runtime": self.max_runtime,
        }


def is_shell(program: str) -> bool:
    """By its name, or by the name of what it is a link to."""
    names = {os.path.basename(program), os.path.basename(os.path.realpath(program))}
    return not SHELLS.isdisjoint(names)


def shown(text: str) -> str:
    return repr(text[:120])


# The file.


def read(path: Path) -> Policy:
    """Nobody but its owner and root may be able to write it."""
    try:
        data = path.read_bytes()
        mode = path.stat().st_mode
    except OSError as error:
        raise BadPolicy(f"{path}: {error.strerror}") from None
    if mode & 0o022:
        raise BadPolicy(f"{path} may be written by others: chmod go-w it")
    return parse(data)


def parse(data: bytes) -> Policy:
    try:
        told = tomllib.loads(data.decode())
    except ValueError as error:
        raise BadPolicy(f"not TOML: {error}") from None
    refuse_unknown(told, KNOWN, "")
    return Policy(
        rules=rules(told.get("allow", [])),
        roots=[absolute(each, "roots") for each in texts(told, "roots")],
        users=texts(told, "users"),
        env=texts(told, "env"),
        hours=[hours(each) for each in texts(told, "hours")],
        zone=zone(told.get("zone", "UTC")),
        max_runtime=runtime(told.get("max_runtime")),
        page=page(told.get("page")),
        page_names=texts(told, "page_names"),
        digest=hashlib.sha256(data).hexdigest(),
    )


def page(told: Any) -> str | None:
    if told is None:
        return None
    if not isinstance(told, str):
        raise BadPolicy("page: an address is due, such as 127.0.0.1:8790")
    try:
        return str(read_address(told))
    except ValueError as error:
        raise BadPolicy(f"page: {error}") from None


def refuse_unknown(told: Mapping[str, Any], known: set[str], where: str) -> None:
    if unknown := sorted(set(told) - known):
        raise BadPolicy(f"{where}{unknown[0]} is not known; there are {', '.join(sorted(known))}")


def texts(told: Mapping[str, Any], name: str) -> Sequence[str]:
    found = told.get(name, [])
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise BadPolicy(f"{name}: a list of texts is due")
    return found


def rules(told: Any) -> Sequence[Rule]:
    if not isinstance(told, list):
        raise BadPolicy("allow: tables are due")
    return [rule(each, f"allow[{number}]") for number, each in enumerate(told)]


def rule(told: Any, where: str) -> Rule:
    if not isinstance(told, dict):
        raise BadPolicy(f"{where}: a table is due")
    refuse_unknown(told, {"args", "program", "rest", "shell"}, f"{where}.")
    program, rest, shell = told.get("program"), told.get("rest"), told.get("shell", False)
    if not isinstance(program, str):
        raise BadPolicy(f"{where}.program is missing")
    if not isinstance(shell, bool):
        raise BadPolicy(f"{where}.shell: true or false is due")
    args = [pattern(each, f"{where}.args") for each in texts(told, "args")]
    more = None if rest is None else pattern(rest, f"{where}.rest")
    return Rule(absolute(program, f"{where}.program"), args, more, shell)


def pattern(told: Any, where: str) -> str:
    try:
        re.compile(told)
    except (re.error, TypeError) as error:
        raise BadPolicy(f"{where}: {told!r} is no pattern: {error}") from None
    return str(told)


def absolute(path: str, where: str) -> str:
    if not os.path.isabs(path):
        raise BadPolicy(f"{where}: {path!r} is not a whole path")
    return path


def runtime(told: Any) -> float | None:
    if told is None:
        return None
    if isinstance(told, bool) or not isinstance(told, int | float) or told <= 0:
        raise BadPolicy("max_runtime: a number of seconds above 0 is due")
    return float(told)


def zone(told: Any) -> str:
    try:
        return str(ZoneInfo(told).key)
    except (ValueError, TypeError, LookupError, OSError):
        raise BadPolicy(f"zone: {told!r} is not known") from None


HOURS = re.compile(r"([a-z]{3})(?:-([a-z]{3}))? ([0-9]{2}:[0-9]{2})-([0-9]{2}:[0-9]{2})")


def hours(text: str) -> Hours:
    found = HOURS.fullmatch(text)
    if not found or {found[1], found[2] or found[1]} - set(DAYS):
        raise BadPolicy(f"hours: {text!r} should be like 'mon-fri 06:00-22:00'")
    first, last = DAYS.index(found[1]), DAYS.index(found[2] or found[1])
    days = frozenset((first + n) % 7 for n in range((last - first) % 7 + 1))
    try:
        return Hours(days, time.fromisoformat(found[3]), time.fromisoformat(found[4]))
    except ValueError:
        raise BadPolicy(f"hours: {text!r} names no time of a day") from None
