import io
from datetime import UTC, datetime
from typing import Any

from scheduler import show
from scheduler.show import Progress

RUN: dict[str, Any] = {
    "id": "01900000-0000-7000-8000-0123456789ab",
    "status": "IN_PROGRESS",
    "tasks": 2,
    "tasks_open": 1,
    "started_at": "2026-01-01T12:00:00Z",
    "finished_at": "2026-01-01T12:01:05Z",
}


def a_task(position: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "position": position,
        "name": f"task-{position}",
        "status": "PENDING",
        "attempt": 0,
        "started_at": None,
        "finished_at": None,
        "exit_code": None,
        "reason": None,
        "error": None,
        **more,
    }


def table(*rows: tuple[Any, Any], room: int | None = None) -> list[str]:
    columns = [("NAME", lambda row: row["a"]), ("NOTE", lambda row: row["b"])]
    text = show.table(columns, [{"a": a, "b": b} for a, b in rows], room=room)
    return text.splitlines()


def test_data_is_shown_as_it_is_written() -> None:
    told = [
        ("input", {"sites": ["north", "süd"], "dry": True}),
        ("labels", {}),
        ("error", "no\nway"),
    ]
    assert show.fields(told).splitlines() == [
        'input  {"sites": ["north", "süd"], "dry": true}',
        "error  no",
    ]


def test_columns_are_aligned_by_what_is_seen() -> None:
    lines = table(("x", "one"), ("日本", "two"), ("é", "three"))
    assert lines == ["NAME  NOTE", "x     one", "日本  two", "é     three"]


def test_the_last_column_is_cut_to_the_terminal_and_to_nothing_else() -> None:
    long = "y" * 500
    assert len(table(("x", long), room=40)[1]) == 40
    assert table(("x", long), room=40)[1].endswith("…")
    assert table(("x", long))[1].endswith("y" * 500)


def test_what_came_from_elsewhere_cannot_drive_the_terminal() -> None:
    assert table(("a\x1b[2Jb", "line\nother"))[1] == "a·[2Jb  line"


def test_durations_are_said_as_people_do() -> None:
    said = [show.duration(each) for each in (0.04, 59.94, 60, 3599, 3600, 90_000)]
    assert said == ["0.0 s", "59.9 s", "1 min 00 s", "59 min 59 s", "1 h 00 min", "25 h 00 min"]


def test_a_task_is_told_once_for_each_change_where_nobody_watches() -> None:
    out = io.StringIO()
    progress = Progress(out)
    began: dict[str, Any] = {
        "status": "IN_PROGRESS",
        "attempt": 1,
        "started_at": "2026-01-01T12:00:00Z",
    }
    done = began | {
        "status": "COMPLETED",
        "finished_at": "2026-01-01T12:00:02Z",
        "exit_code": 0,
    }
    for task in (a_task(), a_task(**began), a_task(**began), a_task(**done), a_task(**done)):
        progress.update(RUN, [task, a_task(1)])
    lines = out.getvalue().splitlines()
    assert [line.split()[0] for line in lines] == ["IN_PROGRESS", "COMPLETED"]
    assert lines[1] == "COMPLETED    task-0  2.0 s  exit code 0"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_is_drawn_again_in_the_same_place() -> None:
    out = Terminal()
    progress = Progress(out)
    progress.update(RUN, [a_task(), a_task(1)])
    progress.update(RUN, [a_task(status="COMPLETED", exit_code=0), a_task(1)])
    first, second = out.getvalue().split("\x1b[3F\x1b[J")
    assert "PENDING" in first
    assert "COMPLETED" in second
    assert second.rstrip().endswith("run 0123456789ab IN_PROGRESS: 1 of 2, 1 min 05 s")


def test_a_failure_says_what_went_wrong_once() -> None:
    task = a_task(status="FAILED", exit_code=1, error="exit code 1", attempt=3)
    assert show.task_line(task, datetime.now(UTC)) == (
        "FAILED       task-0  exit code 1  attempt 3"
    )


def test_where_a_task_is_carried_out_is_told_by_who_took_it_or_who_may() -> None:
    labels = {"labels": {"line": "2"}}
    assert show.place({"placement": None}) == ""
    assert show.place({"placement": {"on": labels, "taken": "press-2"}}) == "on press-2"
    assert show.place({"placement": {"on": labels, "taken": None}}) == "on line=2"
    assert show.place({"placement": {"on": {"any": True}, "taken": None}}) == "on any"
    assert show.place({"placement": {"on": {"workstation": "saw"}, "taken": None}}) == "on saw"
