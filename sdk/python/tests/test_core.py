"""What a worker decides, told frame by frame."""

import json
from itertools import count
from typing import Any

from procession import wire
from procession.core import Begin, Core, Dismissed, Event, Gone, Heard, Met, Ordered, Serving
from procession.messages import Call, Diverged, Ended, Log, Park, Progress
from procession.telling import succeeded

SERVING = Serving("one", 3, ("pack", "ship"), sdk="python/test")


def a_core() -> Core:
    numbers = count(1)
    return Core(SERVING, lambda: f"00000000-0000-4000-8000-{next(numbers):012}")


def connected(core: Core) -> Core:
    """As after the hello."""
    core.connected()
    core.take()
    return core


def said(core: Core) -> list[dict[str, Any]]:
    """What the server is told now."""
    return [each for frame in core.take() for each in json.loads(frame)["messages"]]


def kinds(core: Core) -> list[str]:
    return [each["type"] for each in said(core)]


def hear(core: Core, *told: dict[str, Any], session: str | None = None) -> list[Event]:
    frame = {"session": session or core.session, "messages": list(told)}
    return core.heard(wire.decode(json.dumps(frame)))


def an_offer(attempt: str = "7.1", **more: Any) -> dict[str, Any]:
    return {
        "type": "offer",
        "attempt": attempt,
        "action": "pack",
        "payload": {"box": 1},
        "run": "r",
        "task": "t",
        "type_name": "shop",
        "number": 1,
        "key": "k",
        **more,
    }


def a_welcome(**more: Any) -> dict[str, Any]:
    times = {"beat": 5, "lease": 15, "clock": 0, "poll": 1}
    return {"type": "welcome", "protocol": 1, **times, "server": "s", "forget": [], **more}


def a_bye(*, fenced: bool) -> dict[str, Any]:
    return {"type": "bye", "why": "you were silent", "fenced": fenced}


def test_each_connection_begins_with_a_hello_that_names_all_that_is_in_hand() -> None:
    core = connected(a_core())
    hear(core, an_offer("7.1"), an_offer("8.1"))
    core.end(succeeded("8.1", None))
    core.disconnected()
    core.connected()
    hello, ended = said(core)
    assert hello["type"] == "hello"
    assert hello["running"] == ["7.1", "8.1"]
    assert hello["actions"] == ["pack", "ship"]
    assert (hello["oldest"], hello["newest"], hello["slots"]) == (1, 1, 3)
    assert ended["attempt"] == "8.1"


def test_an_end_is_said_with_every_hello_until_it_is_acknowledged() -> None:
    core = connected(a_core())
    hear(core, an_offer())
    core.end(succeeded("7.1", {"done": True}))
    assert kinds(core) == ["ended"]
    for _ in range(2):
        core.disconnected()
        core.connected()
        assert kinds(core) == ["hello", "ended"]
    hear(core, {"type": "have", "attempts": ["7.1"]})
    core.disconnected()
    core.connected()
    assert kinds(core) == ["hello"]
    assert core.running == ()


def test_an_offer_begins_once_however_often_it_comes() -> None:
    core = connected(a_core())
    [begin] = hear(core, an_offer())
    assert isinstance(begin, Begin)
    assert begin.offer.payload == {"box": 1}
    assert hear(core, an_offer()) == []
    core.end(succeeded("7.1", None))
    assert hear(core, an_offer()) == []


def test_nothing_is_said_of_what_is_not_in_hand() -> None:
    core = connected(a_core())
    core.end(succeeded("7.1", None))
    core.tell(Log("7.1", 0, "hello"))
    core.hand_back("7.1", "no")
    assert said(core) == []


def test_a_command_that_is_repeated_is_given_once() -> None:
    core = connected(a_core())
    hear(core, an_offer())
    stop = {"type": "command", "attempt": "7.1", "verb": "stop", "reason": "so"}
    [ordered] = hear(core, stop, stop)
    assert isinstance(ordered, Ordered)
    [again] = hear(core, {**stop, "verb": "kill"})
    assert isinstance(again, Ordered)
    assert again.command.verb == "kill"
    assert hear(core, {**stop, "attempt": "9.1"}) == []


def test_what_is_others_is_forgotten_without_a_word() -> None:
    core = connected(a_core())
    hear(core, an_offer("7.1"), an_offer("8.1"), an_offer("9.1"))
    core.end(succeeded("9.1", None))
    said(core)
    [first] = hear(core, {"type": "forget", "attempt": "7.1"}, {"type": "forget", "attempt": "9.1"})
    assert isinstance(first, Gone)
    assert first.attempts == ("7.1",)
    gone, met = hear(core, a_welcome(forget=["8.1"]))
    assert isinstance(gone, Gone)
    assert isinstance(met, Met)
    assert core.running == ()
    assert said(core) == []


def test_whoever_is_fenced_gives_up_everything_and_begins_another_session() -> None:
    core = connected(a_core())
    hear(core, an_offer("7.1"), an_offer("8.1"))
    core.end(succeeded("8.1", None))
    before = core.session
    gone, dismissed = hear(core, a_bye(fenced=True))
    assert isinstance(gone, Gone)
    assert gone.attempts == ("7.1",)
    assert dismissed == Dismissed("you were silent", fenced=True)
    assert core.session != before
    assert core.running == ()
    assert hear(core, an_offer("9.1"), session=before) == []
    core.disconnected()
    core.connected()
    [hello] = said(core)
    assert hello["running"] == []


def test_a_bye_that_does_not_fence_takes_nothing_away() -> None:
    core = connected(a_core())
    hear(core, an_offer())
    assert hear(core, a_bye(fenced=False)) == [Dismissed("you were silent", fenced=False)]
    assert core.running == ("7.1",)


def test_whoever_drains_hands_back_what_is_still_offered() -> None:
    core = connected(a_core())
    hear(core, an_offer("7.1"))
    core.drain()
    core.drain()
    assert hear(core, an_offer("8.1")) == []
    assert [(each["type"], each.get("attempt")) for each in said(core)] == [
        ("drain", None),
        ("back", "8.1"),
    ]
    core.disconnected()
    core.connected()
    assert kinds(core) == ["hello", "drain"]
    core.leave()
    core.beat()
    assert kinds(core) == ["leave"]
    assert core.running == ()


def test_a_lease_names_what_runs_and_what_has_ended_unheard() -> None:
    core = connected(a_core())
    hear(core, an_offer("7.1"), an_offer("8.1"))
    core.end(succeeded("7.1", None))
    core.beat()
    assert said(core)[-1] == {"type": "lease", "running": ["8.1", "7.1"]}
    core.disconnected()
    core.beat()
    core.connected()
    assert "lease" not in kinds(core)


def test_what_is_printed_without_a_connection_is_said_before_its_end() -> None:
    core = connected(a_core())
    hear(core, an_offer())
    core.disconnected()
    core.tell(Log("7.1", 0, "hello"))
    core.end(succeeded("7.1", None))
    core.connected()
    assert kinds(core) == ["hello", "log", "ended"]


def test_a_workflow_is_told_what_concerns_it_until_it_is_parked() -> None:
    core = connected(a_core())
    hear(core, an_offer(workflow={"calls": 0, "proof": "p"}))
    core.tell(Call("7.1", 1, "nap", {"sleep": "1s"}))
    core.tell(Park("7.1", (1,)))
    assert kinds(core) == ["call", "park"]
    resolved = {"type": "resolved", "attempt": "7.1", "seq": 1, "order": 1, "ok": True}
    first, last = hear(core, resolved, {"type": "parked", "attempt": "7.1"}, resolved)
    assert isinstance(first, Heard)
    assert isinstance(last, Heard)
    assert core.running == ()


def test_what_a_workflow_says_without_a_connection_is_lost_and_it_says_it_again() -> None:
    core = connected(a_core())
    hear(core, an_offer(workflow={"calls": 0}))
    core.disconnected()
    core.tell(Call("7.1", 1, "nap", {"sleep": "1s"}))
    core.connected()
    assert kinds(core) == ["hello"]


def test_a_workflow_that_has_diverged_is_put_down() -> None:
    core = connected(a_core())
    hear(core, an_offer(workflow={"calls": 2}))
    core.tell(Diverged("7.1", 1, "a step", "a nap"))
    assert kinds(core) == ["diverged"]
    assert core.running == ()


def test_an_end_that_the_server_cannot_read_keeps_no_other_from_being_told() -> None:
    core = connected(a_core())
    hear(core, an_offer())
    core.end(succeeded("7.1", "what the server cannot read"))
    core.refused("messages[0].output: no")
    core.disconnected()
    core.connected()
    assert said(core)[1]["ending"] == "SUCCEEDED"
    core.refused("messages[0].output: no")
    core.disconnected()
    core.connected()
    ended = said(core)[1]
    assert (ended["ending"], ended["retryable"]) == ("FAILED", False)
    assert "messages[0].output: no" in ended["error"]["message"]


def test_frames_hold_no_more_than_a_frame_may() -> None:
    texts = ["x" * 400_000] * 4 + [f"{number}" for number in range(2_500)]
    frames = list(wire.pack("s", (wire.encode(Ended("7.1", "SUCCEEDED", each)) for each in texts)))
    assert all(len(each.encode()) <= wire.LARGEST for each in frames)
    assert all(len(json.loads(each)["messages"]) <= wire.MOST for each in frames)
    outputs = [each["output"] for frame in frames for each in json.loads(frame)["messages"]]
    assert outputs == texts


def test_logs_are_said_again_after_a_cut_since_nobody_acknowledges_them() -> None:
    core = connected(a_core())
    hear(core, an_offer("7.1"), an_offer("8.1"))
    core.tell(Log("7.1", 0, "said and perhaps lost"))
    core.tell(Log("8.1", 0, "of one that is over"))
    said(core)
    core.end(succeeded("8.1", None))
    hear(core, {"type": "have", "attempts": ["8.1"]})
    core.disconnected()
    core.tell(Log("7.1", 21, "said to nobody"))
    core.tell(Progress("7.1", 10))
    core.tell(Progress("7.1", 20))
    core.connected()
    texts = [(each["type"], each.get("text") or each.get("percent")) for each in said(core)]
    assert texts[1:] == [
        ("log", "said and perhaps lost"),
        ("log", "said to nobody"),
        ("progress", 20),
    ]


def test_logs_that_nobody_can_be_told_are_bounded() -> None:
    core = a_core()
    for number in range(1, 200):
        hear(core, an_offer(f"{number}.1"))
        for _ in range(20):
            core.tell(Log(f"{number}.1", 0, "x" * 60_000))
    kept = core.printed.again()
    assert sum(map(len, kept)) == core.printed.total <= 17 << 20
    hear(core, *({"type": "forget", "attempt": f"{number}.1"} for number in range(1, 200)))
    assert core.printed.total == 0


def test_a_bye_to_whoever_the_server_cannot_name_is_heard() -> None:
    core = connected(a_core())
    [dismissed] = hear(core, a_bye(fenced=False), session="00000000-0000-0000-0000-000000000000")
    assert isinstance(dismissed, Dismissed)
