"""A task with its attempts, and what each printed: by byte range, of any size, searched, live."""

from ui.pages.logs import attempts, downloads, page, streams
from ui.pages.logs.routes import router

__all__ = ["attempts", "downloads", "page", "router", "streams"]
