"""Shell blocks of the documentation, as things to run.

A comment in the line before a block says when it is not simply run from top to bottom:

    <!-- shell: until Ctrl-C -->       each line is a command of its own that lasts until it is interrupted
    <!-- shell: not run: REASON -->    it cannot be run on the testbed, and why
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PAGES: Final = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
NOTE: Final = re.compile(r"<!-- shell: (until Ctrl-C|not run: .+) -->")
BLOCK: Final = re.compile(
    r"(?:^(?P<note><!-- shell:[^\n]*-->)\n)?^```sh\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class ShellBlock:
    """One block.

    Attributes:
        page: Its file, from the root of the repository.
        line: Where it begins.
        text: What a reader would paste.
        lasts: Whether each of its lines runs until it is interrupted.
        reason: Why it cannot be run; empty when it can.
    """

    page: str
    line: int
    text: str
    lasts: bool
    reason: str

    @property
    def commands(self) -> list[str]:
        """Its lines without their comments."""
        return [re.sub(r"\s+# .*$", "", line) for line in self.text.splitlines() if line.strip()]

    @property
    def ports(self) -> list[int]:
        """Ports of this machine that its comments send a reader to."""
        return [int(port) for port in re.findall(r"//(?:localhost|127\.0\.0\.1):(\d+)", self.text)]


def shell_blocks(page: Path) -> Iterator[ShellBlock]:
    """The blocks of a page, in its order.

    Raises:
        ValueError: A comment that says neither of the two things.
    """
    text = page.read_text()
    for found in BLOCK.finditer(text):
        line = text.count("\n", 0, found.start("text"))
        where = f"{page.relative_to(ROOT)}:{line}"
        note = NOTE.fullmatch(found["note"] or "")
        if found["note"] and not note:
            raise ValueError(f"{where}: {found['note']} is neither 'until Ctrl-C' nor 'not run: REASON'")
        said = note[1] if note else ""
        yield ShellBlock(
            page=str(page.relative_to(ROOT)),
            line=line,
            text=found["text"],
            lasts=said == "until Ctrl-C",
            reason=said.removeprefix("not run: ") if said.startswith("not run: ") else "",
        )
