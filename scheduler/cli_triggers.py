"""Commands about triggers and webhooks: what starts when something happens elsewhere."""

import json
from typing import Any

import click

from scheduler import show
from scheduler.cli_base import Desk, Listing, asks, of, quoted, read_text
from scheduler.client import Refused
from scheduler.show import Column

TRIGGERS: list[Column] = [
    ("ID", of("id")),
    ("STARTS", lambda row: starts(row)),
    ("NAME", of("name")),
    ("EVENTS", lambda row: events_of(row)),
    ("PAUSED", lambda row: show.moment(row["paused_at"])),
    ("NOTE", of("note")),
]
DECISIONS: list[Column] = [
    ("EVENT", of("event")),
    ("FATE", of("fate")),
    ("RUN", lambda row: show.short(row["run"])),
    ("DECIDED", lambda row: show.moment(row["decided_at"])),
    ("REASON", of("reason")),
]
WEBHOOKS: list[Column] = [
    ("WEBHOOK", of("name")),
    ("SCHEME", lambda row: row["spec"]["scheme"]),
    ("SECRET", lambda row: row["spec"]["secret"]),
    ("BEFORE COUNTS UNTIL", lambda row: show.moment(row["previous_until"])),
    ("CHANGED", lambda row: show.moment(row["updated_at"])),
]
FATES = ["STARTED", "WAITING", "MERGED", "THROTTLED", "DEDUPED", "SKIPPED", "FAILED"]

ID = click.argument("trigger", metavar="ID", type=click.IntRange(1))
LIMIT = click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
FILE = click.option(
    "--file", metavar="FILE", required=True, help="What it is, as YAML or JSON; - for stdin."
)


def starts(row: Any) -> str:
    return f"record {row['record']}" if row["record"] else str(row["type"])


def events_of(row: Any) -> str:
    events = row["spec"]["event"]
    return events if isinstance(events, str) else " ".join(events)


@click.group(cls=Listing)
def triggers() -> None:
    """Which events start what. Without a command: list it."""


@triggers.command("list")
@click.option("--type", help="Of this process type.")
@click.option("--record", help="Of this process record.")
@click.option("--paused", is_flag=True, help="Only those that are paused.")
@LIMIT
@asks
def list_triggers(
    desk: Desk, type: str | None, record: str | None, paused: bool, limit: int
) -> None:
    """List triggers."""
    only = "true" if paused else None
    rows = desk.client.pages("/triggers", limit, type=type, record=record, paused=only)
    desk.table(rows, TRIGGERS, "no triggers: `procession triggers create` makes one")


@triggers.command("show")
@ID
@asks
def show_trigger(desk: Desk, trigger: int) -> None:
    """Show a trigger."""
    found = desk.client.get(path(trigger))
    if desk.as_json:
        desk.json(found)
        return
    facts = [(name.replace("_", " "), found[name]) for name in found if name != "spec"]
    click.echo(show.fields([*facts, ("spec", json.dumps(found["spec"], ensure_ascii=False))]))


@triggers.command()
@click.option("--type", help="Start runs of this process type.")
@click.option("--record", help="Start this process record.")
@FILE
@asks
def create(desk: Desk, type: str | None, record: str | None, file: str) -> None:
    """Let events start runs of a type or of a record."""
    if (type is None) == (record is None):
        raise Refused("give either --type or --record")
    target = {"type": type} if type else {"record": record}
    made = desk.client.post("/triggers", {**target, "spec": from_file(file)})
    desk.say(made, f"trigger {made['id']} starts {starts(made)} on {events_of(made)}")


@triggers.command()
@ID
@FILE
@asks
def update(desk: Desk, trigger: int, file: str) -> None:
    """Change a trigger, for events to come."""
    done = desk.client.put(path(trigger), {"spec": from_file(file)})
    desk.say(done, f"trigger {trigger} starts {starts(done)} on {events_of(done)}")


@triggers.command()
@ID
@asks
def delete(desk: Desk, trigger: int) -> None:
    """Delete a trigger; the runs that it started stay."""
    desk.client.delete(path(trigger))
    desk.say({"id": trigger, "deleted": True}, f"trigger {trigger} deleted")


@triggers.command()
@ID
@click.option("--note", help="Shown to everybody.")
@asks
def pause(desk: Desk, trigger: int, note: str | None) -> None:
    """Start nothing by a trigger; what it would have started is written down."""
    done = desk.client.post(f"{path(trigger)}/pause", {"note": note})
    desk.say(done, f"trigger {trigger} is paused")


@triggers.command()
@ID
@asks
def resume(desk: Desk, trigger: int) -> None:
    """Let a paused trigger go on."""
    desk.say(desk.client.post(f"{path(trigger)}/resume"), f"trigger {trigger} goes on")


@triggers.command()
@ID
@click.option("--fate", type=click.Choice(FATES, case_sensitive=False))
@LIMIT
@asks
def decisions(desk: Desk, trigger: int, fate: str | None, limit: int) -> None:
    """List what it made of the events that it wanted."""
    wanted = fate.upper() if fate else None
    rows = desk.client.pages(f"{path(trigger)}/decisions", limit, fate=wanted)
    desk.table(rows, DECISIONS, "no event was wanted yet")


@click.group(cls=Listing)
def webhooks() -> None:
    """Where others report what happened. Without a command: list them."""


@webhooks.command("list")
@LIMIT
@asks
def list_webhooks(desk: Desk, limit: int) -> None:
    """List webhooks."""
    none = "no webhooks: `procession webhooks set NAME --file FILE` makes one"
    desk.table(desk.client.pages("/webhooks", limit), WEBHOOKS, none)


@webhooks.command("show")
@click.argument("name")
@asks
def show_webhook(desk: Desk, name: str) -> None:
    """Show a webhook."""
    desk.json(desk.client.get(at(name)))


@webhooks.command("set")
@click.argument("name")
@FILE
@asks
def set_webhook(desk: Desk, name: str, file: str) -> None:
    """Make a webhook or change it. Its key is a secret: `procession secrets set` first."""
    done = desk.client.put(at(name), {"spec": from_file(file)})
    said = f"webhook {name} takes calls at /api/v1/webhooks/{name}"
    desk.say(done, f"{said}, signed with {done['spec']['secret']}")


@webhooks.command()
@click.argument("name")
@click.option("--secret", required=True, metavar="SECRET", help="The name of the new one.")
@click.option("--overlap", default="1d", show_default=True, help="The one before counts so long.")
@asks
def rotate(desk: Desk, name: str, secret: str, overlap: str) -> None:
    """Sign with another key from now on."""
    done = desk.client.post(f"{at(name)}/rotate", {"secret": secret, "overlap": overlap})
    until = show.moment(done["previous_until"])
    desk.say(done, f"webhook {name} is signed with {secret}; the key before counts until {until}")


@webhooks.command("delete")
@click.argument("name")
@asks
def delete_webhook(desk: Desk, name: str) -> None:
    """Delete a webhook; events that came by it stay."""
    desk.client.delete(at(name))
    desk.say({"name": name, "deleted": True}, f"webhook {name} deleted")


def path(trigger: int) -> str:
    return f"/triggers/{trigger}"


def at(name: str) -> str:
    return f"/webhooks/{quoted(name)}"


def from_file(file: str) -> dict[str, Any]:
    from scheduler.domain.documents import load, plain

    documents = [plain(node) for node in load(read_text(file).decode("utf-8", "replace"))]
    if len(documents) != 1 or not isinstance(documents[0], dict):
        raise Refused(f"{file} must hold one map")
    return documents[0]


COMMANDS = (triggers, webhooks)
