"""Histories of every feature, as they were kept once, are replayed from now on."""

import json
from pathlib import Path
from typing import Any

import pytest
import stories

from procession.testing import Diverged, replay
from procession.workflows import Workflow

HISTORIES = sorted((Path(__file__).parent / "histories").glob("*.json"))


def story(name: str) -> Workflow[Any, Any]:
    return next(
        each for each in vars(stories).values() if isinstance(each, Workflow) and each.name == name
    )


@pytest.mark.parametrize("path", HISTORIES, ids=[path.stem for path in HISTORIES])
def test_a_history_is_replayed_as_it_was(path: Path) -> None:
    history = json.loads(path.read_text())
    stories.CALLED.clear()
    workflow = story(history["workflow"])
    if history["error"] is None:
        assert replay(workflow, history) == workflow.read(history["output"])
    else:
        with pytest.raises(BaseException) as caught:  # noqa: PT011 - whatever it was
            replay(workflow, history)
        assert str(caught.value) == history["error"]["message"]
        assert not isinstance(caught.value, Diverged)
    assert stories.CALLED == []


@pytest.mark.parametrize("path", HISTORIES, ids=[path.stem for path in HISTORIES])
def test_a_history_that_is_cut_anywhere_is_replayed_so_far(path: Path) -> None:
    history = json.loads(path.read_text())
    orders = sorted(call["order"] for call in history["calls"] if "order" in call)
    for last in orders[:-1]:
        known = [call for call in history["calls"] if call.get("order", last + 1) <= last]
        replay(story(history["workflow"]), {**history, "calls": known})


def test_every_workflow_of_the_stories_has_a_history() -> None:
    names = {each.name for each in vars(stories).values() if isinstance(each, Workflow)}
    assert names == {json.loads(path.read_text())["workflow"] for path in HISTORIES}
