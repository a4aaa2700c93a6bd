"""Every promise that a running stack can be asked about, in the order in which they are asked."""

from __future__ import annotations

from typing import Final

from floe_stack.checks import (
    cube,
    data,
    doors,
    generator,
    lake,
    observability,
    pods,
    releases,
    security,
    speed,
    totals,
)
from floe_stack.checks.finding import Question

# What there is comes first, what makes data before what looks at them, and speed and memory after the runs.
QUESTIONS: Final[tuple[Question, ...]] = (
    *pods.QUESTIONS,
    *releases.QUESTIONS,
    *doors.QUESTIONS,
    *cube.QUESTIONS,
    *data.QUESTIONS,
    *lake.QUESTIONS,
    *generator.QUESTIONS,
    *totals.QUESTIONS,
    *observability.QUESTIONS,
    *speed.QUESTIONS,
    *security.QUESTIONS,
    *pods.AFTER_RUNS,
)
