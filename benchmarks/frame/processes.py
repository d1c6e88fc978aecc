"""What processes take: CPU time and memory, as Linux accounts for them (proc(5))."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
_KIB: Final = 1_024


class Cpu(NamedTuple):
    """CPU seconds of a process, all its threads together."""

    user: float
    system: float

    @property
    def total(self) -> float:
        return self.user + self.system

    def __sub__(self, earlier: Cpu) -> Cpu:
        return Cpu(self.user - earlier.user, self.system - earlier.system)


class Reading(NamedTuple):
    """Where everything stood at one moment."""

    at: float
    """By the monotonic clock."""
    processes: Mapping[str, Cpu]
    machine: float
    """CPU seconds that the whole machine was busy, whoever it was."""


def read(pids: Mapping[str, int]) -> Reading:
    """Processes that are gone are left out."""
    found = {name: used for name, pid in pids.items() if (used := cpu(pid)) is not None}
    return Reading(time.monotonic(), found, _machine_busy())


def between(earlier: Reading, later: Reading) -> dict[str, Cpu]:
    """What each took meanwhile; what was not there earlier began with nothing."""
    return {name: used - earlier.processes.get(name, Cpu(0, 0)) for name, used in later.processes.items()}


def cores_of_others(earlier: Reading, later: Reading) -> float:
    """How many cores were busy meanwhile with what is not ours: a figure from a busy machine says less."""
    ours = sum(used.total for used in between(earlier, later).values())
    return max(0.0, (later.machine - earlier.machine - ours) / (later.at - earlier.at))


def cpu(pid: int) -> Cpu | None:
    """Of the process so far; None where it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return Cpu(int(fields[11]) / _TICKS_PER_SECOND, int(fields[12]) / _TICKS_PER_SECOND)


def peak_memory(pid: int) -> int | None:
    """The most memory that the process ever had resident (VmHWM), in bytes; None where it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text("utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return next((int(line.split()[1]) * _KIB for line in status.splitlines() if line.startswith("VmHWM:")), None)


def _machine_busy() -> float:
    """Everything but idle, waiting for disks, and what a hypervisor gave to other machines."""
    user, nice, system, _idle, _waiting, irq, soft_irq, *_ = map(
        int, Path("/proc/stat").read_text("ascii").split("\n", 1)[0].split()[1:]
    )
    return (user + nice + system + irq + soft_irq) / _TICKS_PER_SECOND
