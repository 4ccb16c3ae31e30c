"""The one router of lists of runs."""

from fastapi import APIRouter

from ui.screen import Screen

router = APIRouter(route_class=Screen)
