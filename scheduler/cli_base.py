"""What the commands that ask a server share: whom they ask, and how they answer."""

import functools
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from scheduler import show
from scheduler.address import SERVER, TOKEN, Address, find
from scheduler.client import Client, Refused
from scheduler.show import Column, Row

Command = Callable[..., None]


@dataclass(slots=True)
class Desk:
    """One command's server, and the form of its answers."""

    server: str | None
    as_json: bool
    _client: Client | None = None

    @property
    def client(self) -> Client:
        if self._client is None:
            self._client = Client(self.address())
        return self._client

    def address(self) -> Address:
        found = find(self.server, os.environ)
        if found is None:
            raise Refused(
                f"no server is known: start one with `procession up`, or set {SERVER} and {TOKEN}"
            )
        return found

    def table(self, rows: Sequence[Row], columns: Sequence[Column], none: str) -> None:
        if self.as_json:
            self.json(rows)
        elif rows:
            click.echo(show.table(columns, rows, room=show.room()))
        else:
            click.echo(none)

    def say(self, value: Any, sentence: str) -> None:
        if self.as_json:
            self.json(value)
        else:
            click.echo(show.plain(sentence))

    def json(self, value: Any) -> None:
        click.echo(json.dumps(value, indent=2, ensure_ascii=False))

    def run_id(self, given: str) -> str:
        """The whole id of a run of which the beginning or the end was given."""
        if len(given.replace("-", "")) == 32:
            return given
        found = self.client.get("/runs", short=given)["items"]
        if not found:
            raise Refused(f"no run's id begins or ends with {given}: `procession runs` lists them")
        if len(found) > 1:
            raise Refused(f"several runs' ids begin or end with {given}: give more of it")
        return str(found[0]["id"])


class Listing(click.Group):
    """A group that lists what it is about when it is given no command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)


def asks(command: Command) -> Command:
    """A command that asks a server: it takes --server and --json, and gets a desk."""

    @click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for programs.")
    @click.option("--server", metavar="URL", help="Whom to ask.  [env: PROCESSION_SERVER]")
    @functools.wraps(command)
    def asking(server: str | None, as_json: bool, **given: Any) -> None:
        desk = Desk(server, as_json)
        try:
            command(desk, **given)
        finally:
            if desk._client is not None:
                desk._client.close()

    return asking


def read_json(text: str, what: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise Refused(f"{what} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise Refused(f"{what} must be a JSON object")
    return value


def read_text(file: str) -> bytes:
    """A file's bytes; `-` is the standard input."""
    try:
        if file == "-":
            return sys.stdin.buffer.read()
        with open(file, "rb") as opened:
            return opened.read()
    except OSError as error:
        raise Refused(f"{file}: {error.strerror}") from error


def quoted(part: str) -> str:
    """A part of an address that may hold anything."""
    from urllib.parse import quote

    return quote(part, safe="")


def of(key: str) -> Callable[[Mapping[str, Any]], Any]:
    return lambda row: row[key]
