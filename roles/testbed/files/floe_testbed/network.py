"""The node's network: a namespace of its own, joined to this machine by one cable and to nothing else.

The namespace belongs to the supervisor's processes and goes with them; only the cable's near end and two
routes are on this machine's side.
"""

from __future__ import annotations

import ipaddress
import json
import subprocess
import time
from pathlib import Path

from .layout import (
    HOST_ADDRESS,
    HOST_LINK,
    LINK_NET,
    LINK_PREFIX,
    NODE_ADDRESS,
    NODE_LINK,
    POD_NET,
    SERVICE_NET,
    TestbedError,
)

# Answers may leave over the cable, new connections may not: no pod reaches a service of this machine.
_NO_WAY_OUT = f"""
table inet floe_testbed {{
  chain leaving {{ type filter hook postrouting priority 300; oifname "{NODE_LINK}" ct state new drop; }}
}}
"""


def run(*argv: str, text: str | None = None) -> str:
    """Runs a command and returns what it printed; raises TestbedError with its own words if it fails."""
    done = subprocess.run(  # noqa: S603 - callers give whole command lines of ours
        argv, input=text, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise TestbedError(f"`{' '.join(argv)}` failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def connect_node(host_namespace: Path) -> None:
    """Inside the node's namespace: lays the cable to this machine's and sets up the node's end."""
    run("ip", "link", "set", "lo", "up")
    host = str(host_namespace)
    run("ip", "link", "add", NODE_LINK, "type", "veth", "peer", "name", HOST_LINK, "netns", host)
    run("ip", "address", "add", f"{NODE_ADDRESS}/{LINK_PREFIX}", "dev", NODE_LINK)
    run("ip", "link", "set", NODE_LINK, "up")
    # The node's own calls to a service need a route before kube-proxy's rules turn them to a pod.
    run("ip", "route", "add", SERVICE_NET, "dev", NODE_LINK, "src", NODE_ADDRESS)
    for key, value in {
        "net/ipv4/ip_forward": "1",
        "net/ipv4/conf/all/route_localnet": "1",  # node ports on 127.0.0.1
        "net/bridge/bridge-nf-call-iptables": "1",  # a service's pod may be on the caller's own bridge
    }.items():
        (Path("/proc/sys") / key).write_text(value)
    run("nft", "-f", "-", text=_NO_WAY_OUT)


def connect_host(seconds: float = 10) -> None:
    """On this machine: waits for the cable, then sets up its near end and the routes to pods and services."""
    deadline = time.monotonic() + seconds
    while not (Path("/sys/class/net") / HOST_LINK).exists():
        if time.monotonic() > deadline:
            raise TestbedError(f"the node's link {HOST_LINK} did not appear within {seconds:.0f} s")
        time.sleep(0.02)
    run("ip", "address", "replace", f"{HOST_ADDRESS}/{LINK_PREFIX}", "dev", HOST_LINK)
    run("ip", "link", "set", HOST_LINK, "up")
    for net in (POD_NET, SERVICE_NET):
        run("ip", "route", "replace", net, "via", NODE_ADDRESS, "dev", HOST_LINK)


def disconnect_host() -> None:
    """Removes the cable, and with it the routes over it; does nothing when there is none."""
    link = Path("/sys/class/net") / HOST_LINK
    if link.exists():
        try:
            run("ip", "link", "delete", HOST_LINK)
        except TestbedError:
            if link.exists():  # otherwise it went with the node's namespace while we looked
                raise


def clashes() -> list[str]:
    """Returns this machine's routes, other than our own, that overlap the testbed's networks."""
    ours = [ipaddress.ip_network(net) for net in (LINK_NET, POD_NET, SERVICE_NET)]
    found = []
    for route in json.loads(run("ip", "-json", "-4", "route", "show", "table", "all")):
        if route["dst"] == "default" or route.get("dev") == HOST_LINK:
            continue
        if any(ipaddress.ip_network(route["dst"]).overlaps(net) for net in ours):
            found.append(f"{route['dst']} dev {route.get('dev', '?')}")
    return found
