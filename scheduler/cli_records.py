"""Commands about process records: saved, startable processes."""

import sys
from typing import Any

import click

from scheduler import show
from scheduler.cli_base import Desk, Listing, asks, of, quoted
from scheduler.cli_inputs import collect, takes_input
from scheduler.cli_runs import PRIORITY, RUNS, input_schema
from scheduler.cli_watch import watch
from scheduler.show import Column

RECORDS: list[Column] = [
    ("RECORD", of("id")),
    ("TYPE", of("type")),
    ("STATUS", of("current_status")),
    ("TASKS", lambda row: f"{row['current_task_index']}/{row['total_tasks']}"),
    ("RUN", lambda row: show.short(row["current_run"])),
    ("STARTED", lambda row: show.moment(row["started_when"])),
    ("ERROR", of("last_error_message")),
]
Pairs = tuple[str, ...]


@click.group(cls=Listing)
def records() -> None:
    """Process records: saved, startable processes. Without a command: list them."""


@records.command("list")
@click.option("--type", help="Of this process type.")
@click.option("--status", multiple=True, help="In this state. Repeatable.")
@click.option("--find", metavar="TEXT", help="Those whose id or description holds it.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
@asks
def list_records(
    desk: Desk, type: str | None, status: tuple[str, ...], find: str | None, limit: int
) -> None:
    """List process records."""
    states = [each.upper() for each in status] or None
    found = desk.client.pages("/process-records", limit, type=type, status=states, q=find)
    desk.table(found, RECORDS, "no process records yet: `procession records create ID TYPE`")


@records.command("show")
@click.argument("record")
@asks
def show_record(desk: Desk, record: str) -> None:
    """Show a process record and its latest runs."""
    found = desk.client.get(path(record))
    runs = desk.client.get(f"{path(record)}/runs", limit=10)["items"]
    if desk.as_json:
        desk.json({**found, "runs": runs})
        return
    click.echo(show.fields(facts(found)))
    if runs:
        click.echo()
        click.echo(show.table(RUNS, runs, room=show.room()))


def facts(record: dict[str, Any]) -> list[tuple[str, Any]]:
    return [
        ("record", record["id"]),
        ("type", record["type"]),
        ("status", record["current_status"]),
        ("description", record["description"]),
        ("input", record["input"]),
        ("priority", record["priority"]),
        ("started by", record["triggered_by"]),
        ("created", show.moment(record["created_at"])),
        ("updated", show.moment(record["updated_at"])),
        ("error", record["last_error_message"]),
    ]


@records.command()
@click.argument("record", metavar="ID")
@click.argument("type")
@takes_input
@click.option("--description", help="For people.")
@click.option("--priority", type=PRIORITY, help="0 to 9; 9 is the most urgent.")
@asks
def create(
    desk: Desk,
    record: str,
    type: str,
    pairs: Pairs,
    json_input: str | None,
    input_file: str | None,
    description: str | None,
    priority: int | None,
) -> None:
    """Create a process record under an id of your choice."""
    given = collect(pairs, json_input, input_file, lambda: input_schema(desk.client, type, None))
    draft = {
        "id": record,
        "type": type,
        "input": given,
        "description": description,
        "priority": priority,
    }
    made = desk.client.post("/process-records", said(draft))
    desk.say(made, f"process record {made['id']} of type {made['type']} created")


@records.command()
@click.argument("record", metavar="ID")
@takes_input
@click.option("--type", help="Another process type.")
@click.option("--description", help="For people.")
@click.option("--priority", type=PRIORITY, help="0 to 9; 9 is the most urgent.")
@asks
def update(
    desk: Desk,
    record: str,
    pairs: Pairs,
    json_input: str | None,
    input_file: str | None,
    type: str | None,
    description: str | None,
    priority: int | None,
) -> None:
    """Change a process record; --input lays values over those it has."""

    def schema() -> dict[str, Any]:
        return input_schema(desk.client, type or desk.client.get(path(record))["type"], None)

    given = collect(pairs, json_input, input_file, schema)
    change = {"type": type, "changes": given, "description": description, "priority": priority}
    done = desk.client.patch(path(record), said(change))
    desk.say(done, f"process record {done['id']} changed")


@records.command()
@click.argument("record", metavar="ID")
@asks
def delete(desk: Desk, record: str) -> None:
    """Delete a process record that does not run; its runs stay readable."""
    desk.client.delete(path(record))
    desk.say({"id": record, "deleted": True}, f"process record {record} deleted")


@records.command("start")
@click.argument("record", metavar="ID")
@takes_input
@click.option("--wait", is_flag=True, help="Show its progress until it has ended.")
@click.option("--key", metavar="TEXT", help="The same key gives the same run, however often.")
@asks
def start_record(desk: Desk, record: str, wait: bool, key: str | None, **given: Any) -> None:
    """Start a process record."""
    begin(desk, record, "start", wait, key, given)


@records.command("restart")
@click.argument("record", metavar="ID")
@takes_input
@click.option("--wait", is_flag=True, help="Show its progress until it has ended.")
@asks
def restart_record(desk: Desk, record: str, wait: bool, **given: Any) -> None:
    """Stop its run, wait until it has ended, and start anew."""
    begin(desk, record, "restart", wait, None, given)


def begin(
    desk: Desk, record: str, verb: str, wait: bool, key: str | None, given: dict[str, Any]
) -> None:
    client = desk.client
    input = collect(
        given["pairs"],
        given["json_input"],
        given["input_file"],
        lambda: input_schema(client, client.get(path(record))["type"], None),
    )
    run = client.post(f"{path(record)}/{verb}", {"input": input}, Idempotency_Key=key)
    if wait:
        sys.exit(watch(desk, run))
    desk.say(run, f"run {show.short(run['id'])} of {record} is {run['status']}")


@records.command("stop")
@click.argument("record", metavar="ID")
@click.option("--kill", is_flag=True, help="At once, without the grace of its commands.")
@asks
def stop_record(desk: Desk, record: str, kill: bool) -> None:
    """Stop the run of a process record."""
    command(desk, record, "stop", {"kill": kill})


@records.command("hold")
@click.argument("record", metavar="ID")
@asks
def hold_record(desk: Desk, record: str) -> None:
    """Begin nothing more of its run."""
    command(desk, record, "hold")


@records.command("resume")
@click.argument("record", metavar="ID")
@asks
def resume_record(desk: Desk, record: str) -> None:
    """Let its held run go on."""
    command(desk, record, "resume")


def command(desk: Desk, record: str, verb: str, body: dict[str, Any] | None = None) -> None:
    found = desk.client.post(f"{path(record)}/{verb}", body)
    desk.say(found, f"process record {found['id']} is {found['current_status']}")


def path(record: str) -> str:
    return f"/process-records/{quoted(record)}"


def said(draft: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in draft.items() if value is not None}


COMMANDS = (records,)
