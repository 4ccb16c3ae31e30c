"""What the owner of a machine has not allowed is refused, whatever a server sends."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from edge.agent import policy
from edge.agent.policy import BadPolicy, Policy
from edge.messages import Refusal

NOON = datetime(2026, 11, 18, 11, 0, tzinfo=UTC)  # a Wednesday; noon in Rome
FILE = """
zone = "Europe/Rome"
hours = ["mon-fri 06:00-22:00", "sat 22:00-02:00"]
roots = ["{folder}/shop"]
users = ["press"]
env = ["JOB", "PRESS_*", "PATH"]
max_runtime = 3600

[[allow]]
program = "/usr/local/bin/press"
args = ["--job", "[0-9]{{1,9}}"]
rest = "--[a-z-]+"

[[allow]]
program = "/usr/bin/true"

[[allow]]
program = "/bin/sh"
shell = true
args = ["-c", "systemctl restart press"]

[[allow]]
program = "/bin/bash"
args = ["-c", ".*"]

[[allow]]
program = "{folder}/tool"
rest = ".*"
"""
PRESS = ["/usr/local/bin/press", "--job", "7"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "out").symlink_to("/etc")
    (tmp_path / "tool").symlink_to("/bin/dash")
    return tmp_path


@pytest.fixture
def owners(folder: Path) -> Policy:
    return policy.parse(FILE.format(folder=folder).encode())


REFUSED: dict[str, dict[str, Any]] = {
    "no program": {},
    "an empty list": {"argv": []},
    "a text": {"argv": "/usr/bin/true"},
    "a mapping": {"argv": {"0": "/usr/bin/true"}},
    "null": {"argv": [None]},
    "a number": {"argv": ["/usr/local/bin/press", "--job", 7]},
    "a NUL": {"argv": ["/usr/local/bin/press", "--job", "7\0"]},
    "another program": {"argv": ["/usr/bin/id"]},
    "by its name alone": {"argv": ["true"]},
    "by a shorter path": {"argv": ["bin/true"]},
    "by a way around": {"argv": ["/usr/local/../bin/true"]},
    "with a stroke too many": {"argv": ["//usr/bin/true"]},
    "with a stroke behind": {"argv": ["/usr/bin/true/"]},
    "with a space": {"argv": ["/usr/bin/true "]},
    "with a line's end": {"argv": ["/usr/bin/true\n"]},
    "in capitals": {"argv": ["/usr/bin/TRUE"]},
    "with an argument": {"argv": ["/usr/bin/true", "x"]},
    "with an empty argument": {"argv": ["/usr/bin/true", ""]},
    "too few arguments": {"argv": ["/usr/local/bin/press", "--job"]},
    "none of them": {"argv": ["/usr/local/bin/press"]},
    "in another order": {"argv": ["/usr/local/bin/press", "7", "--job"]},
    "a longer number": {"argv": ["/usr/local/bin/press", "--job", "1234567890"]},
    "a number and more": {"argv": ["/usr/local/bin/press", "--job", "7; id"]},
    "a number and a line": {"argv": ["/usr/local/bin/press", "--job", "7\n"]},
    "a substitution": {"argv": ["/usr/local/bin/press", "--job", "$(id)"]},
    "other digits": {"argv": ["/usr/local/bin/press", "--job", "٣"]},
    "a rest of another kind": {"argv": [*PRESS, "--fast", "/etc/passwd"]},
    "a rest with a value": {"argv": [*PRESS, "--out=/etc/passwd"]},
    "both as one": {"argv": ["/usr/local/bin/press", "--job 7"]},
    "a shell with other words": {"argv": ["/bin/sh", "-c", "id"]},
    "a shell with more words": {"argv": ["/bin/sh", "-c", "systemctl restart press; id"]},
    "a shell with a line more": {"argv": ["/bin/sh", "-c", "systemctl restart press\nid"]},
    "a shell and a name": {"argv": ["/bin/sh", "-c", "systemctl restart press", "x"]},
    "a shell without words": {"argv": ["/bin/sh"]},
    "another shell": {"argv": ["/bin/dash", "-c", "systemctl restart press"]},
    "a shell by another path": {"argv": ["/usr/bin/sh", "-c", "systemctl restart press"]},
    "a shell that nobody wanted as one": {"argv": ["/bin/bash", "-c", "id"]},
    "a link to a shell": {"argv": ["{folder}/tool", "-c", "id"]},
    "by env": {"argv": ["/usr/bin/env", "/usr/bin/true"]},
    "by an interpreter": {"argv": ["/usr/bin/python3", "-c", "0"]},
    "in another folder": {"argv": PRESS, "cwd": "/etc"},
    "in a folder above": {"argv": PRESS, "cwd": "{folder}"},
    "out by dots": {"argv": PRESS, "cwd": "{folder}/shop/.."},
    "out by a link": {"argv": PRESS, "cwd": "{folder}/shop/out"},
    "in a neighbour": {"argv": PRESS, "cwd": "{folder}/shop2"},
    "in no whole path": {"argv": PRESS, "cwd": "shop"},
    "in a number": {"argv": PRESS, "cwd": 7},
    "as root": {"argv": PRESS, "user": "root"},
    "as a number": {"argv": PRESS, "user": 0},
    "as nobody's name": {"argv": PRESS, "user": ""},
    "with a variable": {"argv": PRESS, "env": {"HOME": "/"}},
    "with a loader's variable": {"argv": PRESS, "env": {"LD_PRELOAD": "/tmp/x.so"}},
    "with a shell's variable": {"argv": PRESS, "env": {"BASH_ENV": "/tmp/x"}},
    "with another case": {"argv": PRESS, "env": {"job": "7"}},
    "with a secret of another name": {"argv": PRESS, "secrets": {"LD_AUDIT": "x"}},
    "with a list of variables": {"argv": PRESS, "env": [["JOB", "7"]]},
    "with a text of variables": {"argv": PRESS, "env": "JOB=7"},
}


def filled(value: Any, folder: Path) -> Any:
    if isinstance(value, str):
        return value.replace("{folder}", str(folder))
    if isinstance(value, list):
        return [filled(each, folder) for each in value]
    if isinstance(value, dict):
        return {name: filled(each, folder) for name, each in value.items()}
    return value


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_allowed_is_refused(what: str, owners: Policy, folder: Path) -> None:
    found = owners.object_to(filled(REFUSED[what], folder), NOON)
    assert found is not None
    assert found[0] is Refusal.POLICY
    assert found[1]


ALLOWED: dict[str, dict[str, Any]] = {
    "as it is written": {"argv": PRESS},
    "with more of the rest": {"argv": [*PRESS, "--fast", "--dry-run"]},
    "without arguments": {"argv": ["/usr/bin/true"]},
    "the shell's very words": {"argv": ["/bin/sh", "-c", "systemctl restart press"]},
    "in a root": {"argv": PRESS, "cwd": "{folder}/shop"},
    "as a user of the list": {"argv": PRESS, "user": "press"},
    "with variables of the list": {"argv": PRESS, "env": {"JOB": "7", "PRESS_SPEED": "2"}},
    "with a grave one that is named": {"argv": PRESS, "env": {"PATH": "/usr/bin"}},
}


@pytest.mark.parametrize("what", ALLOWED)
def test_what_is_allowed_is_not(what: str, owners: Policy, folder: Path) -> None:
    assert owners.object_to(filled(ALLOWED[what], folder), NOON) is None


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2026-11-18T04:59", False),  # 05:59 in Rome
        ("2026-11-18T05:00", True),
        ("2026-11-18T20:59", True),
        ("2026-11-18T21:00", False),
        ("2026-11-21T20:59", False),  # a Saturday
        ("2026-11-21T21:00", True),
        ("2026-11-22T00:59", True),  # past midnight
        ("2026-11-22T01:00", False),
        ("2026-11-22T11:00", False),
        ("2026-07-15T04:30", True),  # 06:30 in summer
    ],
)
def test_hours_are_those_of_the_place(owners: Policy, moment: str, is_open: bool) -> None:
    found = owners.object_to({"argv": PRESS}, datetime.fromisoformat(moment).replace(tzinfo=UTC))
    assert (found is None) is is_open


def test_without_a_file_nothing_is_allowed() -> None:
    assert Policy().object_to({"argv": ["/usr/bin/true"]}, NOON) is not None


def test_what_may_take_longer_is_cut(owners: Policy) -> None:
    assert owners.bounded({"argv": PRESS})["timeout"] == 3600
    assert owners.bounded({"argv": PRESS, "timeout": 9e9})["timeout"] == 3600
    assert owners.bounded({"argv": PRESS, "timeout": 5})["timeout"] == 5


BAD = {
    "allow = 7": "allow: tables are due",
    "root = []": "root is not known; there are allow",
    "roots = ['work']": "roots: 'work' is not a whole path",
    "users = [1]": "users: a list of texts",
    "hours = ['always']": "hours: 'always' should be like",
    "hours = ['mon 25:00-26:00']": "names no time of a day",
    "zone = 'Rome'": "zone: 'Rome' is not known",
    "max_runtime = 0": "above 0",
    "max_runtime = true": "above 0",
    "[[allow]]\nargs = []": "allow.0..program is missing",
    "[[allow]]\nprogram = 'true'": "allow.0..program: 'true' is not a whole path",
    "[[allow]]\nprogram = '/bin/true'\nargs = ['(']": "no pattern",
    "[[allow]]\nprogram = '/bin/true'\nshell = 'yes'": "true or false",
    "[[allow]]\nprogram = '/bin/true'\nargv = []": "argv is not known",
    "allow = [": "not TOML",
}


@pytest.mark.parametrize("text", BAD)
def test_a_file_that_says_something_else_is_refused(text: str) -> None:
    with pytest.raises(BadPolicy, match=BAD[text]):
        policy.parse(text.encode())


def test_a_file_that_others_may_write_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text('[[allow]]\nprogram = "/usr/bin/true"\n')
    os.chmod(path, 0o666)
    with pytest.raises(BadPolicy, match="may be written by others"):
        policy.read(path)
    os.chmod(path, 0o644)
    assert policy.read(path).summary()["programs"] == ["/usr/bin/true"]
    with pytest.raises(BadPolicy, match="No such file"):
        policy.read(tmp_path / "none.toml")
