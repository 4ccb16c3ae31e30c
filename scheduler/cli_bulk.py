"""Commands for many runs at once: what is shown is what it is done with."""

import time
from typing import Any

import click

from scheduler import show
from scheduler.cli_base import Command, Desk, asks, of
from scheduler.cli_runs import label_of
from scheduler.cli_times import time_option
from scheduler.client import Refused
from scheduler.show import Column

CHOSEN: list[Column] = [
    ("RUN", lambda run: show.short(run["id"])),
    ("TYPE", of("type")),
    ("RECORD", of("record")),
    ("STATUS", of("status")),
    ("CREATED", lambda run: show.moment(run["created_at"])),
]
TROUBLES: list[Column] = [
    ("RUN", lambda run: show.short(run["id"])),
    ("RESULT", of("result")),
    ("WHY", of("detail")),
]
PAUSE = 0.5


def choosing(command: Command) -> Command:
    """Runs by their ids, or by filters; the latter with a look at how many they are."""
    for option in (
        click.option("--yes", is_flag=True, help="Do not ask."),
        click.option("--all", "all", is_flag=True, help="Every run there is."),
        time_option("--until", "created_to", "Created before this time."),
        time_option("--since", "created_from", "A time, or 2h for two hours ago."),
        click.option("--shorter", "shorter_than", type=float, help="Took fewer seconds."),
        click.option("--longer", "longer_than", type=float, help="Took so many seconds."),
        click.option("--by", "triggered_by", metavar="TEXT", help="Started by what holds it."),
        click.option("--error", metavar="TEXT", help="Whose error holds it, in whatever case."),
        click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="Repeatable."),
        click.option("--status", multiple=True, help="In this state. Repeatable."),
        click.option("--record", help="Of this process record."),
        click.option("--type", help="Of this process type."),
        click.argument("runs", nargs=-1, metavar="[RUN]..."),
    ):
        command = option(command)
    return command


@click.group()
def bulk() -> None:
    """Hold, resume, stop or retry many runs: some by their ids, or all that filters choose."""


@bulk.command()
@choosing
@asks
def hold(desk: Desk, yes: bool, **chosen: Any) -> None:
    """Begin nothing more of them."""
    carry_out(desk, "hold", chosen, {}, yes=yes)


@bulk.command()
@choosing
@asks
def resume(desk: Desk, yes: bool, **chosen: Any) -> None:
    """Let them go on."""
    carry_out(desk, "resume", chosen, {}, yes=yes)


@bulk.command()
@choosing
@click.option("--why", help="Kept in the history of each.")
@click.option("--kill", is_flag=True, help="Without a grace.")
@click.option("--undo", is_flag=True, help="Undo what was done.")
@asks
def stop(desk: Desk, yes: bool, why: str | None, kill: bool, undo: bool, **chosen: Any) -> None:
    """Stop them, and the commands that they have in hand."""
    carry_out(desk, "stop", chosen, {"why": why, "kill": kill, "undo": undo}, yes=yes)


@bulk.command()
@choosing
@click.option("--whole", is_flag=True, help="Every task again.")
@asks
def retry(desk: Desk, yes: bool, whole: bool, **chosen: Any) -> None:
    """Open a new round of each, from what failed."""
    carry_out(desk, "retry", chosen, {"whole": whole}, yes=yes)


def carry_out(
    desk: Desk, verb: str, chosen: dict[str, Any], wish: dict[str, Any], *, yes: bool
) -> None:
    found = desk.client.post("/runs/selections", wanted(desk, chosen))
    count, path = found["count"], f"/runs/selections/{found['id']}"
    if count and not yes:
        click.echo(show.table(CHOSEN, found["sample"], room=show.room()), err=True)
        capped = ", the newest of more" if found["is_capped"] else ""
        question = f"{verb} these and the others, {count} in all{capped}?"
        click.confirm(question, abort=True, err=True)
    done = desk.client.post(f"{path}/{verb}", {"expected_count": count, **wish})
    while left := done["progress"]["pending"]:
        click.echo(f"{left} of {count} to go", err=True)
        time.sleep(PAUSE)
        done = desk.client.get(path)
    tell(desk, done)


def wanted(desk: Desk, chosen: dict[str, Any]) -> dict[str, Any]:
    ids, labels = chosen.pop("runs"), chosen.pop("labels")
    found = {name: value for name, value in chosen.items() if value}
    if "status" in found:
        found["status"] = [each.upper() for each in found["status"]]
    if labels:
        found["labels"] = dict(label_of(each) for each in labels)
    if bool(ids) == bool(found):
        raise Refused("name runs by their ids, or by filters such as --type, or --all")
    return {"ids": [desk.run_id(each) for each in ids]} if ids else found


def tell(desk: Desk, done: dict[str, Any]) -> None:
    counts = {what: count for what, count in done["progress"].items() if count}
    desk.say(done, ", ".join(f"{count} {what}" for what, count in counts.items()) or "no such run")
    if done["troubles"] and not desk.as_json:
        click.echo(show.table(TROUBLES, done["troubles"], room=show.room()))


COMMANDS = (bulk,)
