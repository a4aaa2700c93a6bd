"""What is up, since when, and why not: read from what the supervisor writes and from containerd."""

from __future__ import annotations

import json
import time
from typing import Any

from . import cgroups, cluster, containers, preflight
from .layout import LOGS, STATUS_FILE, TestbedError


def daemon_states() -> dict[str, dict[str, Any]]:
    """Returns the supervisor's last word on each daemon; empty when there is none."""
    try:
        states: dict[str, dict[str, Any]] = json.loads(STATUS_FILE.read_text())
    except FileNotFoundError:
        return {}
    return states


def report(images: list[containers.ImageArchive]) -> dict[str, Any]:
    """Returns the state of the testbed: `{"up": bool, "lines": [text for a person]}`."""
    ours = preflight.owner()
    if ours is None:
        return {"up": False, "lines": ["testbed: down (`make testbed-up` starts it)"]}
    running = cgroups.processes(cgroups.DAEMONS)
    states = daemon_states()
    lines = [
        f"testbed: of {ours.checkout}, cgroup {cgroups.version()}, kubeconfig {ours.kubeconfig}, logs {LOGS}"
    ]
    if not running:
        lines.append(
            "  its processes are gone: `make testbed-up` starts a new one, `make testbed-down` clears it away"
        )
    up = bool(running) and bool(states)
    for name, state in states.items():
        works = state["up"] and state["pid"] in running
        up = up and works
        lines.append(f"  {name:<24} {_daemon_line(state) if works else 'DOWN: ' + (state['why'] or 'gone')}")
    try:
        there = containers.present() if running else {}
    except TestbedError as error:
        there = {}
        lines.append(f"  images: not known ({error})")
    if up:
        lines += [f"  {line}" for line in cluster.describe(ours)]
    lines.append(f"images: {sum(image.ref in there for image in images)} of {len(images)} in the node")
    lines += [
        f"  {'present' if image.ref in there else 'MISSING':<8} {image.size >> 20:>5} MiB  {image.ref}"
        for image in sorted(images, key=lambda image: image.ref)
    ]
    return {"up": up and all(image.ref in there for image in images), "lines": lines}


def _daemon_line(state: dict[str, Any]) -> str:
    since = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(state["since"]))
    text = f"up since {since}, pid {state['pid']}"
    if state["restarts"]:
        text += f", started again {state['restarts']} times (last end: {state['last_end']})"
    return text
