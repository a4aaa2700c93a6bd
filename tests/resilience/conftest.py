"""A running stack that these tests break, and what is kept of each fault: seconds, messages, proof.

FLOE_RESILIENCE names the stack, whose build/<name>/connection.json is read; without it nothing is broken.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from floe_pipeline.verify.evidence import Check, write_evidence
from floe_stack.connection import load_connection
from floe_stack.measure import machine
from floe_stack.stack import Stack, open_stack

from .faults import wait_well

STACK = os.environ.get("FLOE_RESILIENCE", "")
EVIDENCE = Path("build/evidence/resilience.json")
FAULT_SECONDS = 400  # a fault, its healing and the proof

KEPT = pytest.StashKey[bool]()

_checks: list[Check] = []

Record = Callable[..., None]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Nothing here runs by accident: faults are for a stack that was named."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(FAULT_SECONDS))
            if not STACK:
                item.add_marker(pytest.mark.skip(reason="FLOE_RESILIENCE names no stack to break"))


@pytest.fixture(scope="session")
def running() -> Iterator[Stack]:
    """The stack; its forwards live as long as the session."""
    with open_stack(load_connection(STACK)) as opened:
        yield opened


@pytest.fixture
def stack(running: Stack) -> Stack:
    """The stack once all of it is well: a fault is judged alone."""
    wait_well(running)
    return running


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """Keeps what came of a fault; the test fails when it took longer than promised."""

    def keep(
        name: str, title: str, *, seconds: float, promise: float, ours: float | None = None, **seen: object
    ) -> None:
        known = {} if ours is None else {"ours": ours, "ours_met": seconds <= ours}
        evidence: dict[str, object] = {"promise": promise, **known, **seen, "machine": machine()}
        request.node.stash[KEPT] = True
        _checks.append(Check(name, title, seconds <= promise, round(seconds, 1), evidence))
        assert seconds <= promise, f"{title}: {seconds:.1f} s, promised {promise} s"

    return keep


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A fault that did not heal is in the evidence, too."""
    report = yield
    if report.failed and not item.stash.get(KEPT, False):
        said = [line for line in str(report.longrepr).splitlines() if line.startswith("E ")]
        _checks.append(Check(item.name, item.name, False, round(report.duration, 1), {"differences": said}))
    return report


def pytest_sessionfinish() -> None:
    """Leave the evidence."""
    if _checks:
        write_evidence("resilience", STACK, _checks, EVIDENCE)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """One table of all faults."""
    if not _checks:
        return
    table = Table("", "Fault", "Healed in", "Promise", "What a user sees meanwhile", box=None)
    for check in _checks:
        mark = "[green]✓[/]" if check.passed else "[red]✗[/]"
        promise = check.evidence.get("promise", "")
        table.add_row(
            mark,
            f"{check.id} {check.title}",
            f"{check.seconds:.0f} s",
            f"{promise} s",
            str(check.evidence.get("user_sees", "")),
        )
    terminalreporter.ensure_newline()
    Console(width=160).print(table)
    print(f"Evidence  {EVIDENCE}")
