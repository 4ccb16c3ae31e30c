"""Bounds that a server may set otherwise, for the request that is answered at the moment."""

from contextvars import ContextVar

from scheduler.settings import ServerSettings

LIMITS: ContextVar[ServerSettings] = ContextVar("limits", default=ServerSettings())  # noqa: B039


def within_page(limit: int) -> int:
    """As many as one page may hold; a validator, so that a refusal names the parameter."""
    most = LIMITS.get().page_limit
    if limit > most:
        raise ValueError(f"Input should be less than or equal to {most}")
    return limit
