"""The one router of what there is to see of a run."""

from fastapi import APIRouter

from ui.screen import Screen

router = APIRouter(prefix="/runs/{run}", route_class=Screen)

SHOWN = 100  # tasks, events or children on one page
