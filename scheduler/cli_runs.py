"""Commands about runs: start, look, hold, stop, retry."""

import sys
from datetime import UTC, datetime
from typing import Any

import click

from scheduler import show
from scheduler.cli_base import Desk, asks, of, quoted
from scheduler.cli_inputs import collect, exact, takes_input
from scheduler.cli_times import time_option
from scheduler.cli_watch import watch
from scheduler.client import Client, Refused
from scheduler.show import Column

RUNS: list[Column] = [
    ("RUN", lambda run: show.short(run["id"])),
    ("TYPE", lambda run: f"{run['type']} v{run['version']}"),
    ("RECORD", of("record")),
    ("STATUS", of("status")),
    ("TASKS", lambda run: f"{run['tasks'] - run['tasks_open']}/{run['tasks']}"),
    ("STARTED", lambda run: show.moment(run["started_at"])),
    ("TOOK", lambda run: show.lasted(run, datetime.now(UTC))),
    ("ERROR", of("error")),
]
TASKS: list[Column] = [
    ("TASK", of("name")),
    ("STATUS", of("status")),
    ("ATTEMPT", lambda task: task["attempt"] or ""),
    ("EXIT", of("exit_code")),
    ("TOOK", lambda task: show.lasted(task, datetime.now(UTC))),
    ("NOTE", lambda task: task["error"] or task["reason"] or show.place(task)),
]
PRIORITY = click.IntRange(0, 9)
MOST_REASONS = 5  # `why` gives them all


@click.command()
@click.argument("what", metavar="TYPE_OR_RECORD")
@takes_input
@click.option("--wait", is_flag=True, help="Show its progress until it has ended.")
@click.option("--priority", type=PRIORITY, help="0 to 9; 9 is the most urgent.")
@click.option("--version", type=int, help="Of the type; the newest if left out.")
@click.option("--key", metavar="TEXT", help="The same key gives the same run, however often.")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="Repeatable.")
@asks
def start(
    desk: Desk,
    what: str,
    pairs: tuple[str, ...],
    json_input: str | None,
    input_file: str | None,
    wait: bool,
    priority: int | None,
    version: int | None,
    key: str | None,
    labels: tuple[str, ...],
) -> None:
    """Start a process record, or a run of a process type.

    With --wait it ends with 0 if the run is COMPLETED, 1 if FAILED, 3 if STOPPED.
    """
    client = desk.client
    record = find_record(client, what)
    given = collect(
        pairs, json_input, input_file, lambda: input_schema(client, record or what, version)
    )
    if record:
        refuse_for_record(priority, version, labels)
        run = client.post(
            f"/process-records/{quoted(what)}/start", {"input": given}, Idempotency_Key=key
        )
    else:
        wish = wish_of(what, given, priority, version, labels)
        run = client.post("/runs", wish, Idempotency_Key=key)
    if wait:
        sys.exit(watch(desk, run))
    desk.say(run, f"run {show.short(run['id'])} of {run['type']} is {run['status']}")


def find_record(client: Client, name: str) -> str | None:
    """The type of the record of that name, if there is one: records come before types."""
    try:
        return str(client.get(f"/process-records/{quoted(name)}")["type"])
    except Refused as refused:
        if refused.status != 404:
            raise
        return None


def refuse_for_record(priority: int | None, version: int | None, labels: tuple[str, ...]) -> None:
    if priority is not None or version is not None or labels:
        raise Refused(
            "--priority, --version and --label are for types: "
            "`procession records update` changes the priority of a record"
        )


def wish_of(
    type: str,
    input: dict[str, Any] | None,
    priority: int | None,
    version: int | None,
    labels: tuple[str, ...],
) -> dict[str, Any]:
    wish = {"type": type, "input": input, "priority": priority, "version": version}
    wish["labels"] = dict(label_of(each) for each in labels) or None
    return {name: value for name, value in wish.items() if value is not None}


def label_of(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise Refused(f"--label {text!r}: write KEY=VALUE")
    return key, value


def input_schema(client: Client, type: str, version: int | None) -> dict[str, Any]:
    found = client.get(f"/process-types/{quoted(type)}", version=version)
    schema: dict[str, Any] = found["definition"].get("input") or {}
    return schema


@click.command()
@click.option("--type", help="Of this process type.")
@click.option("--record", help="Of this process record.")
@click.option("--status", multiple=True, help="In this state. Repeatable.")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="Repeatable.")
@time_option("--since", "created_from", "A time, or 2h for two hours ago.")
@time_option("--until", "created_to", "Created before this time.")
@click.option("--error", metavar="TEXT", help="Whose error holds it, in whatever case.")
@click.option("--by", "triggered_by", metavar="TEXT", help="Started by what holds it.")
@click.option("--longer", "longer_than", type=float, help="Took so many seconds.")
@click.option("--shorter", "shorter_than", type=float, help="Took fewer seconds.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 10_000))
@asks
def runs(
    desk: Desk,
    status: tuple[str, ...],
    labels: tuple[str, ...],
    limit: int,
    **filters: str | float | None,
) -> None:
    """List runs, the newest first."""
    states = [each.upper() for each in status] or None
    wanted = [":".join(label_of(each)) for each in labels] or None
    found = desk.client.pages("/runs", limit, status=states, label=wanted, **filters)
    none = "no such run" if wanted or any(filters.values()) else "no runs yet"
    desk.table(found, RUNS, f"{none}: `procession start TYPE` starts one")


@click.command()
@click.argument("run")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="Repeatable.")
@click.option("--unlabel", multiple=True, metavar="KEY", help="Take it away. Repeatable.")
@click.option("--priority", type=PRIORITY, help="0 to 9; 9 is the most urgent.")
@asks
def change(
    desk: Desk,
    run: str,
    labels: tuple[str, ...],
    unlabel: tuple[str, ...],
    priority: int | None,
) -> None:
    """Give a run other labels or another priority."""
    over: dict[str, str | None] = {**dict(label_of(each) for each in labels)}
    over |= dict.fromkeys(unlabel)
    wish = {"labels": over or None, "priority": priority}
    given = {name: value for name, value in wish.items() if value is not None}
    if not given:
        raise Refused("say what to change: --label, --unlabel or --priority")
    found = desk.client.patch(f"/runs/{desk.run_id(run)}", given)
    desk.say(found, f"run {show.short(found['id'])} changed")


@click.command("show")
@click.argument("run")
@asks
def show_run(desk: Desk, run: str) -> None:
    """Show a run and its tasks."""
    whole = desk.run_id(run)
    found = desk.client.get(f"/runs/{whole}")
    tasks = tasks_of(desk.client, whole)
    if desk.as_json:
        desk.json({**found, "task_list": tasks})
        return
    click.echo(show.fields(facts(found)))
    click.echo()
    click.echo(show.table(TASKS, tasks, room=show.room()))
    if found["status"] not in show.FINAL:
        click.echo()
        click.echo("\n".join(reasons_of(desk.client, whole)[:MOST_REASONS]))


def reasons_of(client: Client, run: str) -> list[str]:
    return [show.plain(reason) for reason in client.get(f"/runs/{run}/why")["reasons"]]


def tasks_of(client: Client, run: str) -> list[Any]:
    return client.pages(f"/runs/{run}/tasks", 10_000)


def facts(run: dict[str, Any]) -> list[tuple[str, Any]]:
    return [
        ("run", run["id"]),
        ("type", f"{run['type']} v{run['version']}"),
        ("record", run["record"]),
        ("status", run["status"]),
        ("round", run["round"] if run["round"] > 1 else None),
        ("started by", run["triggered_by"]),
        ("started", show.moment(run["started_at"])),
        ("ended", show.moment(run["finished_at"])),
        ("took", show.lasted(run, datetime.now(UTC))),
        ("labels", run["labels"]),
        ("input", run["input"]),
        ("error", run["error"]),
    ]


@click.command()
@click.argument("run")
@asks
def why(desk: Desk, run: str) -> None:
    """Say why a run does not go on, or how it ended."""
    found = desk.client.get(f"/runs/{desk.run_id(run)}/why")
    if desk.as_json:
        desk.json(found)
    else:
        click.echo("\n".join(show.plain(reason) for reason in found["reasons"]))


@click.command()
@click.argument("run")
@click.option("--freeze", is_flag=True, help="Commands in hand stand still, and their timeouts.")
@asks
def hold(desk: Desk, run: str, freeze: bool) -> None:
    """Begin nothing more of a run; what is in hand goes on to its end, or is frozen."""
    command(desk, run, "hold", {"freeze": True} if freeze else None)


@click.command()
@click.argument("run")
@asks
def resume(desk: Desk, run: str) -> None:
    """Let a held run go on."""
    command(desk, run, "resume")


@click.command()
@click.argument("run")
@click.option("--kill", is_flag=True, help="At once, without the grace of its commands.")
@click.option("--why", "reason", help="For those who look at it later.")
@click.option("--undo", is_flag=True, help="Undo what was done before the run ends.")
@asks
def stop(desk: Desk, run: str, kill: bool, reason: str | None, undo: bool) -> None:
    """Stop a run and the commands that it has in hand."""
    command(desk, run, "stop", {"kill": kill, "why": reason, "undo": undo})


@click.command()
@click.argument("run")
@takes_input
@click.option("--task", help="From this task on.")
@click.option("--whole", is_flag=True, help="Every task again.")
@click.option("--wait", is_flag=True, help="Show its progress until it has ended.")
@asks
def retry(
    desk: Desk,
    run: str,
    pairs: tuple[str, ...],
    json_input: str | None,
    input_file: str | None,
    task: str | None,
    whole: bool,
    wait: bool,
) -> None:
    """Open a new round of a run: from what failed, from one task, or all of it."""
    found = desk.client.get(f"/runs/{desk.run_id(run)}")
    given = collect(
        pairs,
        json_input,
        input_file,
        lambda: input_schema(desk.client, found["type"], found["version"]),
    )
    wish = {"task": task, "whole": whole, "input": given}
    again = desk.client.post(f"/runs/{found['id']}/retry", wish)
    if wait:
        sys.exit(watch(desk, again))
    desk.say(again, f"run {show.short(again['id'])} is {again['status']}, round {again['round']}")


def command(desk: Desk, run: str, verb: str, body: dict[str, Any] | None = None) -> None:
    found = desk.client.post(f"/runs/{desk.run_id(run)}/{verb}", body)
    desk.say(found, f"run {show.short(found['id'])} is {found['status']}")


@click.command()
@click.argument("run")
@click.argument("task")
@click.option("--why", required=True, help="Kept in the history.")
@asks
def skip(desk: Desk, run: str, task: str, why: str) -> None:
    """Go on without a task; of an ended run, in a new round."""
    settle(desk, run, task, "skip", {"why": why})


@click.command()
@click.argument("run")
@click.argument("task")
@click.option("--why", required=True, help="Kept in the history.")
@click.option("--output", metavar="JSON", help="What those that need the task read.")
@asks
def complete(desk: Desk, run: str, task: str, why: str, output: str | None) -> None:
    """Go on as if a task had succeeded, because you say so."""
    value = None if output is None else exact("--output", output)
    settle(desk, run, task, "complete", {"why": why, "output": value})


@click.command("undo")
@click.argument("run")
@asks
def undo_run(desk: Desk, run: str) -> None:
    """Undo what a run that failed or was stopped did."""
    command(desk, run, "undo")


def settle(desk: Desk, run: str, task: str, verb: str, body: dict[str, Any]) -> None:
    found = desk.client.post(f"/runs/{desk.run_id(run)}/tasks/{quoted(task)}/{verb}", body)
    desk.say(found, f"task {found['name']} is {found['status']}")


COMMANDS = (start, runs, show_run, why, change, hold, resume, stop, retry, skip, complete, undo_run)
