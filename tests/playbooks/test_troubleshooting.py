"""Links to the documentation lead somewhere, and docs/troubleshooting.md quotes what the code really says."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from floe_stack import faults

CHECKOUT = Path(__file__).parents[2]
PAGE = CHECKOUT / "docs/troubleshooting.md"
# What speaks to users. Tests and molecule only repeat what these say.
SPEAKERS = ("roles", "playbooks", "charts", "pipeline/src", "scripts", "inventory")
TEXT = {".py", ".yml", ".yaml", ".j2", ".tpl", ".txt", ".md", ".sql"}
GAP = "…"  # what differs from case to case, in a quotation and in the code's own templates
LEAST = 7  # letters that a quotation has to share with the code, so that it is more than gaps


def _files() -> Iterator[Path]:
    yield CHECKOUT / "Makefile"
    yield CHECKOUT / "README.md"
    yield from (CHECKOUT / "docs").glob("*.md")
    for folder in SPEAKERS:
        found = sorted((CHECKOUT / folder).rglob("*"))
        yield from (path for path in found if path.suffix in TEXT and path.is_file())


@cache
def _anchors(page: Path) -> set[str]:
    """Headings of a page as GitHub makes anchors of them."""
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def _leads_nowhere(page: Path, anchor: str) -> bool:
    return not page.exists() or bool(anchor and anchor not in _anchors(page))


def test_every_mention_of_a_page_leads_somewhere() -> None:
    mention = re.compile(r"(?<![\w/.])docs/([\w-]+\.md)(?:#([\w-]+))?")
    found = [(path, *match) for path in _files() for match in mention.findall(path.read_text())]
    assert any(anchor for *_, anchor in found), "the code links to no heading any more"
    wrong = [
        f"{path.relative_to(CHECKOUT)}: docs/{page}#{anchor}"
        for path, page, anchor in found
        if _leads_nowhere(CHECKOUT / "docs" / page, anchor)
    ]
    assert not wrong


def test_every_relative_link_leads_somewhere() -> None:
    link = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([\w-]+))?\)")
    wrong = [
        f"{path.relative_to(CHECKOUT)}: {target}#{anchor}"
        for path in _files()
        if path.suffix == ".md"
        for target, anchor in link.findall(path.read_text())
        if _leads_nowhere((path.parent / target).resolve() if target else path, anchor)
    ]
    assert not wrong


def test_every_remedy_of_a_release_is_a_heading(release_state: ModuleType) -> None:
    named = {value for name, value in vars(release_state).items() if name.startswith("REMEDY_")}
    assert named | set(release_state.HOPELESS_WAITING.values()) <= _anchors(PAGE)


def test_a_deploy_and_the_doctor_send_to_the_same_heading(release_state: ModuleType) -> None:
    crash = {"CrashLoopBackOff": release_state.REMEDY_CRASH}
    assert release_state.HOPELESS_WAITING | crash == faults.WAITING


def _quotations() -> list[str]:
    """Lines of the page's blocks that are marked `text`: messages as they are printed."""
    blocks = re.findall(r"^```text\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def _messages(source: str) -> Iterator[str]:
    """Texts in Python source, one for each f-string or constant, with gaps for what is filled in."""
    nodes = list(ast.walk(ast.parse(source)))
    comments = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}  # docstrings
    for node in nodes:
        if id(node) in comments:
            continue
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else GAP for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.fixture(scope="module")
def said() -> str:
    """Everything that the code can say, a message or a line of a file each."""
    found: set[str] = set()
    for path in _files():
        if path.suffix == ".py":
            found.update(line for text in _messages(path.read_text()) for line in text.splitlines())
        elif path.suffix != ".md":
            found.update(path.read_text().splitlines())
    return "\n".join(found)


@pytest.mark.parametrize("quotation", _quotations())
def test_what_is_quoted_is_what_the_code_says(quotation: str, said: str) -> None:
    assert len(re.sub(rf"[{GAP}\W]", "", quotation)) >= LEAST, "too little to be found by"
    pattern = ".*".join(re.escape(part.strip()) for part in quotation.split(GAP))
    assert re.search(pattern, said), "no message of the code reads like this"
