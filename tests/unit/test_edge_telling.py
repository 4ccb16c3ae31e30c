"""What `edge status` says to whoever stands at the machine."""

from typing import Any

from edge.agent.telling import lines


def told(**other: Any) -> str:
    nothing = dict.fromkeys(("results", "events", "outputs", "metrics"), 0)
    attempts: list[dict[str, Any]] = [
        {"attempt": f"{n}.1", "phase": phase, "wanted": None, "argv": ["press"], "about": {}}
        for n, phase in enumerate(("running", "ended", "ended"), start=1)
    ]
    status = {
        "name": "press-1", "server": "https://example", "state": "away", "since": 0.0, "why": None,
        "carrier": None, "draining": False, "drain_reason": None, "full": None, "unwritable": None,
        "unfit": None, "runner": {"away": None}, "policy": {"fault": None}, "clock_ahead": 0.0,
        "waiting": {**nothing, "results": 1, "log_bytes": 48, "file_bytes": 1}, "slots": 4,
        "free": 3, "attempts": attempts, **other,
    }  # fmt: skip
    return "\n".join(lines(status))


def test_in_hand_is_what_lives_and_the_rest_waits_to_be_sent() -> None:
    said = told()
    assert "in hand: 1, 3 of 4 free" in said
    assert "ended, and not all of it sent: 2" in said
    assert "waiting to be sent: 1 result, 48 bytes of logs, 1 byte of files" in said


def test_why_no_new_work_is_taken_is_said() -> None:
    assert "takes no new work: the agent is too old" in told(unfit="the agent is too old")
