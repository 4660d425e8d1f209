"""Silent cuts on loopback: packets to and from one port are dropped, neither refused nor answered.

The harness runs in a network namespace of its own, which has only the loopback interface, so that no
rule touches the machine's network. Needs root and `nft`.
"""

import ctypes
import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import psutil

from fault_injection.faults import Felt, Question, soon
from fault_injection.site import Site

_CLONE_NEWNET: Final = 0x40000000
# Connections that were open during a cut and stay silent after it, as (client port, server port). An
# entry ends after a minute: each side has closed its connection by then, and ports are used again.
_FORGOTTEN: Final = """
table inet forgotten {
  set flows { type inet_service . inet_service; flags timeout; timeout 60s; }
  chain input {
    type filter hook input priority 0;
    tcp sport . tcp dport @flows drop
    tcp dport . tcp sport @flows drop
  }
}
"""
_CUT: Final = """
table inet cut{port} {{
  chain input {{
    type filter hook input priority 0;
    tcp dport {port} counter drop
    tcp sport {port} counter drop
  }}
}}
"""


def enter_own_network() -> bool:
    """Move this process into a network namespace of its own; return whether that was possible.

    Call it before any thread or child process starts: those that exist stay where they are.
    """
    tools = [shutil.which(name) for name in ("ip", "nft")]
    if os.geteuid() != 0 or None in tools or ctypes.CDLL(None).unshare(_CLONE_NEWNET) != 0:
        return False
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    return _rules(_FORGOTTEN)


@contextmanager
def cut(site: Site, dice: random.Random, *, port: Callable[[Site], int]) -> Iterator[Question]:
    """Drop every packet to and from a port; half of the times open connections stay silent.

    The fault counts if a packet of the service was dropped: the harness itself does not use the port.
    """
    number = port(site)
    if not _rules(_CUT.format(port=number)):
        raise OSError(f"nft did not take the rules for port {number}")
    forgets, flows = dice.random() < 0.5, _open_flows(number)
    try:
        yield lambda: Felt(soon(lambda: _dropped(number) > 0))
    finally:
        forgotten = ", ".join(flows if forgets else ())
        also = f"add element inet forgotten flows {{ {forgotten} }}\n" if forgotten else ""
        if not _rules(f"{also}delete table inet cut{number}\n"):
            raise OSError(f"nft did not remove the rules for port {number}")


def _open_flows(port: int) -> list[str]:
    return [
        f"{each.laddr.port} . {port}"
        for each in psutil.net_connections("tcp")
        if each.raddr and each.raddr.port == port and each.status == psutil.CONN_ESTABLISHED
    ]


def _dropped(port: int) -> int:
    command = ["nft", "-j", "list", "table", "inet", f"cut{port}"]
    listing = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    rules = [each["rule"]["expr"] for each in listing["nftables"] if "rule" in each]
    return sum(part["counter"]["packets"] for rule in rules for part in rule if "counter" in part)


def _rules(script: str) -> bool:
    done = subprocess.run(["nft", "-f", "-"], input=script, text=True, capture_output=True)
    return done.returncode == 0
