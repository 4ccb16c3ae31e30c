"""Runs: every way to look at many of them, and to do something with many."""

from ui.pages.runs import page, saved, selections
from ui.pages.runs.routes import router
from ui.pages.runs.usual import LATEST, late

__all__ = ["LATEST", "late", "page", "router", "saved", "selections"]
