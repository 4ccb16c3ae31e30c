"""What a command says about itself is found however it is cut, checked, and bounded."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from executor import reserved
from executor.report import BUDGET, MOST_FILES, MOST_LABELS, MOST_NOTES, Report
from executor.reserved import LONGEST, WORD, Lines


class Heard:
    def __init__(self, chunks: list[bytes]) -> None:
        self.said: list[bytes] = []
        self.too_long = 0
        self.rest = b""
        lines = Lines(self.said.append, self.count, self.keep)
        for chunk in chunks:
            lines.feed(chunk)
        lines.flush()

    def count(self) -> None:
        self.too_long += 1

    def keep(self, data: bytes) -> None:
        assert data
        self.rest += data


def plainly(data: bytes) -> tuple[list[bytes], bytes]:
    """The same, said simply: for what is there as a whole."""
    lines = data.split(b"\n")
    ends = [b"\n"] * (len(lines) - 1) + [b""]
    said = [line[len(WORD) :] for line in lines if line.startswith(WORD)]
    pairs = zip(lines, ends, strict=True)
    return said, b"".join(line + end for line, end in pairs if not line.startswith(WORD))


fragments = st.sampled_from(
    [b"\n", b"\r\n", b"::", b":", b"procession", WORD, WORD + b' {"a": 1}', b"x", b"\xff\x00", b" "]
)


@settings(deadline=None, max_examples=500)
@given(st.lists(fragments | st.binary(max_size=6), max_size=30), st.lists(st.integers(0, 12)))
def test_reserved_lines_are_found_and_the_rest_is_untouched_however_they_are_cut(
    parts: list[bytes], cuts: list[int]
) -> None:
    data, chunks, place = b"".join(parts), [], 0
    for cut in cuts:
        chunks.append(data[place : place + cut])
        place += cut
    heard = Heard([*chunks, data[place:]])
    assert (heard.said, heard.rest) == plainly(data)


def test_a_reserved_line_that_is_too_long_is_passed_over_and_never_held() -> None:
    line = WORD + b"x" * LONGEST
    chunks = [line[n : n + 4000] for n in range(0, len(line), 4000)]
    heard = Heard([b"before\n", *chunks, b"more", b"and more\nafter\n", WORD + b"{}\n"])
    assert (heard.said, heard.too_long) == ([b"{}"], 1)
    assert heard.rest == b"before\nafter\n"


def test_a_line_without_end_is_handed_on_at_once() -> None:
    seen: list[bytes] = []
    lines = Lines(seen.append, lambda: None, seen.append)
    lines.feed(b"progress bar")
    lines.feed(b"...")
    assert b"".join(seen) == b"progress bar..."


def reported(*lines: Any, every: float = 0.0) -> Report:
    report = Report()
    for number, line in enumerate(lines):
        text = line if isinstance(line, str) else json.dumps(line)
        report.hear(text.encode(), number * every)
    return report


def test_all_that_a_line_may_say_is_taken() -> None:
    report = reported(
        {"progress": 0.25, "text": "a quarter", "status": "copying"},
        {"outputs": {"rows": 12, "names": ["a"]}, "labels": {"shard": "7"}},
        {"progress": 1, "outputs": {"rows": 13}},
        {"files": ["out/a.csv", {"path": "./b.pdf", "name": "report", "type": "application/pdf"}]},
    )
    assert report.state() == {
        "progress": 1,
        "text": "a quarter",
        "status": "copying",
        "labels": {"shard": "7"},
    }
    assert report.outputs == {"rows": 13, "names": ["a"]}
    assert [(f.path, f.name, f.type) for f in report.files.values()] == [
        ("out/a.csv", "out/a.csv", None),
        ("b.pdf", "report", "application/pdf"),
    ]
    assert report.all_notes() == []


WRONG: list[Any] = [
    "not json",
    "[1]",
    "",
    '{"progress": NaN}',
    '{"progress": 1e999}',
    '{"outputs": {"n": 1e999}}',
    '{"outputs": {"n": 123456789012345678901234567890}}',
    '{"outputs": {"n": "\\u0000"}}',
    '{"outputs": {"n": "\\ud800"}}',
    '{"outputs": ' + "[" * 30000,
    '{"outputs": {"n": ' + "[" * 70 + "]" * 70 + "}}",
    {"progress": 1.5},
    {"progress": -0.1},
    {"progress": True},
    {"progress": "0.5"},
    {"text": 7},
    {"status": ["x"]},
    {"labels": {"": "x"}},
    {"labels": {"x" * 64: "x"}},
    {"labels": {"a\nb": "x"}},
    {"labels": {"x": 1}},
    {"labels": "x"},
    {"outputs": [1]},
    {"outputs": {"x" * 201: 1}},
    {"files": "/etc/shadow"},
    {"files": "../secret"},
    {"files": "a/../../secret"},
    {"files": "."},
    {"files": ""},
    {"files": "a\x00b"},
    {"files": "x" * 1001},
    {"files": {"path": "a", "name": "b\nc"}},
    {"files": {"path": "a", "type": "text/html; charset=x"}},
    {"files": {"path": "a", "mode": 1}},
    {"files": 7},
    {"run": "other", "stop": True},
]


@pytest.mark.parametrize("line", WRONG, ids=lambda line: str(line)[:40])
def test_what_is_wrong_is_passed_over_with_a_note(line: Any) -> None:
    report = reported(line)
    assert report.state() == {}
    assert (report.outputs, report.files) == ({}, {})
    assert len(report.all_notes()) >= 1
    assert all(note.isprintable() and len(note) <= 300 for note in report.all_notes())


def test_texts_are_kept_short_and_on_one_line() -> None:
    report = reported({"status": "a\r\n\x1b[31mb\u202ec" + "x" * 500})
    assert report.status is not None
    assert report.status.startswith("a [31mb c")
    assert len(report.status) == 200


def test_labels_files_notes_and_outputs_have_an_end() -> None:
    report = reported(
        *({"labels": {f"l{n}": "x"}} for n in range(2 * MOST_LABELS)),
        *({"files": f"f{n}"} for n in range(2 * MOST_FILES)),
        *({f"unknown {n}": 1} for n in range(100)),
        *({"outputs": {f"o{n}": "x" * 60000}} for n in range(10)),
    )
    assert len(report.labels) == MOST_LABELS
    assert len(report.files) == MOST_FILES
    assert len(report.notes) == MOST_NOTES
    assert sorted(report.outputs) == ["o0", "o1", "o2", "o3"]


def test_an_output_that_is_said_again_counts_once() -> None:
    report = reported(*({"outputs": {"big": "x" * 60000}} for _ in range(20)), every=10.0)
    assert report.all_notes() == []
    assert len(report.outputs["big"]) == 60000


def test_lines_that_come_too_fast_are_counted_and_those_after_a_while_are_read_again() -> None:
    report = Report()
    line = b'{"progress": 0.5}'
    fits = BUDGET // (len(line) + 100)
    for _ in range(fits + 500):
        report.hear(line, 0.0)
    assert report.passed_over == 500
    report.hear(b'{"progress": 0.75}', 1.0)
    assert report.progress == 0.75
    assert report.all_notes() == ["500 reserved lines came too fast and were passed over"]


def test_the_word_is_the_documented_one() -> None:
    assert reserved.WORD == b"::procession::"


def scanning(size: int) -> float:
    """The least time that so many bytes of short reserved lines take."""
    data = WORD + b" {}\n"
    data *= size // len(data)
    times = []
    for _ in range(3):
        lines = Lines(lambda _: None, lambda: None)
        begun = time.process_time()
        lines.feed(data)
        times.append(time.process_time() - begun)
    return min(times)


def test_many_short_lines_cost_no_more_than_their_number() -> None:
    assert scanning(1 << 20) < 128 * scanning(1 << 15)  # 32 times as many; each copied: 1,000
