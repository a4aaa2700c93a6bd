"""What a look at one promise found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from floe_stack.stack import Stack


@dataclass(frozen=True)
class Finding:
    """One promise, looked at.

    Attributes:
        passed: Whether the promise holds.
        seen: What was seen, as a few words for the table.
        evidence: The numbers behind it; `differences` holds a line for each thing that is wrong.
        ours_met: Whether our own, tighter target holds too; None where there is none.
    """

    passed: bool
    seen: str
    evidence: dict[str, object] = field(default_factory=dict)
    ours_met: bool | None = None


@dataclass(frozen=True)
class Question:
    """Promises that one look answers.

    Attributes:
        promises: Their ids in the specification, with the promise as a sentence.
        look: Answers them, in that order; an exception fails all of them with its message.
    """

    promises: Mapping[str, str]
    look: Callable[[Stack], Sequence[Finding]]


def judged(wrong: Sequence[str], seen: str, **evidence: object) -> Finding:
    """A finding that holds when nothing is wrong."""
    return Finding(not wrong, seen, {**evidence, "differences": list(wrong)})


def within(value: float, *, promise: float, ours: float, unit: str, seen: str, **evidence: object) -> Finding:
    """A measurement against the promise, which decides, and our own target, which is told.

    Args:
        value: What was measured.
        promise: What it must be below.
        ours: What we want it to be below.
        unit: Of all three.
        seen: Words for the table.
        evidence: The measurements.
    """
    wrong = [] if value < promise else [f"{value:.2f} {unit} is not below the promised {promise:g} {unit}"]
    return Finding(
        not wrong,
        f"{seen}; ours {'met' if value < ours else 'not met'} (< {ours:g} {unit})",
        {**evidence, "unit": unit, "promise": promise, "ours": ours, "differences": wrong},
        ours_met=value < ours,
    )
