"""Requests that come at the same time are answered together: whoever comes while an answer is under
way goes with the next one. There is no timer, so whoever comes alone waits for nobody."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from scheduler.domain.errors import Unavailable

Q = TypeVar("Q")
A = TypeVar("A")

Answers = Callable[[Sequence[Q]], Awaitable[Sequence[A | Exception]]]


class Together(Generic[Q, A]):
    """`answer` takes questions and gives as many answers in their order; an exception among them
    is one question's own, an exception raised is everybody's."""

    def __init__(self, answer: Answers[Q, A], *, most: int) -> None:
        self._answer = answer
        self._most = most
        self._waiting: deque[tuple[Q, asyncio.Future[A]]] = deque()
        self._arrived = asyncio.Event()
        self._lanes = 0

    async def ask(self, question: Q) -> A:
        if not self._lanes:
            raise Unavailable("the server is starting or stopping")
        answer: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        self._arrived.set()
        return await answer

    async def work(self) -> None:
        """One lane; with several, as many answers are under way at once."""
        self._lanes += 1
        try:
            while True:
                await self._arrived.wait()
                if batch := self._take():
                    await self._settle(batch)
        finally:
            self._lanes -= 1
            if not self._lanes:
                self._send_away()

    def _take(self) -> list[tuple[Q, asyncio.Future[A]]]:
        """The next ones; nothing is begun for those who have left."""
        count = min(self._most, len(self._waiting))
        batch = [self._waiting.popleft() for _ in range(count)]
        if not self._waiting:
            self._arrived.clear()
        return [each for each in batch if not each[1].done()]

    async def _settle(self, batch: Sequence[tuple[Q, asyncio.Future[A]]]) -> None:
        try:
            answers = await self._answer([question for question, _ in batch])
        except Exception as error:
            answers = [error] * len(batch)
        except asyncio.CancelledError:
            self._waiting.extend(batch)
            raise
        for (_, future), answer in zip(batch, answers, strict=True):
            settle(future, answer)

    def _send_away(self) -> None:
        while self._waiting:
            _, future = self._waiting.popleft()
            settle(future, Unavailable("the server is stopping"))


def settle(future: asyncio.Future[A], answer: A | Exception) -> None:
    if future.done():
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
