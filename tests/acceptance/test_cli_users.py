"""People, tokens and passwords from the command line, against a real server."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from scheduler.services.access import Role
from tests.support.api import tokens_of
from tests.support.postgres import Databases
from tests.support.servers import served

PROCESSION = [sys.executable, "-m", "scheduler"]


@dataclass(frozen=True)
class Shell:
    url: str
    admin: str

    def run(
        self, *arguments: str, token: str | None = None, input: str = ""
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*PROCESSION, *arguments],
            env={
                **os.environ,
                "PROCESSION_SERVER": self.url,
                "PROCESSION_TOKEN": token or self.admin,
            },
            capture_output=True,
            text=True,
            input=input,
            timeout=60,
            check=False,
        )

    def says(self, *arguments: str, token: str | None = None, input: str = "") -> str:
        done = self.run(*arguments, token=token, input=input)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def shell(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    folder = tmp_path_factory.mktemp("users")
    with databases.cloned() as dsn, served(dsn, folder) as url:
        yield Shell(url, asyncio.run(tokens_of(dsn))[Role.ADMIN])


def test_a_user_is_made_gets_a_password_and_a_token_and_is_shut_out(shell: Shell) -> None:
    shell.says("users", "create", "anna", "--role", "operator", "--display-name", "Anna Berg")
    link = shell.says("users", "link", "anna").splitlines()[0]
    assert link.startswith("pn_password_")
    shell.says("users", "set-password", input=f"{link}\nquiet hedge in October\n")
    token = shell.says("tokens", "create", "laptop", "--role", "viewer", "--user", "anna").strip()

    me = json.loads(shell.says("whoami", "--json", token=token))
    assert (me["user"], me["role"]) == ("anna", "viewer")
    listed = shell.says("tokens", token=token)
    assert "laptop" in listed
    assert token not in listed
    assert "Anna Berg" in shell.says("users")
    shell.says(
        "users",
        "password",
        "anna",
        token=token,
        input="quiet hedge in October\nslow train to Bergen\n",
    )
    shell.says("users", "disable", "anna")
    assert shell.run("whoami", token=token).returncode == 2


def test_what_is_refused_is_told_in_a_line_without_the_password(shell: Shell) -> None:
    shell.says("users", "create", "berit", "--role", "viewer")
    link = shell.says("users", "link", "berit").splitlines()[0]
    done = shell.run("users", "set-password", input=f"{link}\nhunter2\n")
    assert done.returncode == 2
    assert "12 characters" in done.stderr
    assert "hunter2" not in done.stderr
    assert "no line" in shell.run("users", "set-password", input=f"{link}\n").stderr


def test_a_token_is_ended_by_its_number(shell: Shell) -> None:
    made = json.loads(shell.says("tokens", "create", "ci", "--role", "operator", "--json"))
    shell.says("tokens", "revoke", str(made["id"]))
    assert json.loads(shell.says("tokens", "show", str(made["id"]), "--json"))["revoked_at"]
    assert shell.run("whoami", token=made["token"]).returncode == 2
