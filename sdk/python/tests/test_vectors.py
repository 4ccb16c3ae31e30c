"""What all ends of the protocol agree about, read as this SDK reads it."""

import json
from pathlib import Path
from typing import Any

import pytest

from procession import wire
from procession.wire import BadFrame

FOLDER = Path(__file__).parents[2] / "vectors" / "messages"
SESSION = "6f1c2b9e-3d64-4c1f-9a57-0c4a3e9b7d21"
DIRECTIONS = {"server": wire.FROM_SERVER, "worker": wire.FROM_WORKER}
VECTORS = [each for file in sorted(FOLDER.glob("*.json")) for each in json.loads(file.read_text())]


def text_of(vector: dict[str, Any]) -> str:
    frame = vector.get("frame")
    if frame is None:
        frame = {"session": SESSION, "messages": [vector["message"]]}
    return frame if isinstance(frame, str) else json.dumps(frame)


def test_the_vectors_are_all_here() -> None:
    assert len(VECTORS) >= 300
    assert {each["from"] for each in VECTORS} == {"server", "worker"}


@pytest.mark.parametrize("end", DIRECTIONS)
def test_every_frame_is_judged_as_all_other_ends_judge_it(end: str) -> None:
    wrong = []
    for vector in VECTORS:
        if vector["from"] == end and judged(vector) is not vector["good"]:
            wrong.append(vector["name"])
    assert wrong == []


def judged(vector: dict[str, Any]) -> bool:
    try:
        wire.decode(text_of(vector), DIRECTIONS[vector["from"]])
    except BadFrame:
        return False
    return True


@pytest.mark.parametrize("end", DIRECTIONS)
def test_what_was_read_is_written_so_that_it_reads_the_same(end: str) -> None:
    for vector in VECTORS:
        if vector["from"] == end and vector["good"]:
            frame = wire.decode(text_of(vector), DIRECTIONS[end])
            again = wire.framed(frame.session, map(wire.encode, frame.messages))
            assert wire.decode(again, DIRECTIONS[end]) == frame, vector["name"]
