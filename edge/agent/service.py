"""What the system's service manager is told: that we are ready, and that our own loop turns.

The watchdog proves what happens on this machine. Whether a server can be reached is no illness: a
workstation without a network works on, and must not be started anew for that.
"""

import os
import socket
from collections.abc import Mapping

SOCKET, WATCHDOG = "NOTIFY_SOCKET", "WATCHDOG_USEC"


class Service:
    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self.address = environment.get(SOCKET, "")
        microseconds = environment.get(WATCHDOG, "")
        self.every = int(microseconds) / 3e6 if microseconds.isdigit() else None
        self.due = 0.0
        self.status = ""

    def ready(self) -> None:
        self.tell("READY=1")

    def stopping(self) -> None:
        self.tell("STOPPING=1")

    def turned(self, now: float) -> None:
        """Said by the loop that decides, in its own turn: nobody else can vouch for it."""
        if self.every is not None and now >= self.due:
            self.due = now + self.every
            self.tell("WATCHDOG=1")

    def says(self, status: str) -> None:
        if status != self.status:
            self.status = status
            self.tell(f"STATUS={status}")

    def tell(self, text: str) -> None:
        if not self.address:
            return
        at = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as peer:
                peer.sendto(text.encode(), at)
        except OSError:
            pass  # whoever listened has gone; a watchdog will find out by itself
