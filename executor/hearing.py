"""Listens to what a command prints, for what it says about itself and for what its output is."""

import time

from executor.outputs import OF_STDOUT, Tail
from executor.report import Report
from executor.reserved import LONGEST, Lines, nowhere


class Hearing:
    """Both streams may hold reserved lines; the output is made of what else is on stdout."""

    def __init__(self, form: str):
        self.form = form
        self.report = Report()
        self.stdout = Tail()
        rest = self.stdout.feed if form in OF_STDOUT else nowhere
        self.streams = [Lines(self.hear, self.complain, each) for each in (rest, nowhere)]

    def feed(self, stream: int, data: bytes) -> None:
        self.streams[stream].feed(data)

    def finish(self) -> None:
        for lines in self.streams:
            lines.flush()

    def hear(self, line: bytes) -> None:
        self.report.hear(line, time.monotonic())

    def complain(self) -> None:
        self.report.note(f"a reserved line longer than {LONGEST} bytes was passed over")
