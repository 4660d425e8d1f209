"""Separate hosts on one machine: network namespaces on a switch, and silent cuts between them.

Needs root, `ip` and `nft`. The switch lies in a namespace of its own, so nothing touches the machine's
own network. A packet between two hosts that are cut is dropped: no error, no reset.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

NETWORK = "10.77.0"
_RULES = """
table bridge part {
  set cut { type ifname . ifname; }
  chain links { type filter hook forward priority 0; policy accept; iifname . oifname @cut drop; }
}
"""


def why_not() -> str:
    """Return the reason why this machine cannot create hosts, or ""."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if missing := [name for name in ("ip", "nft") if shutil.which(name) is None]:
        return f"not installed: {', '.join(missing)}"
    probe = f"wt{os.getpid()}x"
    if subprocess.run(["ip", "netns", "add", probe], capture_output=True).returncode:
        return "network namespaces are not allowed here"
    rules = subprocess.run(
        ["ip", "netns", "exec", probe, "nft", "-f", "-"],
        input=_RULES,
        text=True,
        capture_output=True,
    )
    subprocess.run(["ip", "netns", "del", probe], capture_output=True)
    return "" if rules.returncode == 0 else "nft has no bridge tables here"


class Hosts:
    """Namespaces by name, each with one address."""

    def __init__(self, names: Sequence[str]) -> None:
        """Take the names; nothing is made yet."""
        self._names = list(names)
        # Interface names have 15 letters at most.
        self._prefix = f"w{os.getpid() % 100_000}"

    def address(self, name: str) -> str:
        """Return the address of a host."""
        return f"{NETWORK}.{10 + self._names.index(name)}"

    def inside(self, name: str, *command: str) -> list[str]:
        """Return the command line that runs `command` on a host."""
        return ["ip", "netns", "exec", self._space(name), *command]

    def _space(self, name: str) -> str:
        return f"{self._prefix}-{name}"

    def _port(self, name: str) -> str:
        return f"p{self._names.index(name)}"

    @contextmanager
    def up(self) -> Iterator["Hosts"]:
        """Create the namespaces; remove them at the end."""
        try:
            self._make()
            yield self
        finally:
            for name in [*self._names, "switch"]:
                subprocess.run(["ip", "netns", "del", self._space(name)], capture_output=True)

    def _make(self) -> None:
        switch = self._space("switch")
        _ip("netns", "add", switch)
        _ip("-n", switch, "link", "add", "bridge0", "type", "bridge")
        _ip("-n", switch, "link", "set", "bridge0", "up")
        for name in self._names:
            space, port = self._space(name), self._port(name)
            _ip("netns", "add", space)
            pair = ("type", "veth", "peer", "name", port, "netns", switch)
            _ip("link", "add", "eth0", "netns", space, *pair)
            _ip("-n", space, "addr", "add", f"{self.address(name)}/24", "dev", "eth0")
            for link in ("lo", "eth0"):
                _ip("-n", space, "link", "set", link, "up")
            _ip("-n", switch, "link", "set", port, "master", "bridge0")
            _ip("-n", switch, "link", "set", port, "up")
        self._nft("-f", "-", rules=_RULES)

    def cut(self, one: str, other: str) -> None:
        """Drop every packet between two hosts."""
        ways = [(self._port(one), self._port(other)), (self._port(other), self._port(one))]
        elements = ", ".join(f'"{here}" . "{there}"' for here, there in ways)
        self._nft("add", "element", "bridge", "part", "cut", f"{{ {elements} }}")

    def heal(self) -> None:
        """Drop no packet any more."""
        self._nft("flush", "set", "bridge", "part", "cut")

    def _nft(self, *arguments: str, rules: str = "") -> None:
        command = self.inside("switch", "nft", *arguments)
        subprocess.run(command, check=True, text=True, capture_output=True, input=rules)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
