"""The messages that the server and every SDK agree about."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edge.reading import BadFrame
from edge.remote import wire
from edge.remote.messages import Frame
from scheduler.domain.names import TYPE_NAME

VECTORS = Path(__file__).parents[2] / "sdk" / "vectors"
SCHEMA = json.loads((VECTORS / "protocol.schema.json").read_text())
FILES = sorted((VECTORS / "messages").glob("*.json"))
SESSION = "6f1c2b9e-3d64-4c1f-9a57-0c4a3e9b7d21"
SPOKEN = {"worker": wire.WORKERS, "server": wire.SERVERS}


def entries(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text())
    return found


def text_of(entry: dict[str, Any]) -> str:
    """A frame that is a text goes over the wire as it is."""
    frame = entry.get("frame", {"session": SESSION, "messages": [entry.get("message")]})
    return frame if isinstance(frame, str) else json.dumps(frame)


def heard(entry: dict[str, Any]) -> Frame | str:
    try:
        return wire.decode(text_of(entry), SPOKEN[entry["from"]])
    except BadFrame as error:
        return str(error)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_is_good_is_heard_and_what_is_not_is_refused_with_the_place(path: Path) -> None:
    for entry in entries(path):
        found = heard(entry)
        assert isinstance(found, Frame) is entry["good"], (entry["name"], found)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_schema_says_the_same(path: Path) -> None:
    for entry in entries(path):
        if not entry.get("schema", True):
            continue
        definition = {**SCHEMA, "anyOf": [{"$ref": f"#/$defs/{entry['from']}_frame"}]}
        valid = jsonschema.Draft202012Validator(definition).is_valid(json.loads(text_of(entry)))
        assert valid is entry["good"], entry["name"]


def test_what_was_heard_can_be_said_again() -> None:
    for entry in (each for path in FILES for each in entries(path) if each["good"]):
        spoken, frame = SPOKEN[entry["from"]], heard(entry)
        assert isinstance(frame, Frame)
        assert wire.decode(wire.encode(frame), spoken) == frame, entry["name"]


def test_vectors_are_as_the_records_say() -> None:
    spec = importlib.util.spec_from_file_location("generate", VECTORS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    assert generate.stale() == [], "write them with `python sdk/vectors/generate.py`"


def test_there_are_hundreds_of_them() -> None:
    all = [each for path in FILES for each in entries(path)]
    assert len(all) >= 300
    assert len({(each["from"], each["name"]) for each in all}) == len(all)


def test_what_a_worker_may_serve_is_what_a_definition_may_call() -> None:
    assert SCHEMA["$defs"]["hello"]["properties"]["actions"]["items"]["pattern"] == (
        f"^(?:{TYPE_NAME.pattern})$"
    )
