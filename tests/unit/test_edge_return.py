"""A fleet that was cut off comes back a few at a time, whatever the moment at which it may."""

import random

import pytest

from edge.agent.backoff import MOST, Windows
from edge.gateway.gateway import COMING_BACK
from tests.support.edge_fleet import most_in_a_second

AGENTS = 200
MOST_CONNECTS = 20  # in one second


def came_back(seed: int, away: float) -> list[float]:
    """The moments at which agents connect whose server is away for so long."""
    chance, moments = random.Random(seed), list[float]()
    for _ in range(AGENTS):
        windows, now = Windows(chance), 0.0
        windows.succeeded(AGENTS / COMING_BACK)
        while True:
            now += windows.next(now)
            if now >= away:
                moments.append(now)
                break
    return sorted(moments)


@pytest.mark.parametrize("away", [0.5, 5.0, 30.0, 300.0])
def test_two_hundred_agents_connect_at_twenty_a_second_at_most(away: float) -> None:
    for seed in range(20):
        assert most_in_a_second(came_back(seed, away)) <= MOST_CONNECTS


def test_a_try_is_never_further_away_than_the_longest_window_and_the_rest_of_one() -> None:
    windows, now = Windows(random.Random(1)), 0.0
    windows.succeeded(1.0)
    for _ in range(50):
        wait = windows.next(now)
        assert 0 <= wait <= 2 * 2**MOST
        now += wait
