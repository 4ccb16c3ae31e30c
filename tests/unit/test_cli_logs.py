import io
import json
import logging
from collections.abc import Iterator

import pytest

from scheduler import logs


@pytest.fixture
def out(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    root.handlers[:] = []
    yield io.StringIO()
    root.handlers[:], _ = before
    root.setLevel(before[1])


def test_a_line_for_people_ends_with_its_facts(out: io.StringIO) -> None:
    logs.install(out=out)
    logging.getLogger("x").info("run claimed", extra={"run": 7, "note": "a b"})
    assert out.getvalue().rstrip().endswith('INFO    run claimed  run=7 note="a b"')


def test_a_line_for_programs_is_json(out: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROCESSION_LOG", "json")
    logs.install(out=out)
    logging.getLogger("x").warning("late", extra={"task": "load"})
    line = json.loads(out.getvalue())
    assert (line["message"], line["level"], line["task"]) == ("late", "WARNING", "load")


def test_lines_name_the_run_that_they_are_about(out: io.StringIO) -> None:
    logs.install(out=out)
    with logs.about(run="r1"), logs.about(task="t1"):
        logging.getLogger("x").info("within")
    logging.getLogger("x").info("without")
    within, without = out.getvalue().splitlines()
    assert within.endswith("within  run=r1 task=t1")
    assert without.endswith("without")


def test_an_error_with_line_breaks_cannot_forge_a_line(out: io.StringIO) -> None:
    logs.install(out=out)
    logging.getLogger("x").info("said", extra={"error": "a\n2026 INFO forged\x1b[2J"})
    assert len(out.getvalue().splitlines()) == 1
    assert "\x1b" not in out.getvalue()
