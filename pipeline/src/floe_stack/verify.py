"""`floe stack verify`: every promise, one after another; what cannot be looked at has failed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

from floe_pipeline.verify.evidence import Check, write_evidence
from floe_stack.checks.finding import Finding, Question
from floe_stack.stack import Stack

EVIDENCE: Final = Path("evidence/verify-stack.json")


def run_questions(
    stack: Stack,
    questions: Iterable[Question],
    *,
    begins: Callable[[str], None] = lambda _: None,
    done: Callable[[Check], None] = lambda _: None,
) -> list[Check]:
    """Look at all promises.

    Args:
        stack: The stack.
        questions: What to look at, in order.
        begins: Takes what is looked at next.
        done: Takes each check when it was made.

    Returns:
        A check a promise. Its evidence holds what was seen as `seen`, and whether our own target is met as
        `ours_met`.
    """
    checks = []
    for question in questions:
        begins(next(iter(question.promises.values())))
        began = time.perf_counter()
        try:
            findings = list(question.look(stack))
        except Exception as error:  # whatever it is: a promise that could not be looked at is not kept
            findings = [_could_not_look(error)] * len(question.promises)
        seconds = time.perf_counter() - began
        for (name, title), finding in zip(question.promises.items(), findings, strict=True):
            check = Check(name, title, finding.passed, round(seconds, 3), _evidence(finding))
            checks.append(check)
            done(check)
    return checks


def _could_not_look(error: Exception) -> Finding:
    said = str(error).strip().partition("\n")[0] or "no message"
    reason = said if type(error).__module__.startswith("floe_") else f"{type(error).__name__}: {said}"
    return Finding(False, "could not be looked at", {"differences": [reason]})


def _evidence(finding: Finding) -> dict[str, object]:
    ours = {} if finding.ours_met is None else {"ours_met": finding.ours_met}
    return {"seen": finding.seen, **ours, **finding.evidence}


def verify(stack: Stack, console: Console, out: Path, wanted: Iterable[str] = ()) -> list[Check]:
    """Look at promises, show each as it is answered, and leave evidence.

    Args:
        stack: The stack.
        console: Where the table goes.
        out: Folder of the evidence.
        wanted: Ids, or beginnings of ids; none for all.
    """
    from floe_stack.checks import QUESTIONS  # noqa: PLC0415  # DuckDB, pyiceberg

    chosen = [each for each in QUESTIONS if _is_wanted(each, tuple(wanted))]
    checks = run_questions(
        stack,
        chosen,
        begins=stack.say if console.is_terminal else lambda _: None,  # elsewhere the checks themselves tell
        done=lambda check: show_check(console, check),
    )
    path = out / EVIDENCE
    write_evidence("verify-stack", stack.connection.target, checks, path)
    failed = [check for check in checks if not check.passed]
    targets = [check.evidence["ours_met"] for check in checks if "ours_met" in check.evidence]
    console.print(
        f"\n{len(checks) - len(failed)} of {len(checks)} promises hold;"
        f" {sum(map(bool, targets))} of {len(targets)} of our own targets met"
    )
    if failed:
        console.print(f"Failed: {', '.join(check.id for check in failed)}", style="red")
    console.print(f"Evidence  {path}")
    return checks


def _is_wanted(question: Question, wanted: tuple[str, ...]) -> bool:
    return not wanted or any(name.startswith(wanted) for name in question.promises)


def show_check(console: Console, check: Check) -> None:
    """The check, below it what was seen, and below a failed one a line for each thing that is wrong."""
    mark = "[bold green]✓[/]" if check.passed else "[bold red]✗[/]"
    missed = check.passed and check.evidence.get("ours_met") is False
    console.print(
        f"{mark} [bold]{check.id:<15}[/] {check.seconds:6.1f} s  ", Text(check.title), soft_wrap=True
    )
    console.print(
        Text(f"{'':<28}{check.evidence['seen']}", style="yellow" if missed else "dim"), soft_wrap=True
    )
    differences = check.evidence.get("differences")
    for difference in differences if isinstance(differences, list) else ():
        console.print(Text(f"{'':<28}{difference}", style="red"), soft_wrap=True)
