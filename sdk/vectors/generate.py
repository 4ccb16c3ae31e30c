"""Writes the schema of the protocol of workers, and the messages that all ends agree about.

`python sdk/vectors/generate.py` writes `protocol.schema.json` and `messages/*.json` beside this
file; with `--check` it says whether they are as they would be written. What is good and what is
not follows from the records in `edge/remote/messages.py`: of each kind the smallest message and the
largest, and each way in which one field may be wrong.
"""

import json
import sys
import types
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from edge import reading
from edge.reading import Length, Shaped, Within
from edge.remote import messages, wire

HERE = Path(__file__).parent
SESSION = "6f1c2b9e-3d64-4c1f-9a57-0c4a3e9b7d21"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
ENDS = {"worker": messages.FromWorker, "server": messages.FromServer}

Entry = dict[str, Any]
Document = dict[str, Any]


# The schema.


def schema() -> Document:
    kinds = [each for union in ENDS.values() for each in get_args(union)]
    records = [
        messages.Program,
        messages.Error,
        messages.KnownCall,
        messages.DoneCall,
        messages.Ordered,
    ]
    known = {reading.named(each): shape_of_record(each) for each in [*kinds, *records]}
    return {
        "$schema": DIALECT,
        "title": "The protocol of remote workers",
        "description": "A frame is `worker_frame` or `server_frame`: by whom it is said. What is "
        "not known is passed over, what is known has to be right.",
        "anyOf": [{"$ref": "#/$defs/worker_frame"}, {"$ref": "#/$defs/server_frame"}],
        "$defs": {
            **{f"{end}_frame": frame_shape(end) for end in ENDS},
            **{f"{end}_message": message_shape(union) for end, union in ENDS.items()},
            **dict(sorted(known.items())),
        },
    }


def frame_shape(end: str) -> Document:
    return {
        "type": "object",
        "required": ["session", "messages"],
        "properties": {
            "session": {"type": "string", "pattern": anchored(wire.is_session.pattern)},
            "messages": {
                "type": "array",
                "maxItems": reading.MOST,
                "items": {"$ref": f"#/$defs/{end}_message"},
            },
        },
    }


def message_shape(union: Any) -> Document:
    return {
        "type": "object",
        "required": ["type"],
        "properties": {"type": {"type": "string"}},
        "allOf": [
            {
                "if": {"properties": {"type": {"const": name}}},
                "then": {"$ref": f"#/$defs/{name}"},
            }
            for name in map(reading.named, get_args(union))
        ],
    }


def shape_of_record(kind: type) -> Document:
    hints = get_type_hints(kind, include_extras=True)
    named = {"type": {"const": reading.named(kind)}} if kind in wire.NAMES else {}
    due = [each.name for each in fields(kind) if is_due(each)]
    return {
        "type": "object",
        "required": [*named, *due],
        "properties": {
            **named,
            **{each.name: shape(hints[each.name]) for each in fields(kind)},
        },
    }


def is_due(each: Any) -> bool:
    return each.default is MISSING and each.default_factory is MISSING


def shape(hint: Any) -> Document:
    origin = get_origin(hint)
    if hint is Any:
        return {}
    if origin is Annotated:
        base, *checks = get_args(hint)
        return {**shape(base), **{k: v for each in checks for k, v in bounds(each).items()}}
    if origin in (types.UnionType, Union):
        rest = [shape(each) for each in get_args(hint) if each is not type(None)]
        return {"anyOf": [*rest, {"type": "null"}]}
    if origin is tuple:
        return {"type": "array", "maxItems": reading.MOST, "items": shape(get_args(hint)[0])}
    if origin is not None and issubclass(origin, Mapping):
        return {"type": "object"}
    if isinstance(hint, type) and is_dataclass(hint):
        return {"$ref": f"#/$defs/{reading.named(hint)}"}
    if issubclass(hint, Enum):
        return {"enum": [each.value for each in hint]}
    return dict(PLAIN[hint])


PLAIN: Mapping[Any, Document] = {
    str: {"type": "string", "maxLength": reading.LONGEST},
    int: {"type": "integer", "minimum": 0, "maximum": reading.HIGHEST},
    float: {"type": "number", "minimum": -1e15, "maximum": 1e15},
    bool: {"type": "boolean"},
}


def bounds(check: Any) -> Document:
    match check:
        case Length(low, high):
            return {"minLength": low, "maxLength": high}
        case Within(low, high):
            return {"minimum": low, "maximum": high}
        case Shaped(pattern):
            return {"pattern": anchored(pattern)}
    raise TypeError(check)


def anchored(pattern: str) -> str:
    return f"^(?:{pattern})$"


# Messages.

ERROR = {"type": "ValueError", "message": "no such order", "trace": "at line 3"}

# A good value of each field that no annotation says one for.
GOOD: Mapping[str, Any] = {
    "oldest": 1,
    "newest": 1,
    "name": "press-1",
    "slots": 8,
    "actions": ["resize", "mail.send"],
    "workflows": [{"definition": {"name": "order", "tasks": []}, "version": "7"}],
    "running": ["12.1", "13.4"],
    "sdk": "procession-sdk 1.0 (python)",
    "host": "hall-3",
    "pid": 4711,
    "attempt": "12.1",
    "ending": "SUCCEEDED",
    "output": {"size": 3, "ok": True, "name": "Ä", "list": [1, 2.5, None]},
    "error": ERROR,
    "retryable": False,
    "why": "the server said goodbye",
    "percent": 62.5,
    "message": "half of it",
    "data": {"rows": 12},
    "offset": 128,
    "text": "line one\nline zwölf\n",
    "protocol": 1,
    "beat": 5,
    "lease": 20,
    "clock": 1764000000.5,
    "poll": 1,
    "server": "0.9.0",
    "forget": ["9.2"],
    "action": "resize",
    "payload": {"order": 7},
    "run": "0199a0b0-0000-7000-8000-000000000001",
    "task": "resize-all",
    "type_name": "orders",
    "number": 2,
    "key": "12:1",
    "timeout": 30,
    "workflow": {"calls": 2, "version": "7", "proof": "c2VjcmV0"},
    "verb": "stop",
    "reason": "somebody asked for it",
    "attempts": ["12.1", "13.4"],
    "fenced": True,
    "seq": 3,
    "order": 2,
    "ok": True,
    "seqs": [3, 4],
    "expected": "step charge",
    "found": "step refund",
    "input": [1, "two"],
    "tries": 1,
    "began": 1764000000.25,
    "over": 1764000001.5,
    "effect": {"run": "0199a0b0-0000-7000-8000-000000000001", "topic": "paid", "body": 7},
    "kind": "step",
    "definition": {"name": "order", "tasks": []},
    "version": "7",
    "type": "ValueError",
    "trace": "at line 3",
    "lost": True,
    "grace": 20,
}
CALLS: Mapping[type, list[Document]] = {
    messages.Record: [
        {"seq": 1, "kind": "step", "name": "charge", "ok": True, "output": 7, "tries": 2},
        {"seq": 2, "kind": "patch", "name": "new-price", "ok": True},
        {"seq": 3, "kind": "step", "name": "mail", "ok": False, "error": ERROR},
    ],
    messages.History: [
        {"seq": 1, "kind": "step", "name": "charge", "order": 1, "ok": True, "output": 7},
        {"seq": 2, "kind": "sleep", "name": "sleep"},
    ],
    messages.Recorded: [{"seq": 1, "order": 1}, {"seq": 2, "order": 2}],
}
TASKS = {messages.Call: {"sleep": "1h"}}


def good(kind: type, *, all: bool) -> Document:
    told: Document = {"type": reading.named(kind)}
    for each in fields(kind):
        if all or is_due(each):
            told[each.name] = value_of(kind, each.name)
    return told


def value_of(kind: type, name: str) -> Any:
    if name == "calls":
        return CALLS[kind]
    if name == "task" and kind in TASKS:
        return TASKS[kind]
    return GOOD[name]


def of_kind(end: str, kind: type) -> Iterator[Entry]:
    name = reading.named(kind)
    full = good(kind, all=True)
    yield entry(end, f"{name}: the smallest", good(kind, all=False))
    if fields(kind):
        yield entry(end, f"{name}: all of it", full)
    yield entry(end, f"{name}: with a field of a newer version", {**full, "tempo": {"new": 1}})
    hints = get_type_hints(kind, include_extras=True)
    spare = [each.name for each in fields(kind) if each.default is None]
    if spare:
        told = {**full, **dict.fromkeys(spare)}
        yield entry(end, f"{name}: null where it may be missing", told)
    for each in fields(kind):
        if is_due(each):
            told = {key: value for key, value in full.items() if key != each.name}
            yield entry(end, f"{name}: without {each.name}", told, f"{each.name} is missing")
        for value, why in wrong(hints[each.name]):
            told = {**full, each.name: value}
            yield entry(end, f"{name}: {each.name} {why}", told, f"{each.name} {why}")


def wrong(hint: Any) -> Iterator[tuple[Any, str]]:
    """Values that are not what the annotation says, each with what is wrong about it."""
    origin = get_origin(hint)
    if hint is Any:
        return
    if origin in (types.UnionType, Union):
        [rest] = [each for each in get_args(hint) if each is not type(None)]
        yield from ((value, why) for value, why in wrong(rest) if value is not None)
        return
    if origin is Annotated:
        base, *checks = get_args(hint)
        yield next(wrong(base))
        for each in checks:
            yield from beyond(each)
        return
    if origin is tuple:
        yield "12.1", "is no list"
        yield from (
            ([value], f"has an element that {why}") for value, why in wrong(get_args(hint)[0])
        )
        return
    if origin is not None and issubclass(origin, Mapping):
        yield ["a"], "is no object"
    elif isinstance(hint, type) and is_dataclass(hint):
        yield "boom", "is no object"
        hints = get_type_hints(hint, include_extras=True)
        for each in fields(hint):
            if is_due(each):
                part = {k: v for k, v in sample(hint).items() if k != each.name}
                yield part, f"has no {each.name}"
            for value, why in wrong(hints[each.name]):
                yield {**sample(hint), each.name: value}, f"has a {each.name} that {why}"
    elif issubclass(hint, Enum):
        yield "NOBODY KNOWS", "is none of the words"
    elif hint is str:
        yield 7, "is no text"
    elif hint is bool:
        yield "yes", "is neither true nor false"
    elif hint is int:
        yield "7", "is no whole number"
    elif hint is float:
        yield "soon", "is no number"


def sample(kind: type) -> Document:
    return {each.name: GOOD[each.name] for each in fields(kind) if is_due(each)}


SHAPES: Mapping[str, list[tuple[str, str]]] = {
    "TASK.NUMBER": [("12", "has no number"), ("0.1", "names no task"), ("12.1 ", "has a space")],
    "a name": [("Resize All", "has capitals and a space"), ("", "is empty")],
    "a worker's": [("", "is empty"), ("x" * 101, "is too long"), ("a\nb", "has a line break")],
}


def beyond(check: Any) -> Iterator[tuple[Any, str]]:
    match check:
        case Length(low, high):
            if low:
                yield "", "is empty"
            yield "x" * (high + 1), "is too long"
        case Within(low, high):
            yield low - 1, "is too small"
            yield high + 1, "is too large"
        case Shaped(_, rule):
            [found] = [cases for key, cases in SHAPES.items() if key in rule]
            yield from found


def entry(end: str, name: str, message: Any, why: str | None = None, **more: Any) -> Entry:
    told = {"name": name, "from": end, "message": message, "good": why is None}
    return {**told, **({"why": why} if why else {}), **more}


# Frames.


def frame_entry(end: str, name: str, frame: Any, why: str | None = None, **more: Any) -> Entry:
    told = {"name": name, "from": end, "frame": frame, "good": why is None}
    return {**told, **({"why": why} if why else {}), **more}


def frames() -> Iterator[Entry]:
    lease = {"type": "lease", "running": []}
    for end, message in (("worker", lease), ("server", {"type": "forget", "attempt": "1.1"})):
        whole = {"session": SESSION, "messages": [message]}
        yield frame_entry(end, f"{end}: one message", whole)
        yield frame_entry(end, f"{end}: none", {"session": SESSION, "messages": []})
        yield frame_entry(end, f"{end}: a field of a newer version", {**whole, "tempo": 1})
        newer = {"session": SESSION, "messages": [{"type": "dance", "steps": 3}, message]}
        yield frame_entry(end, f"{end}: a message of a newer version", newer)
        most = {"session": SESSION, "messages": [message] * reading.MOST}
        yield frame_entry(end, f"{end}: as many as there may be", most)
        many = {"session": SESSION, "messages": [message] * (reading.MOST + 1)}
        yield frame_entry(end, f"{end}: one too many", many, "more than 1000 messages")
        yield frame_entry(end, f"{end}: no session", {"messages": []}, "session is missing")
        yield frame_entry(end, f"{end}: no messages", {"session": SESSION}, "messages is missing")
        large = {"session": SESSION.upper(), "messages": []}
        yield frame_entry(end, f"{end}: a session in capitals", large, "a UUID in small letters")
        number = {"session": 7, "messages": []}
        yield frame_entry(end, f"{end}: a session that is a number", number, "session is no text")
        of = {"session": SESSION, "messages": {"type": "lease"}}
        yield frame_entry(end, f"{end}: messages that are no list", of, "messages is no list")
        for bad, why in (("lease", "is no object"), ({"attempt": "1.1"}, "has no type")):
            told = {"session": SESSION, "messages": [bad]}
            yield frame_entry(end, f"{end}: a message that {why}", told, f"messages[0] {why}")
        typed = {"session": SESSION, "messages": [{"type": 7}]}
        yield frame_entry(end, f"{end}: a type that is a number", typed, "type is no text")
        yield frame_entry(end, f"{end}: a list", [whole], "a frame is an object")
        for text, why in (("", "nothing"), ("{", "no JSON"), ("NaN", "no number of JSON")):
            yield frame_entry(end, f"{end}: {why}", text, why, schema=False)
    hall = {"session": SESSION, "messages": [good(messages.Hello, all=True), lease]}
    yield frame_entry("worker", "worker: hello and a lease", hall)
    yield from storable()


def storable() -> Iterator[Entry]:
    """What a database cannot keep, wherever it stands."""
    said = {"type": "ended", "attempt": "12.1", "ending": "SUCCEEDED"}
    nul, half = {**said, "output": "a\0b"}, {**said, "output": "a\ud800b"}
    yield entry("worker", "ended: an output with NUL", nul, "output holds NUL", schema=False)
    yield entry("worker", "ended: half a character", half, "output is no text", schema=False)
    deep: Any = 1
    for _ in range(reading.DEEPEST + 1):
        deep = [deep]
    told = {**said, "output": deep}
    yield entry("worker", "ended: nested too deep", told, "output is nested too deep", schema=False)
    yield entry("worker", "ended: an output that is null", {**said, "output": None})
    yield entry("worker", "ended: an output that is a text", {**said, "output": "done: ✓ 😀"})
    failed = {**said, "ending": "FAILED", "error": {**ERROR, "trace": None}}
    yield entry("worker", "ended: an error without a trace", failed)
    for ending in messages.Ending:
        yield entry("worker", f"ended: {ending}", {**said, "ending": ending.value})
    for kind in messages.CallKind:
        call = {"seq": 1, "kind": kind.value, "name": "x", "ok": True}
        told = {"type": "record", "attempt": "12.1", "calls": [call]}
        yield entry("worker", f"record: {kind}", told)
    for verb in messages.Verb:
        told = {"type": "command", "attempt": "12.1", "verb": verb.value, "reason": ""}
        yield entry("server", f"command: {verb}", told)
    # One end passes over what is meant for the other.
    yield entry("worker", "what only servers say", {"type": "have"})
    yield entry("server", "what only workers say", {"type": "ended"})


# Files.


def files() -> dict[Path, str]:
    found: dict[Path, Any] = {HERE / "protocol.schema.json": schema()}
    for end, union in ENDS.items():
        for kind in get_args(union):
            path = HERE / "messages" / f"{end}-{reading.named(kind)}.json"
            found[path] = list(of_kind(end, kind))
    found[HERE / "messages" / "frames.json"] = list(frames())
    return {path: as_text(content) for path, content in found.items()}


def as_text(content: Any) -> str:
    if isinstance(content, dict):
        return json.dumps(content, indent=2) + "\n"
    lines = ",\n".join(json.dumps(each) for each in content)
    return f"[\n{lines}\n]\n"


def stale() -> list[str]:
    wanted = files()
    there = {HERE / "protocol.schema.json", *(HERE / "messages").glob("*.json")}
    return sorted(
        path.name
        for path in there | wanted.keys()
        if not path.is_file() or path.read_text() != wanted.get(path)
    )


def main() -> int:
    if "--check" in sys.argv[1:]:
        if names := stale():
            print("not as they would be written:", ", ".join(names))
        return bool(names)
    for path in (HERE / "messages").glob("*.json"):
        path.unlink()
    for path, text in files().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
