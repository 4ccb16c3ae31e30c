"""Commands for workstations. The word that a machine joins with is printed once, as a line to run
there."""

from typing import Any
from urllib.parse import urlsplit

import click

from scheduler import show
from scheduler.address import is_loopback
from scheduler.cli_base import Desk, Listing, asks, of, quoted
from scheduler.client import Refused
from scheduler.domain.joining import join_command
from scheduler.show import Column, Row

WORKSTATIONS: list[Column] = [
    ("WORKSTATION", of("name")),
    ("IS", of("seen")),
    ("IN HAND", lambda row: f"{row['in_hand']} of {row['slots']}"),
    ("HEARD", lambda row: show.moment(row["heard_at"])),
    ("LABELS", lambda row: written({**row["told_labels"], **row["labels"]})),
    ("VERSION", of("version")),
    ("DRAINED FOR", of("drain_reason")),
    ("NOTE", of("note")),
]
INVITATIONS: list[Column] = [
    ("ID", of("id")),
    ("FOR", lambda row: row["name"] or "any machine"),
    ("STILL", of("count")),
    ("LABELS", lambda row: written(row["labels"])),
    ("FROM", lambda row: row["cidr"] or "anywhere"),
    ("APPROVAL", lambda row: "needed" if row["approve"] else ""),
    ("EXPIRES", lambda row: show.moment(row["expires_at"])),
    ("BY", of("created_by")),
]
SEEN = ["pending", "revoked", "offline", "late", "draining", "online"]

label_option = click.option(
    "--label", "labels", multiple=True, metavar="NAME=VALUE", help="Repeatable."
)
reason_option = click.option(
    "--reason", required=True, help="Shown to whoever stands before it, and remembered."
)


@click.group(cls=Listing)
def workstation() -> None:
    """Machines that carry tasks out by themselves. Without a command: list them."""


@workstation.command("list")
@click.option("--seen", type=click.Choice(SEEN), help="Only those that are so.")
@label_option
@click.option("--limit", default=200, show_default=True, type=click.IntRange(1, 10_000))
@asks
def list_workstations(desk: Desk, seen: str | None, labels: tuple[str, ...], limit: int) -> None:
    """List workstations: how they are, and what they have in hand."""
    wanted = {"seen": seen and seen.upper(), "label": list(labels) or None}
    found = desk.client.pages("/workstations", limit, **wanted)
    desk.table(found, WORKSTATIONS, "no workstations: `procession workstation add NAME`")


@workstation.command("show")
@click.argument("name")
@asks
def show_workstation(desk: Desk, name: str) -> None:
    """Show a workstation, and the fingerprint of its key."""
    found = desk.client.get(at(name))
    if desk.as_json:
        desk.json(found)
    else:
        click.echo(show.fields([(key.replace("_", " "), told(found[key])) for key in found]))


@workstation.command("add")
@click.argument("name", required=False)
@label_option
@click.option("--approve", is_flag=True, help="It waits until somebody accepts it.")
@click.option("--count", default=1, show_default=True, type=click.IntRange(1, 1000))
@click.option("--expires", default="15m", show_default=True, help="1m to 24h.")
@click.option("--cidr", metavar="NETWORK", help="Where it must come from, as in 10.20.0.0/16.")
@click.option("--replace", is_flag=True, help="It takes the place of the one of that name.")
@click.option("--url", help="How machines reach the server, if not as this command does.")
@asks
def add_workstation(
    desk: Desk, name: str | None, labels: tuple[str, ...], url: str | None, **given: Any
) -> None:
    """Print the line with which a machine joins. Without a NAME, each takes that of its host.

    The line passes the word on standard input: run it on the machine, or in a script of yours. As
    an argument everybody on the machine could read it while the command runs.
    """
    made = desk.client.post("/workstations", {"name": name, "labels": labels_of(labels), **given})
    reached = url or desk.address().url
    made["join"] = join_command(reached, made["token"])
    if not desk.as_json and (advice := advice_on(reached)):
        click.echo(advice, err=True)
    desk.say(made, made["join"])
    if not desk.as_json:
        many = "one machine" if given["count"] == 1 else f"{given['count']} machines"
        click.echo(f"good for {many}, until {show.moment(made['expires_at'])}", err=True)


def advice_on(url: str) -> str | None:
    host = urlsplit(url).hostname
    if is_loopback(url):
        return f"{host} is reached from this machine alone: say --url for others"
    if urlsplit(url).scheme != "https":
        return "without TLS no other machine speaks with the server: say --url https://…"
    return None


@workstation.command("invitations")
@click.option("--limit", default=200, show_default=True, type=click.IntRange(1, 10_000))
@asks
def list_invitations(desk: Desk, limit: int) -> None:
    """List invitations that are good, without their words."""
    found = desk.client.pages("/workstation-invitations", limit)
    desk.table(found, INVITATIONS, "nobody is invited")


@workstation.command("withdraw")
@click.argument("invitation", metavar="ID", type=click.IntRange(1))
@asks
def withdraw_invitation(desk: Desk, invitation: int) -> None:
    """Take an invitation back; who joined with it stays."""
    desk.client.delete(f"/workstation-invitations/{invitation}")
    desk.say({"id": invitation}, f"invitation {invitation} is good no more")


@workstation.command()
@click.argument("name")
@click.option("--fingerprint", help="As the machine shows it; another key is not accepted.")
@asks
def accept(desk: Desk, name: str, fingerprint: str | None) -> None:
    """Let a machine in that waits, after a look at the fingerprint on both sides."""
    if fingerprint is None and not desk.as_json:
        found = desk.client.get(at(name))
        click.echo(f"{name}, joined from {found['source']}, shows {found['fingerprint']}")
        click.confirm("Does the machine show the same?", abort=True)
        fingerprint = found["fingerprint"]
    done = desk.client.post(f"{at(name)}/accept", {"fingerprint": fingerprint})
    desk.say(done, f"workstation {name} is accepted")


@workstation.command()
@click.argument("name")
@click.argument("labels", nargs=-1, required=True, metavar="NAME=VALUE...")
@asks
def label(desk: Desk, name: str, labels: tuple[str, ...]) -> None:
    """Give a workstation labels; `NAME=` takes one away."""
    changes = {key: value or None for key, value in labels_of(labels).items()}
    done = desk.client.patch(at(name), {"labels": changes})
    desk.say(done, f"workstation {name} has {written(done['labels']) or 'no labels'}")


@workstation.command()
@click.argument("name")
@click.argument("text", required=False, default="")
@asks
def note(desk: Desk, name: str, text: str) -> None:
    """Write something down about a workstation; without a TEXT, nothing any more."""
    done = desk.client.patch(at(name), {"note": text or None})
    desk.say(done, f"the note of {name} is {'changed' if text else 'gone'}")


@workstation.command()
@click.argument("name")
@click.argument("peer")
@click.option("--type", "types", multiple=True, help="'*' for all. Repeatable; none: not any more.")
@asks
def allow(desk: Desk, name: str, peer: str, types: tuple[str, ...]) -> None:
    """Let a workstation start these types, and no others, at PEER; '*' stands for every peer."""
    done = desk.client.patch(at(name), {"peers": {peer: list(types) or None}})
    what = " ".join(types) or "nothing"
    desk.say(done, f"workstation {name} may start {what} at {peer}")


@workstation.command()
@click.argument("name")
@click.argument("url", required=False)
@click.option("--dial/--no-dial", default=None, help="The server calls it there.")
@asks
def address(desk: Desk, name: str, url: str | None, dial: bool | None) -> None:
    """Say where a workstation listens, as in wss://saw-1:8443; without a URL, nowhere."""
    body: dict[str, Any] = {"address": url}
    if dial is not None or url is None:
        body["is_dialled"] = bool(dial)
    done = desk.client.patch(at(name), body)
    desk.say(done, f"workstation {name} listens {'at ' + url if url else 'nowhere'}")


@workstation.command()
@click.argument("name")
@reason_option
@asks
def drain(desk: Desk, name: str, reason: str) -> None:
    """Give a workstation nothing more: it ends what it has, and is free for maintenance then."""
    done = desk.client.post(f"{at(name)}/drain", {"reason": reason})
    left = f"{done['in_hand']} attempts go on" if done["in_hand"] else "it has nothing in hand"
    desk.say(done, f"workstation {name} takes nothing more; {left}")


@workstation.command()
@click.argument("name")
@asks
def undrain(desk: Desk, name: str) -> None:
    """Let a workstation take work again."""
    done = desk.client.post(f"{at(name)}/undrain")
    desk.say(done, f"workstation {name} takes work again")


@workstation.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@asks
def revoke(desk: Desk, name: str, yes: bool) -> None:
    """Hear nothing of a workstation any more: its connections end at once, for good."""
    if not yes and not desk.as_json:
        click.confirm(f"{name} can do nothing here any more. Revoke it?", abort=True)
    done = desk.client.post(f"{at(name)}/revoke")
    desk.say(done, f"workstation {name} is revoked")


@workstation.command()
@click.argument("name")
@asks
def remove(desk: Desk, name: str) -> None:
    """Forget a workstation that has nothing in hand; its runs stay."""
    desk.client.delete(at(name))
    desk.say({"name": name, "removed": True}, f"workstation {name} is removed")


def at(name: str) -> str:
    return f"/workstations/{quoted(name)}"


def labels_of(given: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for each in given:
        name, sign, value = each.partition("=")
        if not sign or not name:
            raise Refused(f"{each!r} is no label: write name=value")
        found[name] = value
    return found


def written(labels: Row) -> str:
    return " ".join(f"{name}={labels[name]}" for name in sorted(labels))


def told(value: Any) -> Any:
    return written(value) if isinstance(value, dict) else value


COMMANDS = (workstation,)
