"""E4: a port that is taken is said, with its owner, before anything is forwarded."""

from __future__ import annotations

import os
import socket
import subprocess
import time

from floe_stack.stack import Stack

from .conftest import STACK, Record

PROMISE = 20


def test_a_taken_port_is_said_before_any_forward_starts(running: Stack, record: Record) -> None:
    port = running.connection.ports.cube_sql
    with socket.create_server(("127.0.0.1", port)):
        began = time.monotonic()
        done = subprocess.run(
            [".venv/bin/floe", "stack", "port-forward", "--target", STACK],
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.monotonic() - began
    said = done.stderr.strip()
    assert done.returncode == 1
    assert f"port {port} of 127.0.0.1, for " in said
    assert f"pid {os.getpid()}" in said or "python" in said
    assert f"floe_ports: {{cube_sql: {port + 1}}}" in said
    assert "Forwarding" not in done.stdout
    record("E4", "A port is taken", seconds=seconds, promise=PROMISE, user_sees=said)
