"""Commands about schedules: what is started when."""

import json
from typing import Any

import click

from scheduler import show
from scheduler.cli_base import Desk, Listing, asks, of, read_text
from scheduler.cli_inputs import collect, takes_input
from scheduler.client import Refused
from scheduler.show import Column

SCHEDULES: list[Column] = [
    ("ID", of("id")),
    ("STARTS", lambda row: starts(row)),
    ("NAME", of("name")),
    ("NEXT", lambda row: "paused" if row["paused_at"] else show.moment(row["next_tick"])),
    ("LAST", lambda row: show.moment(row["last_tick"])),
    ("NOTE", of("note")),
    ("WHEN", of("words")),
]
TICKS: list[Column] = [
    ("TICK", lambda row: show.moment(row["tick"])),
    ("STATUS", of("status")),
    ("RUN", lambda row: show.short(row["run"])),
    ("KIND", of("kind")),
    ("UNTIL", lambda row: show.moment(row["until"])),
    ("REASON", of("reason")),
]
FIRINGS: list[Column] = [
    ("TICK", of("in_zone")),
    ("HERE", lambda row: show.moment(row["tick"])),
    ("IN", of("in_words")),
]
BACKFILLS: list[Column] = [
    ("ID", of("id")),
    ("FROM", lambda row: show.moment(row["from"])),
    ("UNTIL", lambda row: show.moment(row["until"])),
    ("STARTED", of("started")),
    ("PASSED OVER", of("passed_over")),
    ("ENDED", lambda row: show.moment(row["ended_at"])),
]
STATES = ["STARTED", "QUEUED", "SKIPPED", "MISSED", "MERGED", "FAILED"]
PLAIN = ("name", "description", "cron", "every", "at", "anchor", "zone", "start", "end", "jitter")
MAPS = {"overlap": ("allow", "skip", "queue_one", "replace"), "catch_up": ("none", "last", "all")}

ID = click.argument("schedule", metavar="ID", type=click.IntRange(1))
LIMIT = click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))


def starts(row: Any) -> str:
    return f"record {row['record']}" if row["record"] else str(row["type"])


def takes_plan(command: Any) -> Any:
    for option in (
        click.option("--file", metavar="FILE", help="All of it, as JSON or YAML; - for stdin."),
        click.option("--priority", type=click.IntRange(0, 9)),
        click.option("--catch-up", type=click.Choice(MAPS["catch_up"]), help="Of what was missed."),
        click.option("--overlap", type=click.Choice(MAPS["overlap"]), help="With the run before."),
        click.option("--jitter", metavar="LENGTH", help="Put each tick off by up to this."),
        click.option("--end", metavar="TIME", help="Not from this time on."),
        click.option("--start", metavar="TIME", help="Not before this time."),
        click.option("--zone", help="Whose clocks count, such as Europe/Rome."),
        click.option("--anchor", metavar="TIME", help="What --every is counted from."),
        click.option("--at", metavar="TIME", help="Once."),
        click.option("--every", metavar="LENGTH", help="Such as 6h."),
        click.option("--cron", metavar="TEXT", help="Five fields, or six with seconds in front."),
        click.option("--description", help="For people."),
        click.option("--name", help="Of several of one type or record."),
    ):
        command = option(command)
    return command


@click.group(cls=Listing)
def schedules() -> None:
    """What is started when. Without a command: list it."""


@schedules.command("list")
@click.option("--type", help="Of this process type.")
@click.option("--record", help="Of this process record.")
@click.option("--paused", is_flag=True, help="Only those that are paused.")
@LIMIT
@asks
def list_schedules(
    desk: Desk, type: str | None, record: str | None, paused: bool, limit: int
) -> None:
    """List schedules."""
    only = "true" if paused else None
    rows = desk.client.pages("/schedules", limit, type=type, record=record, paused=only)
    desk.table(rows, SCHEDULES, "no schedules: `procession schedules create` makes one")
    found = desk.client.get("/schedules/stopped")
    if found["stopped"] and not desk.as_json:
        note = f": {found['note']}" if found["note"] else ""
        click.echo(show.plain(f"all schedules are stopped by {found['stopped_by']}{note}"))


@schedules.command("show")
@ID
@click.option("--next", "count", default=10, show_default=True, type=click.IntRange(1, 100))
@asks
def show_schedule(desk: Desk, schedule: int, count: int) -> None:
    """Show a schedule and what it will start next."""
    found = desk.client.get(path(schedule))
    firings = desk.client.get(f"{path(schedule)}/next", count=count)["items"]
    if desk.as_json:
        desk.json({**found, "next": firings})
        return
    click.echo(show.fields(facts(found)))
    if firings:
        click.echo()
        click.echo(show.table(FIRINGS, firings, room=show.room()))


def facts(found: dict[str, Any]) -> list[tuple[str, Any]]:
    return [
        ("schedule", found["id"]),
        ("name", found["name"]),
        ("starts", starts(found)),
        ("when", found["words"]),
        ("spec", json.dumps(found["spec"], ensure_ascii=False)),
        ("origin", found["origin"]),
        ("paused", show.moment(found["paused_at"])),
        ("until", show.moment(found["paused_until"])),
        ("paused by", found["paused_by"]),
        ("note", found["note"]),
        ("waiting", show.moment(found["waiting"])),
        ("last", show.moment(found["last_tick"])),
        ("created by", found["created_by"]),
    ]


@schedules.command()
@click.option("--type", help="Start runs of this process type.")
@click.option("--record", help="Start this process record.")
@takes_plan
@takes_input
@asks
def create(desk: Desk, type: str | None, record: str | None, **given: Any) -> None:
    """Schedule runs of a type or of a record."""
    draft = {**target(type, record), "spec": spec_of(given)}
    made = desk.client.post("/schedules", draft)
    desk.say(made, f"schedule {made['id']} starts {starts(made)} {made['words']}")


@schedules.command()
@click.option("--type", help="As if for this process type.")
@click.option("--record", help="As if for this process record.")
@click.option("--next", "count", default=10, show_default=True, type=click.IntRange(1, 100))
@takes_plan
@takes_input
@asks
def preview(desk: Desk, type: str | None, record: str | None, count: int, **given: Any) -> None:
    """Say what a schedule would do; nothing is stored."""
    type = type if type or record else "any"
    draft = {**target(type, record), "spec": spec_of(given), "count": count}
    found = desk.client.post("/schedules/preview", draft)
    if desk.as_json:
        desk.json(found)
        return
    click.echo(show.plain(found["words"]))
    desk.table(found["items"], FIRINGS, "it will never start anything")


@schedules.command()
@ID
@takes_plan
@takes_input
@asks
def update(desk: Desk, schedule: int, **given: Any) -> None:
    """Change a schedule, for the future alone; what is not given stays."""
    found = desk.client.get(path(schedule))
    change = spec_of(given)
    before = {} if given["file"] else found["spec"]
    if {"cron", "every", "at"} & change.keys():
        before = {k: v for k, v in before.items() if k not in ("cron", "every", "at", "anchor")}
    spec = {**before, **change}
    if "input" in change:
        spec["input"] = {**before.get("input", {}), **change["input"]}
    done = desk.client.put(path(schedule), {"spec": spec})
    desk.say(done, f"schedule {schedule} starts {starts(done)} {done['words']}")


@schedules.command()
@ID
@asks
def delete(desk: Desk, schedule: int) -> None:
    """Delete a schedule; the runs that it started stay."""
    desk.client.delete(path(schedule))
    desk.say({"id": schedule, "deleted": True}, f"schedule {schedule} deleted")


@schedules.command()
@ID
@click.option("--note", help="Shown to everybody.")
@click.option("--until", metavar="TIME", help="It goes on by itself then.")
@asks
def pause(desk: Desk, schedule: int, note: str | None, until: str | None) -> None:
    """Start nothing by a schedule."""
    done = desk.client.post(f"{path(schedule)}/pause", {"note": note, "until": until})
    desk.say(done, f"schedule {schedule} is paused")


@schedules.command()
@ID
@asks
def resume(desk: Desk, schedule: int) -> None:
    """Let a paused schedule go on."""
    done = desk.client.post(f"{path(schedule)}/resume")
    desk.say(done, f"schedule {schedule} goes on: next {show.moment(done['next_tick'])}")


@schedules.command()
@ID
@takes_input
@click.option("--key", metavar="TEXT", help="The same key gives the same run, however often.")
@asks
def trigger(desk: Desk, schedule: int, key: str | None, **given: Any) -> None:
    """Start a run of a schedule now."""
    input = collect(given["pairs"], given["json_input"], given["input_file"], dict)
    run = desk.client.post(f"{path(schedule)}/trigger", {"input": input}, Idempotency_Key=key)
    desk.say(run, f"run {show.short(run['id'])} of {run['type']} is {run['status']}")


@schedules.command()
@ID
@click.option("--status", type=click.Choice(STATES, case_sensitive=False))
@LIMIT
@asks
def ticks(desk: Desk, schedule: int, status: str | None, limit: int) -> None:
    """List its ticks: what was started, and why something was not."""
    state = status.upper() if status else None
    rows = desk.client.pages(f"{path(schedule)}/ticks", limit, status=state)
    desk.table(rows, TICKS, "no ticks yet")


@schedules.command()
@ID
@click.option("--from", "since", required=True, metavar="TIME", help="The first instant.")
@click.option("--until", required=True, metavar="TIME", help="The first instant behind it.")
@click.option("--per-minute", default=60, show_default=True, type=click.IntRange(1, 6000))
@click.option("--at-once", default=1, show_default=True, type=click.IntRange(1, 100))
@click.option("--preview", is_flag=True, help="Only say what it would run.")
@asks
def backfill(
    desk: Desk,
    schedule: int,
    since: str,
    until: str,
    per_minute: int,
    at_once: int,
    preview: bool,
) -> None:
    """Run the past ticks of a range that have no run."""
    wish: dict[str, Any] = {"from": since, "until": until}
    if preview:
        found = desk.client.post(f"{path(schedule)}/backfill/preview", wish)
        desk.say(found, f"{found['to_run']} of {found['ticks']} ticks have no run")
        return
    wish |= {"per_minute": per_minute, "at_once": at_once}
    made = desk.client.post(f"{path(schedule)}/backfill", wish)
    desk.say(made, f"backfill {made['id']} begins with {show.moment(made['next_tick'])}")


@schedules.command()
@ID
@LIMIT
@asks
def backfills(desk: Desk, schedule: int, limit: int) -> None:
    """List its backfills."""
    rows = desk.client.pages(f"{path(schedule)}/backfills", limit)
    desk.table(rows, BACKFILLS, "no backfills")


@schedules.command("cancel-backfill")
@ID
@click.argument("backfill", type=click.IntRange(1))
@asks
def cancel_backfill(desk: Desk, schedule: int, backfill: int) -> None:
    """Start nothing more of a backfill."""
    done = desk.client.post(f"{path(schedule)}/backfills/{backfill}/cancel")
    desk.say(done, f"backfill {backfill} is over: {done['started']} runs were started")


@schedules.command("stop-all")
@click.option("--note", help="Shown to everybody.")
@asks
def stop_all(desk: Desk, note: str | None) -> None:
    """Start nothing by any schedule until all are resumed."""
    desk.say(desk.client.post("/schedules/stop-all", {"note": note}), "all schedules are stopped")


@schedules.command("resume-all")
@asks
def resume_all(desk: Desk) -> None:
    """Let all schedules go on."""
    desk.say(desk.client.post("/schedules/resume-all"), "the schedules go on")


def path(schedule: int) -> str:
    return f"/schedules/{schedule}"


def target(type: str | None, record: str | None) -> dict[str, str]:
    if (type is None) == (record is None):
        raise Refused("give either --type or --record")
    return {"type": type} if type else {"record": str(record)}


def spec_of(given: dict[str, Any]) -> dict[str, Any]:
    """What was given on the command line, over what stands in the file."""
    spec = from_file(given["file"]) if given["file"] else {}
    for name in (*PLAIN, *MAPS, "priority"):
        if given[name] is not None:
            spec[name] = given[name]
    input = collect(given["pairs"], given["json_input"], given["input_file"], dict)
    return spec if input is None else {**spec, "input": input}


def from_file(file: str) -> dict[str, Any]:
    """Read as definitions are: dates and clocks stay the text that they are."""
    from scheduler.domain.documents import load, plain

    documents = [plain(node) for node in load(read_text(file).decode("utf-8", "replace"))]
    if len(documents) != 1 or not isinstance(documents[0], dict):
        raise Refused(f"{file} must hold one map: cron, zone and so on")
    return documents[0]


COMMANDS = (schedules,)
