"""Server-sent events, read from whatever pieces they come in. Pure."""

import codecs
import json
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Told:
    kind: str
    data: str
    id: str

    def json(self) -> Any:
        return json.loads(self.data)


@dataclass
class Reader:
    last: str = ""  # the id of the last event, to go on behind it
    rest: str = ""
    lines: list[str] = field(default_factory=list)
    text: codecs.IncrementalDecoder = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8")("replace")
    )

    def feed(self, piece: bytes) -> Iterator[Told]:
        self.rest += self.text.decode(piece)
        *whole, self.rest = self.rest.replace("\r\n", "\n").split("\n")
        for line in whole:
            if line:
                self.lines.append(line)
            elif (told := self.end()) is not None:
                yield told

    def end(self) -> Told | None:
        """A blank line ends an event; comments alone are none."""
        lines, self.lines = self.lines, []
        kind, data = "message", []
        for line in lines:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "event":
                kind = value
            elif name == "data":
                data.append(value)
            elif name == "id":
                self.last = value
        return Told(kind, "\n".join(data), self.last) if data or kind != "message" else None


class Printed:
    """Output as texts: characters that are cut by a chunk are put together again."""

    def __init__(self) -> None:
        new = codecs.getincrementaldecoder("utf-8")
        self.decoders = {"out": new("replace"), "err": new("replace")}

    def read(self, told: Told) -> str:
        if told.kind in self.decoders:
            return self.decoders[told.kind].decode(b64decode(told.json()["data"]))
        if told.kind == "gap":
            return f"\n… {told.json()['missing']} bytes are not kept …\n"
        return ""
