"""One epoll, and who is to be called for which descriptor."""

import select
from collections.abc import Callable

READABLE = select.EPOLLIN
BOTH = select.EPOLLIN | select.EPOLLOUT


class Poller:
    def __init__(self) -> None:
        self.epoll = select.epoll()
        self.handlers: dict[int, Callable[[int], None]] = {}

    def add(self, fd: int, handler: Callable[[int], None]) -> None:
        self.handlers[fd] = handler
        self.epoll.register(fd, READABLE)

    def change(self, fd: int, events: int) -> None:
        self.epoll.modify(fd, events)

    def forget(self, fd: int) -> None:
        del self.handlers[fd]
        self.epoll.unregister(fd)

    def wait(self, seconds: float) -> list[int]:
        return [fd for fd, _ in self.epoll.poll(seconds)]

    def dispatch(self, fds: list[int]) -> None:
        """A descriptor that an earlier handler closed is passed over."""
        for fd in fds:
            handler = self.handlers.get(fd)
            if handler is not None:
                handler(fd)
