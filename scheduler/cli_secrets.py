"""Commands for secrets. A value comes from the standard input or a prompt, never as an argument."""

import sys
from collections.abc import Sequence

import click

from scheduler import show
from scheduler.cli_base import Desk, Listing, asks, of, quoted, read_text
from scheduler.client import Refused
from scheduler.show import Column, Row

SECRETS: list[Column] = [
    ("SECRET", of("name")),
    ("VERSION", of("version")),
    ("GRANTED TO", lambda row: " ".join(row["grants"])),
    ("CHANGED", lambda row: show.moment(row["changed_at"])),
    ("BY", of("changed_by")),
    ("USED", lambda row: show.moment(row["last_used_at"])),
    ("NOTE", of("note")),
]
KEYS: list[Column] = [
    ("KEY", of("id")),
    ("SECRETS", of("secrets")),
    ("CURRENT", lambda row: "yes" if row["is_current"] else ""),
    ("AT HAND", lambda row: "yes" if row["is_at_hand"] else "no"),
]


@click.group(cls=Listing)
def secrets() -> None:
    """What commands need and nobody may read. Without a command: list them."""


@secrets.command("list")
@click.option("--limit", default=200, show_default=True, type=click.IntRange(1, 10_000))
@asks
def list_secrets(desk: Desk, limit: int) -> None:
    """List secrets, without their values."""
    desk.table(desk.client.pages("/secrets", limit), SECRETS, "no secrets")


@secrets.command("show")
@click.argument("name")
@asks
def show_secret(desk: Desk, name: str) -> None:
    """Show a secret, without its value."""
    found = desk.client.get(at(name))
    if desk.as_json:
        desk.json(found)
    else:
        click.echo(show.fields([(key.replace("_", " "), found[key]) for key in found]))


@secrets.command("set")
@click.argument("name")
@click.option("--file", metavar="FILE", help="Take the value from a file, as it is.")
@click.option("--grant", "grants", multiple=True, metavar="TYPE", help="May use it. Repeatable.")
@click.option("--note", help="What it is for.")
@asks
def set_secret(
    desk: Desk, name: str, file: str | None, grants: Sequence[str], note: str | None
) -> None:
    """Make a secret, or give it a new value: from a prompt, or the standard input without the
    newline at its end."""
    value = value_of(file)
    given = {"grants": list(grants) or None, "note": note}
    body = {"value": value} | {key: each for key, each in given.items() if each is not None}
    found = desk.client.put(at(name), body)
    to = " ".join(found["grants"]) or "no type yet: `procession secrets grant`"
    desk.say(found, f"secret {name} has version {found['version']}, granted to {to}")


def value_of(file: str | None) -> str:
    if file is None and sys.stdin.isatty():
        return str(click.prompt("Value", hide_input=True, confirmation_prompt=True))
    data = read_text(file or "-")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise Refused("the value is no UTF-8 text: encode it as base64") from None
    return text if file else text.removesuffix("\n").removesuffix("\r")


@secrets.command()
@click.argument("name")
@click.argument("types", nargs=-1, required=True)
@asks
def grant(desk: Desk, name: str, types: Sequence[str]) -> None:
    """Let types use a secret; '*' stands for all."""
    found = desk.client.get(at(name))
    changed = desk.client.patch(at(name), {"grants": sorted({*found["grants"], *types})})
    tell_grants(desk, changed)


@secrets.command()
@click.argument("name")
@click.argument("types", nargs=-1, required=True)
@asks
def revoke(desk: Desk, name: str, types: Sequence[str]) -> None:
    """Let types use a secret no more."""
    found = desk.client.get(at(name))
    changed = desk.client.patch(at(name), {"grants": sorted({*found["grants"]} - {*types})})
    tell_grants(desk, changed)


def tell_grants(desk: Desk, secret: Row) -> None:
    desk.say(
        secret, f"secret {secret['name']} is granted to {' '.join(secret['grants']) or 'no type'}"
    )


@secrets.command()
@click.argument("name")
@asks
def delete(desk: Desk, name: str) -> None:
    """Delete a secret; runs that ask for it fail."""
    desk.client.delete(at(name))
    desk.say({"name": name, "deleted": True}, f"secret {name} is deleted")


@secrets.command()
@asks
def keys(desk: Desk) -> None:
    """List the keys that encrypt secrets, by their ids."""
    found = desk.client.get("/secret-keys")["items"]
    desk.table(found, KEYS, "no key: see docs/secrets.md")


@secrets.command("rotate-key")
@asks
def rotate_key(desk: Desk) -> None:
    """Encrypt all secrets with the current key, the first of the key file."""
    found = desk.client.post("/secret-keys/rotate")
    desk.say(found, f"{found['rotated']} secrets are encrypted with the current key now")


def at(name: str) -> str:
    return f"/secrets/{quoted(name)}"


COMMANDS = (secrets,)
