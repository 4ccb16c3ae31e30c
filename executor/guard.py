"""The guard: the runner's parent, which outlives it by the moment it takes to end its commands.

Both are sub-reapers, so whatever loses its parent becomes the runner's child, and the guard's
when the runner is gone. Whoever is left kills its children until it has none.
"""

import contextlib
import ctypes
import os
import signal
from collections.abc import Callable
from typing import NoReturn

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38

GUARD_DIED = signal.SIGUSR2


def prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def adopt_orphans() -> None:
    prctl(PR_SET_CHILD_SUBREAPER, 1)


def forbid_new_privileges() -> None:
    prctl(PR_SET_NO_NEW_PRIVS, 1)


def split(afterwards: Callable[[], None]) -> None:
    """Go on in a child, the runner, while the caller becomes its guard and never returns; when
    nothing of the runner is left, the guard does what is to be done afterwards.

    The runner must have a handler for GUARD_DIED before; it is also raised if the guard died
    before the kernel was asked to tell.
    """
    adopt_orphans()
    guard = os.getpid()
    runner = os.fork()
    if runner:
        watch(runner, afterwards)
    prctl(PR_SET_PDEATHSIG, GUARD_DIED)
    if os.getppid() != guard:
        os.kill(os.getpid(), GUARD_DIED)
    adopt_orphans()


def watch(runner: int, afterwards: Callable[[], None]) -> NoReturn:
    """Wait for the runner's end, then end what it left."""
    close_all_but_locks()
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL if number == signal.SIGCHLD else signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: pass_on(runner))
    signal.signal(GUARD_DIED, signal.SIG_IGN)
    status = 0
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, 0)
            if pid == runner:
                break
    kill_children()
    with contextlib.suppress(Exception):
        afterwards()
    os._exit(0 if status == 0 else 1)


def pass_on(runner: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(runner, signal.SIGTERM)


def close_all_but_locks() -> None:
    """The guard needs nothing open but the lock, which says that commands may still live."""
    null = os.open("/dev/null", os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    os.close(null)


def kill_children() -> None:
    """Until none is left: each death hands us the children of the dead."""
    me = os.getpid()
    while True:
        with open(f"/proc/{me}/task/{me}/children") as file:
            for child in file.read().split():
                os.kill(int(child), signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return
