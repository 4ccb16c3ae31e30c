"""What a command said about itself. It concerns this attempt, and nothing else.

It comes out of a command that may print anything, also what others gave it: so all of it is
checked and bounded, and what can't be taken is passed over with a note.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from executor import plain
from executor.plain import Json, NotPlain

BUDGET = 2 << 20  # bytes of lines that are read at once,
LINE = 100  # each counted as so much longer,
REFILL = 16 << 10  # and as many more in each second
MOST_OUTPUT = 256 << 10
MOST_LABELS = 32
MOST_FILES = 100
MOST_NOTES = 20
LONGEST_NAME = 200
LONGEST_TEXT = 200
LONGEST_LABEL = 63
LONGEST_PATH = 1000
TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,63}/[a-z0-9][a-z0-9!#$&^_.+-]{0,63}")
UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+")


@dataclass(frozen=True, slots=True)
class Named:
    """A file that is to be kept: where it lies below the working folder, and how it is called."""

    path: str
    name: str
    type: str | None = None


class Report:
    def __init__(self) -> None:
        self.progress: float | None = None
        self.text: str | None = None
        self.status: str | None = None
        self.labels: dict[str, str] = {}
        self.outputs: dict[str, Json] = {}
        self.files: dict[str, Named] = {}
        self.notes: dict[str, None] = {}
        self.passed_over = 0
        self.has_news = False
        self.sizes: dict[str, int] = {}
        self.size = 0  # of all outputs, as JSON
        self.budget = float(BUDGET)
        self.heard_at: float | None = None

    def hear(self, line: bytes, now: float) -> None:
        """A reserved line, without its word."""
        if not self.may_cost(len(line) + LINE, now):
            self.passed_over += 1
            return
        try:
            said = plain.read(line.decode())
            if not isinstance(said, dict):
                raise NotPlain("a JSON object is expected")
        except (NotPlain, UnicodeDecodeError) as error:
            self.note(f"a reserved line was passed over: {error}")
            return
        for key, value in said.items():
            self.take(key, value)

    def may_cost(self, cost: int, now: float) -> bool:
        if self.heard_at is not None:
            self.budget = min(BUDGET, self.budget + (now - self.heard_at) * REFILL)
        self.heard_at = now
        if cost > self.budget:
            return False
        self.budget -= cost
        return True

    def take(self, key: str, value: Json) -> None:
        taker = TAKERS.get(key)
        if taker is None:
            self.note(f"{key:.40}: there is no such key in a reserved line")
            return
        try:
            taker(self, value)
        except NotPlain as error:
            self.note(f"{key}: {error}")

    def note(self, text: str) -> None:
        """For the person who reads the attempt; the same is said once."""
        if len(self.notes) < MOST_NOTES:
            self.notes[shown(text, 300)] = None

    # One for each key

    def take_progress(self, value: Json) -> None:
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
            raise NotPlain("a number from 0 to 1 is expected")
        self.progress = value
        self.has_news = True

    def take_text(self, value: Json) -> None:
        self.text = text(value)
        self.has_news = True

    def take_status(self, value: Json) -> None:
        self.status = text(value)
        self.has_news = True

    def take_labels(self, value: Json) -> None:
        for name, label in mapping(value).items():
            if not 0 < len(name) <= LONGEST_LABEL or UNSEEN.search(name):
                raise NotPlain(f"{name:.40}: a name has 1 to {LONGEST_LABEL} visible characters")
            if name not in self.labels and len(self.labels) >= MOST_LABELS:
                raise NotPlain(f"{name}: there are {MOST_LABELS} already")
            self.labels[name] = text(label)
            self.has_news = True

    def take_outputs(self, value: Json) -> None:
        for name, output in mapping(value).items():
            self.put_out(name, output)

    def take_files(self, value: Json) -> None:
        for each in value if isinstance(value, list) else [value]:
            named = read_named(each)
            if named.name not in self.files and len(self.files) >= MOST_FILES:
                raise NotPlain(f"{named.name:.40}: there are {MOST_FILES} already")
            self.files[named.name] = named

    def put_out(self, name: str, output: Json) -> None:
        if len(name) > LONGEST_NAME:
            raise NotPlain(f"{name:.40}…: a name is {LONGEST_NAME} characters long at most")
        size = len(plain.write(name).encode()) + len(plain.write(output).encode()) + 2
        grown = self.size - self.sizes.get(name, 0) + size
        if grown > MOST_OUTPUT:
            raise NotPlain(
                f"{name:.40}: all outputs together are larger than {MOST_OUTPUT} bytes: "
                "write a file, and name it under 'files'"
            )
        self.sizes[name], self.size = size, grown
        self.outputs[name] = output

    # What is told of it

    def state(self) -> dict[str, Any]:
        """What is shown while it runs, and after."""
        given = {
            "progress": self.progress,
            "text": self.text,
            "status": self.status,
            "labels": self.labels,
        }
        return {key: value for key, value in given.items() if value not in (None, {})}

    def all_notes(self) -> list[str]:
        if not self.passed_over:
            return list(self.notes)
        many = f"{self.passed_over} reserved lines came too fast and were passed over"
        return [*self.notes, many]


TAKERS: Mapping[str, Callable[[Report, Json], None]] = {
    "progress": Report.take_progress,
    "text": Report.take_text,
    "status": Report.take_status,
    "labels": Report.take_labels,
    "outputs": Report.take_outputs,
    "files": Report.take_files,
}


def shown(value: str, most: int) -> str:
    """On one line, without what would change how its surroundings are read."""
    return UNSEEN.sub(" ", value)[:most]


def text(value: Json) -> str:
    if not isinstance(value, str):
        raise NotPlain("a text is expected")
    return shown(value, LONGEST_TEXT)


def mapping(value: Json) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise NotPlain("a JSON object is expected")
    return value


def read_named(value: Json) -> Named:
    given = {"path": value} if isinstance(value, str) else mapping(value)
    if unknown := given.keys() - {"path", "name", "type"}:
        raise NotPlain(f"{min(unknown):.40}: a file has path, name and type")
    path = readable_path(given.get("path"))
    name = given.get("name", path)
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME or UNSEEN.search(name):
        raise NotPlain(f"a file's name has 1 to {LONGEST_NAME} visible characters")
    kind = given.get("type")
    if kind is not None and not (isinstance(kind, str) and TYPE.fullmatch(kind)):
        raise NotPlain("a file's type is one like text/csv")
    return Named(path, name, kind)


def readable_path(path: Json) -> str:
    """Below the working folder, by its parts alone; what lies there is looked at later."""
    if not isinstance(path, str) or not 0 < len(path) <= LONGEST_PATH:
        raise NotPlain(f"a file's path is a text of {LONGEST_PATH} characters at most")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/") or ".." in parts or not parts:
        raise NotPlain(f"{path:.80}: give a path below the working folder, without '..'")
    return "/".join(parts)
