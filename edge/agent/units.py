"""Units for systemd: the agent's, and one for its runner, so that commands outlive the agent.

The agent may do little: it speaks with the server and with the runner, and writes into its folder.
What commands may do is the owner's policy's, so the runner's unit takes less away.
"""

import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

AGENT, RUNNER = "procession-edge.service", "procession-edge-runner.service"
FOLDER = Path("/etc/systemd/system")
WATCHDOG = 60  # seconds
PLAIN = re.compile(r"[A-Za-z0-9_@+=:,./-]+")

RUNNER_UNIT = """\
[Unit]
Description=Commands of this Procession workstation
Documentation=man:systemd.service(5)
StartLimitIntervalSec=0

[Service]
ExecStart={command} edge runner --slots {slots} -- {spool}
User={user}
Restart=always
RestartSec=1
KillMode=mixed
TimeoutStopSec=90
OOMPolicy=continue
UMask=0077
LockPersonality=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
{privileges}
[Install]
WantedBy=multi-user.target
"""

AGENT_UNIT = """\
[Unit]
Description=Procession workstation
Documentation=man:systemd.service(5)
Wants={runner} network-online.target
After={runner} network-online.target
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
WatchdogSec={watchdog}
ExecStart={command} edge run --attach --home {home}
User={user}
Restart=always
RestartSec=2
UMask=0077
CapabilityBoundingSet=
LockPersonality=yes
NoNewPrivileges=yes
PrivateDevices=yes
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=read-only
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectSystem=strict
ReadWritePaths={folder}
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True, slots=True)
class Units:
    agent: str
    runner: str


def units(home: Path, user: str, slots: int) -> Units:
    privileges = "" if user == "root" else "NoNewPrivileges=yes\n"
    told = {
        "command": " ".join(map(argument, command())),
        "home": argument(str(home)),
        "spool": argument(str(home / "runner")),
        "folder": quoted(str(home)),
        "privileges": privileges,
        "runner": RUNNER,
        "slots": slots,
        "user": user,
        "watchdog": WATCHDOG,
    }
    return Units(AGENT_UNIT.format(**told), RUNNER_UNIT.format(**told))


def command() -> list[str]:
    """As we were installed: the script beside our interpreter, or the interpreter itself."""
    script = Path(sys.executable).with_name("procession")
    return [str(script)] if script.exists() else [sys.executable, "-m", "scheduler"]


def quoted(word: str) -> str:
    """A path as systemd reads it: `%` is its own."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return word if PLAIN.fullmatch(word) else f'"{escaped}"'


def argument(word: str) -> str:
    """A word of a command: there `$` is systemd's own as well."""
    return quoted(word).replace("$", "$$")


def write(units: Units, folder: Path = FOLDER) -> list[Path]:
    placed = []
    for name, text in ((RUNNER, units.runner), (AGENT, units.agent)):
        path = folder / name
        path.write_text(text)
        path.chmod(0o644)
        placed.append(path)
    return placed


def give_to(home: Path, user: str) -> None:
    """Its folder belongs to whom it runs as."""
    shutil.chown(home, user)
    for place, folders, files in os.walk(home):
        for name in (*folders, *files):
            path = Path(place, name)
            if not path.is_symlink():
                shutil.chown(path, user)
