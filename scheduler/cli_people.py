"""Commands for what runs ask of people, and for what happens elsewhere."""

import json
from typing import Any

import click

from scheduler import show
from scheduler.cli_base import Desk, Listing, asks, of
from scheduler.cli_inputs import collect, takes_input
from scheduler.show import Column

APPROVALS: list[Column] = [
    ("ID", of("id")),
    ("STATUS", of("status")),
    ("TYPE", of("type")),
    ("TASK", of("task")),
    ("RUN", lambda row: show.short(row["run"])),
    ("ASKED", lambda row: show.moment(row["asked_at"])),
    ("DUE", lambda row: show.moment(row["due_at"])),
    ("MESSAGE", of("message")),
]
EVENTS: list[Column] = [
    ("NUMBER", of("number")),
    ("TYPE", of("type")),
    ("KEY", of("key")),
    ("SOURCE", of("source")),
    ("RECEIVED", lambda row: show.moment(row["received_at"])),
]
STATES = ["OPEN", "APPROVED", "REJECTED", "CLOSED"]


@click.group("approvals", cls=Listing)
def approvals() -> None:
    """What runs ask of people. Without a command: list what is open."""


@approvals.command("list")
@click.option(
    "--status",
    type=click.Choice(STATES, case_sensitive=False),
    default="OPEN",
    show_default=True,
)
@click.option("--mine", is_flag=True, help="Only what you may answer.")
@asks
def list_approvals(desk: Desk, status: str, mine: bool) -> None:
    """List approvals."""
    rows = desk.client.get("/approvals", status=status, mine=str(mine).lower())["items"]
    desk.table(rows, APPROVALS, f"no approval is {status}")


@approvals.command()
@click.argument("approval", type=click.IntRange(1))
@click.option("--note", help="Kept with the answer.")
@takes_input
@asks
def approve(
    desk: Desk,
    approval: int,
    note: str | None,
    pairs: tuple[str, ...],
    json_input: str | None,
    input_file: str | None,
) -> None:
    """Say yes, with what the form asks for as input."""

    def form() -> dict[str, Any]:
        return desk.client.get(f"/approvals/{approval}")["form"] or {}

    body = {"data": collect(pairs, json_input, input_file, form) or {}, "note": note}
    answer = desk.client.post(f"/approvals/{approval}/approve", body)
    desk.say(answer, f"approval {approval} is APPROVED: the run goes on")


@approvals.command()
@click.argument("approval", type=click.IntRange(1))
@click.option("--note", required=True, help="Why; the run shows it.")
@asks
def reject(desk: Desk, approval: int, note: str) -> None:
    """Say no, and why: the task fails."""
    answer = desk.client.post(f"/approvals/{approval}/reject", {"note": note})
    desk.say(answer, f"approval {approval} is REJECTED: {note}")


@click.group("events", cls=Listing)
def events() -> None:
    """What happened elsewhere. Without a command: list the latest."""


@events.command("list")
@click.option("--type", help="Only of this type.")
@click.option("--key", help="Only about this.")
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True)
@asks
def list_events(desk: Desk, type: str | None, key: str | None, limit: int) -> None:
    """List events, the newest first."""
    rows = desk.client.get("/events", type=type, key=key, limit=limit)["items"]
    desk.table(rows, EVENTS, "no event was received")


@events.command()
@click.argument("type")
@click.option("--key", default="", help="What it is about.")
@click.option("--source", default="cli", show_default=True)
@click.option("--id", help="The same source and id again is the same event.")
@click.option("--data", help="JSON.")
@asks
def send(desk: Desk, type: str, key: str, source: str, id: str | None, data: str | None) -> None:
    """Say that something happened."""
    try:
        value = None if data is None else json.loads(data)
    except ValueError as fault:
        raise click.BadParameter(f"it is no JSON: {fault}", param_hint="--data") from None
    event = {"source": source, "type": type, "key": key, "data": value}
    event |= {"id": id} if id else {}
    answer = desk.client.post("/events", {"events": [event]})
    said = "stored" if answer["stored"] else "known already"
    desk.say(answer, f"event {type} is {said}")


COMMANDS = (approvals, events)
