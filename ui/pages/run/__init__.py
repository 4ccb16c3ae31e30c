"""One run: what it does, why it waits, what it left, and what can be done about it.

`verbs` comes last: its address takes any word.
"""

from ui.pages.run import compare, contents, logs, pictures, related, retrying, tasks, verbs
from ui.pages.run.routes import router

__all__ = [
    "compare",
    "contents",
    "logs",
    "pictures",
    "related",
    "retrying",
    "router",
    "tasks",
    "verbs",
]
