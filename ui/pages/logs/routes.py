"""The one router of what there is to see of a task and its logs."""

from typing import Annotated

from fastapi import APIRouter, Path

from ui.screen import Screen

router = APIRouter(prefix="/runs/{run}/tasks/{task}", route_class=Screen)

Task = Annotated[str, Path(min_length=1, max_length=63)]
Number = Annotated[int, Path(alias="attempt", ge=1, le=2**31 - 1)]
