"""The documentation's commands, run as a reader would paste them, on the full stack in the testbed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator

import pytest

from .shell_blocks import PAGES, ROOT, ShellBlock, shell_blocks

BLOCKS = [block for page in PAGES for block in shell_blocks(page)]
on_stack = pytest.mark.skipif(
    "FLOE_DOCS_TESTS" not in os.environ, reason="needs the stack in the testbed: make test-docs"
)


def named(block: ShellBlock) -> str:
    return f"{block.page}:{block.line}"


def reader() -> dict[str, str]:
    """Environment of a reader whose local Kubernetes is the testbed."""
    testbed = ROOT / "build" / "testbed"
    path = f"{ROOT}/.venv-tools/bin:{testbed}/bin:{os.environ['PATH']}"
    chosen = {"TARGET": "testbed", "ANSIBLE_INVENTORY": "inventory/testbed"}
    return {**os.environ, **chosen, "KUBECONFIG": f"{testbed}/kubeconfig", "PATH": path}


def run(command: str, seconds: float = 240) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=ROOT,
        env=reader(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        check=False,
    )


@on_stack
@pytest.mark.parametrize("block", [b for b in BLOCKS if not b.reason and not b.lasts], ids=named)
def test_a_block_runs_from_top_to_bottom(block: ShellBlock) -> None:
    done = run(block.text)

    assert done.returncode == 0, f"{done.stdout}\nexit code {done.returncode} of\n{block.text}"


def lasting() -> Iterator[object]:
    for block in BLOCKS:
        if block.lasts:
            for number, command in enumerate(block.commands):
                yield pytest.param(block, number, id=f"{named(block)}-{command}")


@on_stack
@pytest.mark.parametrize(("block", "number"), list(lasting()))
def test_a_lasting_command_works_and_ends_with_ctrl_c(block: ShellBlock, number: int) -> None:
    line = [line for line in block.text.splitlines() if line.strip()][number]
    one = ShellBlock(block.page, block.line, line, lasts=True, reason="")
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            ["env", "--default-signal=INT", "bash", "-c", one.commands[0]],  # whatever our caller ignores
            cwd=ROOT,
            env=reader(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            wait_until_used(process, one, output.fileno())
            os.killpg(process.pid, signal.SIGINT)
            ended = process.wait(10)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        output.seek(0)
        said = output.read()

    assert ended in (0, 2, 130, -signal.SIGINT), f"{said}\nexit code {ended} of {line}"
    assert "Traceback" not in said


def wait_until_used(process: subprocess.Popen[bytes], block: ShellBlock, output: int) -> None:
    """Until every port that it names accepts, or without a port until it has said something."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, f"{block.text} ended by itself with {process.returncode}"
        if all(accepts(port) for port in block.ports) if block.ports else os.fstat(output).st_size > 0:
            return
        time.sleep(0.2)
    raise AssertionError(f"{block.text}: nothing to be seen within 60 s")


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_what_is_not_run_is_the_exception() -> None:
    left_out = [f"{named(block)}: {block.reason}" for block in BLOCKS if block.reason]

    assert len(BLOCKS) > 20
    assert len(left_out) < len(BLOCKS) / 2, "\n".join(left_out)
