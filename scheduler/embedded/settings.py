"""How our own PostgreSQL is set: for a small machine, many short statements, and no lost commit."""

import os
from collections.abc import Mapping
from pathlib import Path

MiB = 1 << 20
CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")
SMALLEST, LARGEST = 32 * MiB, 512 * MiB


def shared_buffers(memory: int) -> int:
    """An eighth: the rest is for the page cache, the commands and whatever else runs here."""
    return min(max(memory // 8, SMALLEST), LARGEST)


def memory_of_machine() -> int:
    """What there is, or less where a container may have no more."""
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        allowed = CONTAINER_LIMIT.read_text().strip()
    except OSError:
        return installed
    return min(installed, int(allowed)) if allowed.isdigit() else installed


def settings(memory: int, logs: Path, sockets: Path) -> Mapping[str, str]:
    """Given on the command line, so that a line in postgresql.conf cannot weaken them."""
    return {
        # Reached through a folder that is closed to others, and not from the network.
        "listen_addresses": "",
        "port": "5432",
        "unix_socket_directories": str(sockets),
        "unix_socket_permissions": "0700",
        "password_encryption": "scram-sha-256",
        # A commit that was acknowledged is on the disk.
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        # Pools of a few servers and workers, and room for backups and people with psql.
        "max_connections": "200",
        "shared_buffers": f"{shared_buffers(memory) // MiB}MB",
        "effective_cache_size": f"{memory // 2 // MiB}MB",
        # Statements of a millisecond: compiling them or starting helpers costs more than it gives.
        "jit": "off",
        "max_parallel_workers_per_gather": "0",
        "random_page_cost": "1.1",
        # Reads are served by memory; the worker processes of 18 would only sit there.
        "io_method": "sync",
        # The task table turns over all the time: dead rows go soon, in small doses.
        "autovacuum_naptime": "10s",
        # Recovery after a power cut reads at most this much.
        "max_wal_size": "1GB",
        # A week of logs, each day over that of a week ago.
        "logging_collector": "on",
        "log_directory": str(logs),
        "log_filename": "postgresql-%a.log",
        "log_rotation_age": "1d",
        "log_rotation_size": "0",
        "log_truncate_on_rotation": "on",
        "log_line_prefix": "%m [%p] %a: ",
        "timezone": "UTC",
        "log_timezone": "UTC",
    }


def arguments(values: Mapping[str, str]) -> list[str]:
    return [part for name, value in values.items() for part in ("-c", f"{name}={value}")]
