"""Starting a runner: its folder, its lock, its guard; then the loop until it is done.

`python -m executor.runner SPOOL` stays in the foreground, as a unit of its own;
`executor.link.ensure_runner` starts one beside a worker, with `--detach`.
"""

import argparse
import fcntl
import os
import resource
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from executor import guard, secret_files, spool
from executor.loop import Runner
from executor.spawn import UNIGNORED

SLOTS = 8
IDLE_EXIT = 60.0
DESCRIPTORS_PER_SLOT = 6
LOCK_PATIENCE = 10.0  # a former runner's guard may still be ending its commands


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="procession runner", description="Own the commands of a worker, and outlive it."
    )
    parser.add_argument("spool", type=Path, help="folder of its own, made if it is not there")
    parser.add_argument("--slots", type=int, default=SLOTS, help="commands at the same time")
    parser.add_argument(
        "--idle-exit",
        type=float,
        metavar="SECONDS",
        help="end after this long without a worker and without commands",
    )
    parser.add_argument("--quota", type=int, default=spool.QUOTA, help="bytes of output on disk")
    parser.add_argument("--detach", action="store_true", help="return as soon as it listens")
    options = parser.parse_args(argv)
    if options.slots < 1:
        parser.error("--slots: give at least one")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    options = parse(argv)
    try:
        folder = spool.prepare(options.spool)
        if not take_lock(folder, options.spool, may_be_there=options.detach):
            return 0
    except spool.SpoolRefused as error:
        print(error, file=sys.stderr)
        return 1
    if not options.detach:
        serve(options, folder, ready=None)
    read, write = os.pipe2(os.O_CLOEXEC)
    if os.fork():
        os.close(write)
        return 0 if os.read(read, 1) else 1
    os.close(read)
    os.setsid()
    serve(options, folder, ready=write)


def serve(options: argparse.Namespace, folder: int, ready: int | None) -> NoReturn:
    keep_to_ourselves()
    forget_signals()
    make_room(options.slots)
    orphaned = []
    signal.signal(guard.GUARD_DIED, lambda *_: orphaned.append(True))
    secret_files.clear(folder)
    guard.split(lambda: secret_files.clear(folder))
    runner = Runner(folder, slots=options.slots, idle_exit=options.idle_exit, quota=options.quota)
    if orphaned:
        runner.lose_guard()
    if ready is not None:
        write_to_log(folder)
        os.write(ready, b"1")
        os.close(ready)
    runner.run()
    if runner.is_orphan:
        guard.kill_children()
    sys.stderr.flush()
    os._exit(0)


def take_lock(folder: int, path: Path, *, may_be_there: bool) -> bool:
    """Held by runner and guard: while it is, commands of the former ones may still live.

    With `may_be_there`, False where another runner is found to be listening.
    """
    lock = os.open("runner.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=folder)
    until = time.monotonic() + LOCK_PATIENCE
    while time.monotonic() < until:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if may_be_there and is_listening(folder):
                return False
            time.sleep(0.01)
        else:
            return True
    raise spool.SpoolRefused(f"{path}: another runner holds this folder; stop it, or give another")


def is_listening(folder: int) -> bool:
    try:
        spool.connect(folder).close()
    except OSError:
        return False
    return True


def keep_to_ourselves() -> None:
    """Whatever the starter left open, commands do not get it; nor its folder or its mask."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and os.path.exists(f"/proc/self/fd/{name}"):
            os.set_inheritable(int(name), False)
    os.chdir("/")
    os.umask(0o077)
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))


def forget_signals() -> None:
    """What the starter ignored or blocked would stay so in every command."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in signal.valid_signals() - set(UNIGNORED):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def make_room(slots: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 256 + slots * DESCRIPTORS_PER_SLOT
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def write_to_log(folder: int) -> None:
    """From here on nobody reads what we print; the last runner's log is kept, no more."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    log = os.open("log", flags, 0o600, dir_fd=folder)
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    for number, target in ((0, null), (1, log), (2, log)):
        os.dup2(target, number)
    os.close(log)
    os.close(null)


if __name__ == "__main__":
    sys.exit(main())
