"""What belongs to programs with an SDK is no other worker's."""

import pytest
from pydantic import ValidationError

from edge.remote.dispatch import RESERVED
from scheduler.settings import OF_PROGRAMS, WorkerSettings


@pytest.mark.parametrize("queue", [f"{mark}resize" for mark in RESERVED])
def test_no_worker_of_commands_serves_their_queues(queue: str) -> None:
    with pytest.raises(ValidationError, match="programs with an SDK"):
        WorkerSettings(queues=(queue,))


def test_no_worker_of_commands_has_a_name_of_theirs() -> None:
    with pytest.raises(ValidationError, match="programs with an SDK"):
        WorkerSettings(name="remote:press")
    assert WorkerSettings(name="press").name == "press"


def test_both_say_the_same_of_what_is_reserved() -> None:
    assert OF_PROGRAMS == RESERVED
