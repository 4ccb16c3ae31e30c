from pathlib import Path

import pytest

from scheduler.embedded import settings
from scheduler.embedded.cluster import cause
from scheduler.embedded.settings import MiB, arguments, memory_of_machine, shared_buffers


@pytest.mark.parametrize(
    ("memory", "buffers"),
    [(128 * MiB, 32 * MiB), (1024 * MiB, 128 * MiB), (65536 * MiB, 512 * MiB)],
)
def test_a_small_machine_keeps_most_of_its_memory(memory: int, buffers: int) -> None:
    assert shared_buffers(memory) == buffers


@pytest.mark.parametrize(("limit", "counts"), [("67108864\n", 64 * MiB), ("max\n", None)])
def test_the_limit_of_a_container_counts_when_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, counts: int | None
) -> None:
    monkeypatch.setattr(settings, "CONTAINER_LIMIT", tmp_path / "none")
    installed = memory_of_machine()
    (tmp_path / "memory.max").write_text(limit)
    monkeypatch.setattr(settings, "CONTAINER_LIMIT", tmp_path / "memory.max")
    assert memory_of_machine() == (counts or installed)


def test_settings_are_passed_one_by_one() -> None:
    assert arguments({"jit": "off", "fsync": "on"}) == ["-c", "jit=off", "-c", "fsync=on"]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("LOG:  starting\nFATAL:  data is broken\nLOG:  bye\n", "FATAL:  data is broken"),
        ("initdb: error: no locale\nremoving contents\n", "initdb: error: no locale"),
        ("only this\n", "only this"),
        ("", "it said nothing"),
        ("FATAL: write: No space left on device\n", "no space is left on the device"),
    ],
)
def test_the_cause_is_one_line(said: str, told: str) -> None:
    assert cause(said).startswith(told)
    assert "\n" not in cause(said)
