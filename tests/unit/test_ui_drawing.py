"""Pictures and words of the dashboard, without a page."""

from datetime import UTC, datetime, timedelta

import pytest

from scheduler.domain.states import RUN_ARROWS, AttemptState, RunState, TaskState
from scheduler.services.access import Caller, Role
from ui import buttons, words
from ui.ansi import Reader
from ui.drawing import charts, graph, timeline
from ui.drawing.graph import Box
from ui.drawing.svg import element
from ui.drawing.timeline import Line, Span

NOON = datetime(2026, 5, 17, 12, tzinfo=UTC)
ADMIN = Caller(1, "ada", Role.ADMIN)
EVIL = "\"><script>alert('x')</script>"


def a_box(position: int, *successors: int, name: str = "task") -> Box:
    return Box(position, name, "READY", "", f"#{position}", successors)


def test_whatever_is_drawn_is_escaped() -> None:
    drawn = [
        element("text", EVIL, title=EVIL),
        graph.draw([Box(0, EVIL, EVIL, EVIL, EVIL, ())]),
        timeline.draw(
            [Line(EVIL, EVIL, [Span(NOON, NOON + timedelta(1), "run", EVIL)])],
            [Span(NOON, NOON + timedelta(1), "hold", EVIL)],
            NOON,
            NOON + timedelta(1),
        ),
        charts.strip([EVIL]),
        charts.shares({EVIL: 1}),
        charts.activity([1], [EVIL]),
    ]
    assert not [each for each in drawn if "<script" in each.lower()]


@pytest.mark.parametrize("enum", [RunState, TaskState, AttemptState])
def test_every_state_has_a_word_a_colour_and_a_shape(enum: type[RunState]) -> None:
    for state in enum:
        assert state.value in words.STATES, state


def test_a_task_stands_behind_all_that_come_before_it() -> None:
    boxes = [a_box(0, 1, 2), a_box(1, 3), a_box(2, 4), a_box(4, 3), a_box(3)]
    layer = graph.layers(boxes)
    assert all(layer[box.position] < layer[each] for box in boxes for each in box.successors)


def test_no_two_boxes_of_a_graph_lie_on_each_other() -> None:
    boxes = [a_box(n, *(m for m in range(n + 1, 40) if m % (n + 2) == 0)) for n in range(40)]
    assert len(set(graph.places(boxes).values())) == 40


@pytest.mark.parametrize("boxes", [[], [a_box(0, 0)], [a_box(0, 1), a_box(1, 0)], [a_box(0, 9)]])
def test_a_graph_that_makes_no_sense_is_drawn_all_the_same(boxes: list[Box]) -> None:
    assert graph.draw(boxes).startswith("<svg")


def test_a_graph_of_many_tasks_is_laid_out_at_once() -> None:
    boxes = [a_box(n, n + 1) for n in range(graph.MOST)]
    assert len(set(graph.layers(boxes).values())) == graph.MOST


@pytest.mark.parametrize("seconds", [0, 0.001, 1, 59, 3600, 86_400 * 40, 86_400 * 4000])
def test_a_timeline_has_an_axis_of_few_round_times(seconds: float) -> None:
    drawn = timeline.draw([], [], NOON, NOON + timedelta(seconds=seconds))
    assert 1 <= drawn.count('class="axis"') <= 10


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 ms"), (0.0114, "11 ms"), (3.21, "3.2 s"), (59.4, "59 s"), (60, "1 min"),
        (61, "1 min 1 s"), (3600, "1 h"), (3661, "1 h 1 min"), (90_000, "1 d 1 h"), (-5, "0 ms"),
    ],
)  # fmt: skip
def test_a_duration_is_said_in_two_units_at_most(seconds: float, said: str) -> None:
    assert words.duration(seconds) == said


def test_a_time_is_said_with_its_zone() -> None:
    berlin = words.zone_of("Europe/Berlin")
    assert words.clock(NOON, berlin, NOON) == "14:00:00 CEST"
    assert words.clock(NOON, UTC, NOON + timedelta(days=2)) == "17 May 2026 12:00:00 UTC"
    assert words.zone_of("../../etc/passwd") is UTC


def test_how_long_ago_is_said_coarsely() -> None:
    assert words.ago(NOON - timedelta(seconds=61), NOON) == "1 min ago"
    assert words.ago(NOON + timedelta(hours=2, minutes=5), NOON) == "in 2 h"
    assert words.ago(NOON, NOON) == "now"


@pytest.mark.parametrize("state", list(RunState))
def test_a_button_is_there_exactly_where_an_arrow_leads(state: RunState) -> None:
    open_now = {each.verb for each in buttons.of_run(state, ADMIN) if each.obstacle is None}
    leads = RUN_ARROWS[state]
    assert ("stop" in open_now) == (not state.is_final)
    assert ("retry" in open_now) == (state.is_final and RunState.IN_PROGRESS in leads)
    assert ("undo" in open_now) == (state.is_final and RunState.COMPENSATING in leads)
    assert ("resume" in open_now) == (state in (RunState.HOLDING, RunState.HELD))
    assert ("hold" in open_now) == (state in (RunState.PENDING, RunState.IN_PROGRESS))


def test_a_button_that_may_not_be_pressed_says_why() -> None:
    viewer = Caller(2, "vera", Role.VIEWER)
    for state in RunState:
        assert all(each.obstacle for each in buttons.of_run(state, viewer))


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("plain", [("", "plain")]),
        ("\x1b[1;31mhot\x1b[0m", [("c1 b", "hot")]),
        ("\x1b[92mgo\x1b[39m on", [("c10", "go"), ("", " on")]),
        ("\x1b[38;5;196mx\x1b[48;2;1;2;3my\x1b[0mz", [("c1", "x"), ("c1 g0", "y"), ("", "z")]),
        ("\x1b[38;5;9ma\x1b[38;5;244mb\x1b[39mc", [("c9", "a"), ("c8", "b"), ("", "c")]),
        ("\x1b[44;97mx\x1b[49my\x1b[7;9mz", [("c15 g4", "x"), ("c15", "y"), ("c15 rev s", "z")]),
        ("\x1b[38;2;250;80;70;1mx\x1b[38;7mstill\x1b[38", [("c9 b", "x"), ("c9 b", "still")]),
        ("\x1b[2K\x1b[1Gline", [("", "line")]),
        ("\x1b]0;a title\x07text", [("", "text")]),
        ("\x1b]8;;http://evil\x1b\\link", [("", "link")]),
        ("10%\r20%\r\ndone", [("", "10%\n20%\ndone")]),
        ("a\x00b\x08", [("", "a\ufffdb\ufffd")]),
        ("\x1b[", []),
        ("\x1b[999999999999m!", [("", "!")]),
    ],
)
def test_what_terminals_colour_becomes_pieces_of_text(
    text: str, pieces: list[tuple[str, str]]
) -> None:
    assert [each for each in Reader().read(text) if each[1]] == pieces


def test_a_sequence_that_is_cut_in_two_is_one_sequence() -> None:
    reader = Reader()
    parts = ["a\x1b", "[3", "2mb\r", "\nc"]
    assert "".join(text for each in parts for _, text in reader.read(each)) == "ab\nc"
    assert reader.colour == "c2"


def test_a_style_goes_on_over_the_parts_of_a_text() -> None:
    reader = Reader()
    assert [*reader.read("\x1b[32mone "), *reader.read("two\x1b[0m")] == [
        ("c2", "one "),
        ("c2", "two"),
    ]
