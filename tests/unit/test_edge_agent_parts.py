"""Small parts of the agent, each by itself."""

import random
from collections import Counter
from pathlib import Path

import pytest

from edge import wire
from edge.agent import allowing, orders, packing, units
from edge.agent.backoff import Windows
from edge.agent.book import Job, MemoryBook
from edge.agent.core import Agent, Profile, Rules, SendLog, Steer
from edge.agent.hands import logs
from edge.agent.home import Config, check_url, read_config
from edge.agent.machine import Meter, facts
from edge.agent.policy import parse
from edge.agent.upkeep import next_minute
from edge.messages import Frame, Lane, Log, Offer, Phase, Verb, Welcome
from executor.link import Chunk, Piece

# When to try again.


def keyless() -> None:
    """A workstation that no secret can be sealed to."""


def tries(seed: int, until: float, spread: float) -> list[float]:
    windows, now, found = Windows(random.Random(seed)), 0.0, list[float]()
    windows.succeeded(spread)
    while now < until:
        now += windows.next(now)
        found.append(now)
    return found


def test_a_fleet_that_was_cut_off_comes_back_at_twenty_a_second_at_most_on_average() -> None:
    spread = 200 / 20
    first = Counter(int(tries(seed, 1.0, spread)[0]) for seed in range(200))
    assert sum(first.values()) == 200
    assert max(first) < spread
    assert max(first.values()) <= 40  # of one second; they are thrown, not dealt


@pytest.mark.parametrize("seed", range(20))
def test_there_is_one_try_in_each_window_and_windows_grow_to_sixty_four_times(seed: int) -> None:
    begins = [0.0, 1.0, 3.0, 7.0, 15.0, 31.0, 63.0, 127.0, 191.0, 255.0]
    found = tries(seed, 255.0, 1.0)
    for moment, begin, end in zip(found, begins, begins[1:], strict=False):
        assert begin <= moment < end


# Frames.


def test_what_is_too_much_for_one_frame_goes_in_several_in_order() -> None:
    said = [Log("1.1", n << 16, bytes(1 << 16), 0) for n in range(40)]
    texts = packing.texts(7, said)
    assert len(texts) > 1
    assert all(len(each.encode()) <= wire.LARGEST for each in texts)
    frames = [wire.decode(each) for each in texts]
    assert [each for frame in frames for each in frame.messages] == said
    assert {frame.session for frame in frames} == {7}
    assert wire.decode(packing.frame(3, [])) == Frame(3, ())


# Logs.


def test_a_log_tells_streams_apart_and_says_where_it_has_a_gap() -> None:
    chunks = (Chunk("1.1", "out", 10, b"abc"), Chunk("1.1", "err", 100, b"d"))
    piece = Piece("1.1", 10, chunks, 200, known=True)
    found = logs(piece, SendLog("1.1", 10, 64, last=False))
    assert [(each.offset, each.data, each.stream, each.gap) for each in found] == [
        (10, b"abc", 1, 0),
        (13, b"", 1, 87),
        (100, b"d", 2, 0),
    ]


def test_a_log_that_nobody_has_any_more_comes_to_its_end() -> None:
    [end] = logs(Piece("1.1", 5, (), 90, known=True), SendLog("1.1", 5, 64, last=False))
    assert (end.offset, end.gap) == (5, 85)
    [lost] = logs(Piece("1.1", 5, (), None, known=False), SendLog("1.1", 5, 64, last=True))
    assert (lost.offset, lost.gap) == (5, 64)


# Alone.


def an_agent_with(on_lost: str) -> Agent:
    agent = Agent(MemoryBook("b"), Profile(slots=2), Rules(alone=60.0))
    agent.book.put_job(Job(Offer("1.1", {}, on_lost=on_lost), Phase.RUNNING))
    return agent


def greeted(agent: Agent, now: float) -> None:
    agent.connect(now, now)
    nothing = (0,) * len(Lane)
    welcome = Welcome(agent.link.greeting if agent.link else 0, 1, 1, now, (), nothing, nothing)
    agent.receive(Frame(1, (welcome,)), now, now)


def test_what_shall_not_go_on_alone_is_stopped_once_a_minute_after_the_server_was_last_heard() -> (
    None
):
    agent = an_agent_with("stop")
    greeted(agent, 100.0)
    assert not [each for each in agent.tick(101.0, 101.0) if isinstance(each, Steer)]
    agent.disconnect()
    assert agent.tick(159.9, 159.9) == []
    assert agent.tick(161.0, 161.0) == [Steer("1.1", Verb.STOP)]
    assert agent.tick(162.0, 162.0) == []


def test_an_agent_that_has_just_been_started_waits_a_minute_for_the_server_too() -> None:
    agent = an_agent_with("stop")
    assert agent.tick(5000.0, 0.0) == []
    assert agent.tick(5059.0, 0.0) == []
    assert agent.tick(5060.0, 0.0) == [Steer("1.1", Verb.STOP)]


def test_what_may_go_on_alone_does_so_for_as_long_as_it_takes() -> None:
    agent = an_agent_with("wait")
    agent.tick(0.0, 0.0)
    assert agent.tick(10 * 24 * 3600.0, 0.0) == []


# Orders.


@pytest.mark.parametrize(
    "attempt", ["../1.1", "1", "1.1/..", "a b.1", "", "x" * 200, "1.1\n", "/etc/passwd.1"]
)
def test_what_names_no_attempt_becomes_no_path(attempt: str) -> None:
    with pytest.raises(orders.Unable):
        orders.command(Offer(attempt, {"argv": ["true"]}), keyless)


@pytest.mark.parametrize(
    "invocation",
    [
        {"argv": ["true"], "sealed": "x"},
        {"argv": ["true"], "cwd": 7},
        {"argv": []},
        {"argv": "true"},
        {"argv": ["true"], "env": {"A": 1}},
        {"argv": ["true"], "surprise": 1},
    ],
)
def test_an_order_that_is_not_understood_is_refused(invocation: dict[str, object]) -> None:
    with pytest.raises(orders.Unable):
        orders.invocation(orders.command(Offer("1.1", invocation), keyless), None)


def test_a_command_outlives_the_lease_whatever_the_server_says() -> None:
    given = {"argv": ["/bin/true"], "on_lost": "retry", "env": {"PROCESSION_RUN": "r"}}
    command = orders.command(Offer("1.1", given), keyless)
    assert orders.invocation(command, Path("/work")).on_lost == "wait"
    assert orders.invocation(command, Path("/work")).cwd == "/work"
    assert orders.examined(command)["env"] == {}


def test_a_program_without_a_path_is_the_systems_own() -> None:
    command = orders.command(Offer("1.1", {"argv": ["sh", "-c", "x"]}), keyless)
    assert command["argv"][0] in ("/usr/bin/sh", "/bin/sh")
    named = orders.command(Offer("1.1", {"argv": ["no-such-program-here"]}), keyless)
    assert named["argv"] == ["no-such-program-here"]


# The folder, the owner's file, units.


@pytest.mark.parametrize("url", ["https://a.example", "https://a.example:8/p/", "http://[::1]:80"])
def test_a_server_is_spoken_to_by_tls_or_here(url: str) -> None:
    assert check_url(url) == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    ["http://a.example", "ftp://a.example", "https://u:p@a.example", "a.example", "https://a/?t=1"],
)
def test_anything_else_is_no_servers_address(url: str) -> None:
    with pytest.raises(ValueError, match=r"is no address|holds no user|is not encrypted"):
        check_url(url)


@pytest.mark.parametrize(
    "told",
    [[], {}, {"server": "https://a", "name": "p", "carrier": "pigeon"}, {"name": "p"}]
    + [{"server": "https://a", "name": "p", "slots": slots} for slots in (0, True, "4", 1001)],
)
def test_settings_that_are_wrong_are_named(told: object) -> None:
    with pytest.raises(ValueError, match=r"^(an object|server|name|carrier|slots)\b"):
        read_config(told)
    assert read_config({"server": "https://a", "name": "p", "new": 1}).name == "p"


def test_a_policy_that_is_begun_allows_what_was_named_and_stays_its_owners(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    assert allowing.begin(path, ["sh"])
    written = parse(path.read_bytes())
    assert {"/bin/sh", "/usr/bin/sh"} & {each.program for each in written.rules}
    assert all(each.shell for each in written.rules)
    before = path.read_bytes()
    assert not allowing.begin(path, [])
    assert path.read_bytes() == before


def test_units_keep_the_runner_apart_and_words_whole() -> None:
    made = units.units(Path("/var/lib/a b%c"), "press", 8)
    assert '--home "/var/lib/a b%%c"' in made.agent
    assert "Type=notify" in made.agent
    assert "User=press" in made.runner
    assert "NoNewPrivileges=yes" in made.runner
    assert "Requires=" not in made.agent
    assert "NoNewPrivileges" not in units.units(Path("/h"), "root", 8).runner


# What a machine tells of itself.


def test_each_workstation_measures_at_its_own_moment_of_the_minute() -> None:
    moments = {next_minute(f"press-{n}", 1_000_000.0) for n in range(200)}
    assert all(1_000_000.0 < each <= 1_000_060.0 for each in moments)
    assert len(moments) > 40
    assert next_minute("press-7", next_minute("press-7", 0.0)) == next_minute("press-7", 0.0) + 60


def test_measures_are_plain_numbers(tmp_path: Path) -> None:
    found = Meter(tmp_path).look()
    assert {"load", "memory_total", "memory_free", "disk_free"} <= found.keys()
    assert all(type(each) in (int, float) for each in found.values())
    assert wire.plain(facts())["processors"] >= 1
    assert Config(server="https://a", name="p").carrier == "auto"
