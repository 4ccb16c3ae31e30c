"""What people see: aligned tables, and a run's tasks while they go on."""

import json
import shutil
import sys
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TextIO

import click

COLOURS = {
    "COMPLETED": "green",
    "ACTIVE": "green",
    "FAILED": "red",
    "GONE": "red",
    "OPEN": "red",
    "STOPPED": "yellow",
    "HELD": "yellow",
    "HOLDING": "yellow",
    "STOPPING": "yellow",
    "WAITING": "yellow",
    "DRAINING": "yellow",
    "IN_PROGRESS": "cyan",
}
FINAL = ("COMPLETED", "FAILED", "STOPPED")
UP_AND_CLEAR = "\x1b[{lines}F\x1b[J"

Row = Mapping[str, Any]
Column = tuple[str, Callable[[Row], Any]]


def table(columns: Sequence[Column], rows: Sequence[Row], *, room: int | None = None) -> str:
    """Aligned, one line a row. With `room` the last column is cut to what fits."""
    cells = [[title for title, _ in columns]]
    cells += [[plain(value(row)) for _, value in columns] for row in rows]
    widths = [max(width(line[i]) for line in cells) for i in range(len(columns))]
    if room is not None:
        widths[-1] = max(8, min(widths[-1], room - sum(widths[:-1]) - 2 * (len(widths) - 1)))
    return "\n".join(line_of(each, widths) for each in cells)


def line_of(cells: Sequence[str], widths: Sequence[int]) -> str:
    parts = [coloured(padded(cut(c, w), w), c) for c, w in zip(cells, widths, strict=True)]
    return "  ".join(parts).rstrip()


def plain(value: Any) -> str:
    """One line without control characters: what a command printed must not drive the terminal."""
    if value is None:
        return ""
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)
    first = text.strip().partition("\n")[0]
    return "".join(c if c.isprintable() else "·" for c in first)


def width(text: str) -> int:
    return sum(columns_of(character) for character in text)


def columns_of(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut(text: str, room: int) -> str:
    if width(text) <= room:
        return text
    kept, used = [], 1
    for character in text:
        used += columns_of(character)
        if used > room:
            break
        kept.append(character)
    return "".join(kept) + "…"


def padded(text: str, room: int) -> str:
    return text + " " * (room - width(text))


def coloured(text: str, word: str) -> str:
    """Click takes the colours out again where they do not go to a terminal."""
    return click.style(text, fg=COLOURS[word]) if word in COLOURS else text


def fields(pairs: Sequence[tuple[str, Any]]) -> str:
    """A name and a value a line; what has no value is left out."""
    shown = [(name, plain(value)) for name, value in pairs if value not in (None, "", {}, [])]
    room = max((len(name) for name, _ in shown), default=0)
    return "\n".join(f"{name:{room}}  {coloured(value, value)}" for name, value in shown)


def moment(text: str | None) -> str:
    """A time as people here read it."""
    if not text:
        return ""
    return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def lasted(row: Row, now: datetime) -> str:
    """How long it has been going on, or went on."""
    if not row.get("started_at"):
        return ""
    start = datetime.fromisoformat(row["started_at"])
    end = datetime.fromisoformat(row["finished_at"]) if row.get("finished_at") else now
    return duration(max(0.0, (end - start).total_seconds()))


def duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def short(run: str | None) -> str:
    """The end of an id: that of a newer run differs there, its beginning is the time."""
    return run[-12:] if run else ""


def room() -> int | None:
    """The width of the terminal, if there is one."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


class Progress:
    """The tasks of a run, one line each: drawn again on a terminal, else a line a change."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._live = out.isatty()
        self._lines = 0
        self._said: dict[int, tuple[str, int]] = {}

    def update(self, run: Row, tasks: Sequence[Row]) -> None:
        now = datetime.now(UTC)
        if self._live:
            self._redraw(run, tasks, now)
        else:
            self._report(tasks, now)

    def _redraw(self, run: Row, tasks: Sequence[Row], now: datetime) -> None:
        size = shutil.get_terminal_size()
        shown = self._fitting(tasks, size.lines - 2)
        lines = [cut_line(task, now, size.columns - 1) for task in shown]
        lines.append(summary(run, tasks, now))
        up = UP_AND_CLEAR.format(lines=self._lines) if self._lines else ""
        click.echo(up + "\n".join(lines), file=self._out)
        self._lines = len(lines)

    def _fitting(self, tasks: Sequence[Row], most: int) -> Sequence[Row]:
        """All of them, or those that somebody would look for."""
        if len(tasks) <= most:
            return tasks
        urgent = [t for t in tasks if t["status"] in ("IN_PROGRESS", "FAILED", "WAITING")]
        return urgent[: max(1, most)]

    def _report(self, tasks: Sequence[Row], now: datetime) -> None:
        for task in tasks:
            state = (task["status"], task["attempt"])
            if state != self._said.get(task["position"], ("PENDING", 0)):
                self._said[task["position"]] = state
                click.echo(task_line(task, now), file=self._out)


def cut_line(task: Row, now: datetime, most: int) -> str:
    return coloured(cut(task_line(task, now), most), task["status"])


def task_line(task: Row, now: datetime) -> str:
    parts = [f"{task['status']:<11}", plain(task["name"]), lasted(task, now)]
    if task["exit_code"] is not None:
        parts.append(f"exit code {task['exit_code']}")
    if task["attempt"] > 1:
        parts.append(f"attempt {task['attempt']}")
    if task["reason"]:
        parts.append(f"({task['reason']})")
    if task["error"] not in (None, f"exit code {task['exit_code']}"):
        parts.append(plain(task["error"]))
    return "  ".join(part for part in parts if part)


def summary(run: Row, tasks: Sequence[Row], now: datetime) -> str:
    done = run["tasks"] - run["tasks_open"]
    return f"run {short(run['id'])} {run['status']}: {done} of {run['tasks']}, {lasted(run, now)}"


def place(task: Mapping[str, Any]) -> str:
    """Which workstation carries a task out, or which may."""
    placement = task.get("placement")
    if placement is None:
        return ""
    labels = ",".join(
        f"{name}={value}" for name, value in placement["on"].get("labels", {}).items()
    )
    return f"on {placement['taken'] or placement['on'].get('workstation') or labels or 'any'}"
