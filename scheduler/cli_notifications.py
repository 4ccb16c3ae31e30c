"""Commands about notifications: what was found, and whom it reached."""

import click

from scheduler import show
from scheduler.cli_base import Desk, Listing, asks, of, quoted, read_text
from scheduler.client import Refused
from scheduler.show import Column

FOUND: list[Column] = [
    ("ID", of("id")),
    ("AT", lambda row: show.moment(row["at"])),
    ("RULE", of("rule")),
    ("EVENT", of("event")),
    ("SUBJECT", of("subject")),
    ("SILENT", of("silent")),
    ("SEEN BY", of("acknowledged_by")),
]
DELIVERIES: list[Column] = [
    ("ID", of("id")),
    ("NOTIFICATION", of("notification")),
    ("CHANNEL", of("channel")),
    ("STATUS", of("status")),
    ("ATTEMPTS", of("attempts")),
    ("ERROR", of("error")),
]
RULES: list[Column] = [
    ("RULE", of("name")),
    ("EVENT", of("event")),
    ("TYPE", of("type")),
    ("CHANNELS", lambda row: " ".join(row["channels"])),
    ("SNOOZED UNTIL", lambda row: show.moment(row["snoozed_until"])),
]
CHANNELS: list[Column] = [
    ("CHANNEL", of("name")),
    ("KIND", of("kind")),
    ("FAILURES", of("failures")),
    ("LEFT ALONE UNTIL", lambda row: show.moment(row["open_until"])),
]
STATES = ["PENDING", "DELIVERED", "FAILED"]
LIMIT = click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
FILE = click.argument("file", metavar="FILE")
NAME = click.argument("name")


@click.group(cls=Listing)
def notifications() -> None:
    """What was found, and whom it reached. Without a command: list it."""


@notifications.command("list")
@click.option("--open", "open_", is_flag=True, help="Only what nobody has acknowledged.")
@LIMIT
@asks
def list_notifications(desk: Desk, open_: bool, limit: int) -> None:
    """List what rules found."""
    only = "true" if open_ else None
    desk.table(desk.client.pages("/notifications", limit, open=only), FOUND, "nothing was found")


@notifications.command()
@asks
def rules(desk: Desk) -> None:
    """List rules."""
    desk.table(desk.client.get("/notifications/rules")["items"], RULES, "no rules")


@notifications.command()
@asks
def channels(desk: Desk) -> None:
    """List channels, with how they fare."""
    desk.table(desk.client.get("/notifications/channels")["items"], CHANNELS, "no channels")


@notifications.command("create-channel")
@FILE
@asks
def create_channel(desk: Desk, file: str) -> None:
    """Make a channel from a file in YAML or JSON; - for stdin."""
    made = desk.client.post("/notifications/channels", document(file))
    desk.say(made, f"channel {made['name']} is there")


@notifications.command("create-rule")
@FILE
@asks
def create_rule(desk: Desk, file: str) -> None:
    """Make a rule from a file in YAML or JSON; - for stdin."""
    made = desk.client.post("/notifications/rules", document(file))
    desk.say(made, f"rule {made['name']} is there")


@notifications.command("update-channel")
@NAME
@FILE
@asks
def update_channel(desk: Desk, name: str, file: str) -> None:
    """Change a channel to what a file says; - for stdin."""
    done = desk.client.put(f"/notifications/channels/{quoted(name)}", nameless(file, name))
    desk.say(done, f"channel {name} is at version {done['version']}")


@notifications.command("update-rule")
@NAME
@FILE
@asks
def update_rule(desk: Desk, name: str, file: str) -> None:
    """Change a rule to what a file says; - for stdin."""
    done = desk.client.put(f"/notifications/rules/{quoted(name)}", nameless(file, name))
    desk.say(done, f"rule {name} is at version {done['version']}")


def nameless(file: str, name: str) -> object:
    """The same file makes it and changes it; a name in it must be the one that is changed."""
    found = document(file)
    if not isinstance(found, dict):
        return found
    if found.get("name", name) != name:
        raise Refused(f"{file} is of {found['name']}, not of {name}: leave 'name' out or mend it")
    return {key: value for key, value in found.items() if key != "name"}


def document(file: str) -> object:
    from scheduler.domain.documents import load, plain

    documents = [plain(node) for node in load(read_text(file).decode("utf-8", "replace"))]
    if len(documents) != 1:
        raise Refused(f"{file} must hold one document")
    return documents[0]


@notifications.command("delete-channel")
@NAME
@asks
def delete_channel(desk: Desk, name: str) -> None:
    """Delete a channel that no rule uses."""
    desk.client.delete(f"/notifications/channels/{quoted(name)}")
    desk.say({"name": name, "deleted": True}, f"channel {name} is gone")


@notifications.command("delete-rule")
@NAME
@asks
def delete_rule(desk: Desk, name: str) -> None:
    """Delete a rule with its notifications."""
    desk.client.delete(f"/notifications/rules/{quoted(name)}")
    desk.say({"name": name, "deleted": True}, f"rule {name} is gone")


@notifications.command()
@NAME
@click.argument("until", metavar="TIME")
@asks
def snooze(desk: Desk, name: str, until: str) -> None:
    """Let a rule tell nobody until a time, such as 2024-05-17T18:00:00Z."""
    done = desk.client.post(f"/notifications/rules/{quoted(name)}/snooze", {"until": until})
    desk.say(done, f"rule {name} sleeps until {show.moment(done['snoozed_until'])}")


@notifications.command()
@NAME
@asks
def wake(desk: Desk, name: str) -> None:
    """End a rule's sleep."""
    done = desk.client.post(f"/notifications/rules/{quoted(name)}/wake")
    desk.say(done, f"rule {name} is awake")


@notifications.command()
@NAME
@asks
def test(desk: Desk, name: str) -> None:
    """Send a test through all channels of a rule."""
    done = desk.client.post(f"/notifications/rules/{quoted(name)}/test")
    desk.say(done, f"a test is on its way to {', '.join(done['channels'])}")


@notifications.command("test-channel")
@NAME
@asks
def test_channel(desk: Desk, name: str) -> None:
    """Send a test through one channel."""
    done = desk.client.post(f"/notifications/channels/{quoted(name)}/test")
    desk.say(done, f"a test is on its way through {name}")


@notifications.command()
@click.argument("id", type=click.IntRange(1))
@asks
def acknowledge(desk: Desk, id: int) -> None:
    """Say that you have seen it."""
    desk.client.post(f"/notifications/{id}/acknowledge")
    desk.say({"id": id, "acknowledged": True}, f"notification {id} is acknowledged")


@notifications.command()
@click.option("--status", type=click.Choice(STATES, case_sensitive=False))
@click.option("--channel", help="Through this channel.")
@LIMIT
@asks
def deliveries(desk: Desk, status: str | None, channel: str | None, limit: int) -> None:
    """List deliveries, with what was answered."""
    wanted = status.upper() if status else None
    rows = desk.client.pages("/notifications/deliveries", limit, status=wanted, channel=channel)
    desk.table(rows, DELIVERIES, "nothing was to be delivered")


@notifications.command()
@click.argument("id", type=click.IntRange(1))
@asks
def redeliver(desk: Desk, id: int) -> None:
    """Deliver once more."""
    desk.client.post(f"/notifications/deliveries/{id}/redeliver")
    desk.say({"id": id, "status": "PENDING"}, f"delivery {id} is on its way")


COMMANDS = (notifications,)
