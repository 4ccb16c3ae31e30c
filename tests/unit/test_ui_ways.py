"""What pages say for a terminal: paths that the API has, and commands that are taken."""

import json
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from fastapi.routing import APIRoute

from scheduler.cli import procession
from ui import access, app, ways

PATHS = yaml.safe_load(Path("openapi.yaml").read_text())["paths"]
HOSTILE = "it's \"; rm -rf $HOME `id` \n--all"
HERE = "http://server"
# Places that take a number, or a time; all others take any text, or an id.
NUMBERS = {
    "approval",
    "attempt",
    "letter",
    "letters",
    "number",
    "priority",
    "session",
    "size",
    "token",
    "chore",
}
NUMBERS |= {"schedule", "backfill", "trigger", "event", "delivery", "notification"}
TIMES = {"until", "since", "at", "expires_at"}
# Ways in and out, and what changes nothing but how pages look.
APART = {"ui_sign_in", "ui_follow_link", "ui_sign_out", "ui_look", "ui_runs_view"}
LOOKS = ("_confirm", "_preview", "_check")  # a form that only leads to another
UNSAFE = {"POST", "PUT", "PATCH", "DELETE"}


def spot(path: str) -> str:
    """Whatever a place in it is called."""
    return ways.PLACE.sub("{}", path)


KNOWN = {(method.upper(), spot(path)) for path, all in PATHS.items() for method in all}


def samples(way: ways.Way) -> dict[str, Any]:
    names = {*ways.PLACE.findall(way.path), *ways.PLACE.findall(way.cli)}
    return {name: sample(name) for name in names}


def sample(name: str) -> Any:
    if name == "input":
        return {"a": 1}
    if name == "role":
        return "viewer"
    if name in TIMES:
        return "2026-05-17T12:00:00+00:00"
    return "7" if name in NUMBERS else "00000000-0000-7000-8000-000000000001"


def taken(line: str) -> click.Context:
    """Parsed as the command would, without carrying anything out."""
    program, *words = shlex.split(line)
    assert program == "procession"
    command: click.Command = procession
    context = click.Context(command)
    while isinstance(command, click.Group):
        _, found, words = command.resolve_command(context, words)
        assert found is not None
        command = found
    return command.make_context(line, list(words))


@pytest.mark.parametrize("name", ways.WAYS)
def test_each_action_is_one_that_the_api_has(name: str) -> None:
    way = ways.WAYS[name]
    assert name.partition(":")[0] in access.VERDICTS
    assert (way.method, spot(ways.API + way.path)) in KNOWN
    offered = PATHS.get(ways.API + way.path, {}).get(way.method.lower(), {}).get("parameters", [])
    if offered:
        assert set(way.options) <= {each.get("name") for each in offered}


@pytest.mark.parametrize("name", [name for name, way in ways.WAYS.items() if way.cli])
def test_each_command_is_one_that_we_have(name: str) -> None:
    way = ways.WAYS[name]
    line = ways.command(way, samples(way), [])
    assert line is not None
    context = taken(line)
    known = {opt for each in context.command.params for opt in each.opts}
    assert {option for option in way.options.values() if option} <= known


def test_every_form_that_does_something_is_said_for_a_terminal_too() -> None:
    does = {
        route.name
        for _, router in app.ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute) and (route.methods or set()) & UNSAFE
    }
    said = {name.partition(":")[0] for name in ways.WAYS}
    looks = {name for name in does if any(each in name + "_" for each in LOOKS)}
    assert does - said - looks == APART


def test_whatever_is_named_stays_one_word() -> None:
    way = ways.WAYS["ui_record"]
    line = ways.command(way, {"record": HOSTILE}, [])
    assert line is not None
    assert shlex.split(line) == ["procession", "records", "show", HOSTILE]
    told = shlex.split(ways.curl(HERE, way, {"record": HOSTILE}, [], {"note": HOSTILE}))
    assert json.loads(told[told.index("-d") + 1]) == {"note": HOSTILE}
    assert told[-1].startswith("http://server/api/v1/process-records/it%27s%20")
    assert shlex.split(ways.command(way, {"record": "--all"}, []) or "")[-2:] == ["--", "--all"]


def test_what_is_not_given_is_not_said() -> None:
    way = ways.WAYS["ui_run_command:stop"]
    assert ways.command(way, {"run": "1", "why": ""}, []) == "procession stop 1"
    assert ways.command(way, {"run": "1", "why": "a b"}, []) == "procession stop --why 'a b' 1"


def test_filters_of_a_list_are_said_and_what_is_of_the_screen_alone_is_not() -> None:
    way, query = ways.WAYS["ui_runs"], [("status", "FAILED"), ("view", "board"), ("type", "a b")]
    assert ways.command(way, {}, query) == "procession runs --status FAILED --type 'a b'"
    assert ways.curl(HERE, way, {}, query, None).endswith("/runs?status=FAILED&type=a+b'")
