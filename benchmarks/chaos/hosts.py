"""Hosts on one machine: network namespaces, each with an address, joined by a bridge; any of them can be cut off.

    with Hosts("host-1", "host-2") as hosts:
        subprocess.Popen([*hosts.place("host-1").inside, "nats-server", …])
        hosts.cut("host-1")
        hosts.mend("host-1")

What is sent to or from a host that is cut off vanishes: nothing is refused or reset, connections hang, as in a partition. The
process that made them reaches them under their addresses. Needs root, iproute2 (`ip`) and a kernel that lets us.
"""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

_MEANT_FOR_TESTS: Final = IPv4Network("198.18.0.0/15")
"""RFC 2544: no network uses these addresses."""
_PREFIX: Final = 28
"""Of the network that the hosts share: 14 addresses."""
_SWITCH: Final = "switch"
"""The namespace of the bridge."""
_OURS: Final = "ours"
"""The port of whoever made the hosts."""
_numbers: Final = itertools.count(1)


class HostsRefused(Exception):
    """No hosts can be made here."""


class Place(NamedTuple):
    """Where a process runs."""

    address: str = "127.0.0.1"
    inside: tuple[str, ...] = ()
    """What its command line begins with, to get there."""

    @property
    def program(self) -> tuple[str, ...]:
        """That of Jetpost there (`jetpost.supervisor.Component`)."""
        return (*self.inside, sys.executable, "-P", "-m", "jetpost")


HERE: Final = Place()


def lacking() -> str:
    """Why no hosts can be made here, and what to do; empty where they can."""
    try:
        with Hosts("probe"):
            return ""
    except HostsRefused as error:
        return str(error)


class Hosts:
    """Use it as a context manager; at its end whatever still runs in the hosts is killed, and they are gone."""

    def __init__(self, *names: str) -> None:
        """Raises `HostsRefused`."""
        if shutil.which("ip") is None:
            raise HostsRefused("hosts of one's own need iproute2: install that package (it brings the command `ip`)")
        self._id = f"{os.getpid()}-{next(_numbers)}"
        self._link = f"jp{self._id}"
        self._names = names
        self._addresses = dict(zip((*names, _OURS), map(str, _unused_network().hosts()), strict=False))

    def place(self, name: str) -> Place:
        return Place(self._addresses[name], ("ip", "netns", "exec", self._namespace(name)))

    def cut(self, name: str) -> None:
        """Returns when the host is alone."""
        _ip(self._namespace(_SWITCH), f"link set {name} nomaster")

    def mend(self, name: str) -> None:
        """Returns when others can be reached again. Harmless where it was not cut off."""
        _ip(self._namespace(_SWITCH), f"link set {name} master bridge")

    def __enter__(self) -> Self:
        try:
            _sweep()
            self._make()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._remove()

    def _make(self) -> None:
        switch = self._namespace(_SWITCH)
        _ip("", f"netns add {switch}", *(f"netns add {self._namespace(name)}" for name in self._names))
        _ip(switch, "link add bridge type bridge", "link set bridge up")
        for name in self._names:
            _ip("", f"link add {name} netns {switch} type veth peer eth0 netns {self._namespace(name)}")
            self._join(name, self._namespace(name), "eth0")
        _ip("", f"link add {self._link} type veth peer {_OURS} netns {switch}")
        self._join(_OURS, "", self._link)

    def _join(self, port: str, namespace: str, device: str) -> None:
        """The device gets its address, and its other end, a port of the switch, is plugged in."""
        own = self._addresses[port]
        others = [address for address in self._addresses.values() if address != own]
        _ip(
            namespace,
            "link set lo up",
            f"link set {device} address {_mac(own)}",
            f"addr add {own}/{_PREFIX} dev {device}",
            f"link set {device} up",
            # Known for ever: whoever is cut off would else be told after some seconds that a host is unreachable.
            *(f"neigh replace {other} lladdr {_mac(other)} dev {device} nud permanent" for other in others),
        )
        _ip(self._namespace(_SWITCH), f"link set {port} master bridge", f"link set {port} up")

    def _remove(self) -> None:
        for name in (*self._names, _SWITCH):
            _delete(self._namespace(name))
        with contextlib.suppress(HostsRefused):
            _run("link", "delete", self._link)

    def _namespace(self, name: str) -> str:
        return f"jetpost-{self._id}-{name}"


def _sweep() -> None:
    """Remove the hosts of runs that were killed."""
    for namespace in re.findall(r"^jetpost-\d+-\S+", _run("netns", "list"), re.MULTILINE):
        if not Path("/proc", namespace.split("-")[1]).exists():
            _delete(namespace)


def _delete(namespace: str) -> None:
    """With all that runs there. Harmless where it is gone."""
    with contextlib.suppress(HostsRefused):
        for pid in _run("netns", "pids", namespace).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        _run("netns", "delete", namespace)


def _mac(address: str) -> str:
    """An Ethernet address of our own (locally administered), made of an IPv4 one."""
    return ":".join(f"{byte:02x}" for byte in b"\x02\x00" + IPv4Address(address).packed)


def _unused_network() -> IPv4Network:
    """One that this machine has no address in."""
    taken = [
        ipaddress.ip_network(f"{address['local']}/{address['prefixlen']}", strict=False)
        for link in json.loads(_run("-json", "-4", "address"))
        for address in link.get("addr_info", ())
    ]
    while True:
        first = random.randrange(0, _MEANT_FOR_TESTS.num_addresses, 2 ** (32 - _PREFIX))
        network = IPv4Network((int(_MEANT_FOR_TESTS.network_address) + first, _PREFIX))
        if not any(network.overlaps(other) for other in taken):
            return network


def _ip(namespace: str, *commands: str) -> None:
    """Carry out commands of `ip` in a network namespace; empty: in ours."""
    _run(*(("-n", namespace) if namespace else ()), "-batch", "-", given="\n".join(commands))


def _run(*arguments: str, given: str = "") -> str:
    done = subprocess.run(["ip", *arguments], input=given, capture_output=True, text=True, check=False)
    if done.returncode:
        raise HostsRefused(
            "this machine does not let us make hosts (network namespaces, which need root and CAP_NET_ADMIN and"
            f" CAP_SYS_ADMIN in a container): ip {' '.join(arguments)}: {done.stderr.strip()}"
        )
    return done.stdout
