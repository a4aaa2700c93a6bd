"""`floe stack port-forward`: all six doors open until Ctrl-C, with a table that shows how they are."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.table import Table

from floe_stack.connection import Connection
from floe_stack.doors import DOORS, Door
from floe_stack.forwards import Forward, Forwards, interruptible, require_free
from floe_stack.kubectl import Kubectl

LOOK_SECONDS: Final = 1.0
SILENT_SECONDS: Final = 5.0  # a door that does not answer for so long may lead to a pod that is gone
WAYS_IN: Final = {
    "cube_api": "Secret floe-cube: a JWT signed with api-secret",
    "cube_sql": "Secret floe-cube: sql-user, sql-password (make psql-cube)",
    "minio": "Secret floe-minio: rootUser, rootPassword",
}


@dataclass
class _Seen:
    """A forward and what its last looks showed."""

    forward: Forward
    answers: bool = False
    since: float = 0.0
    was_usable: bool = False

    def look(self) -> None:
        """Try the door; make its forward anew when it was silent for too long."""
        now, answers = time.monotonic(), self.forward.is_usable()
        if answers != self.answers or not self.since:
            self.answers, self.since = answers, now
        self.was_usable = self.was_usable or answers
        if not answers and now - self.since > SILENT_SECONDS:
            self.since = now
            self.forward.renew()

    @property
    def state(self) -> str:
        if self.answers:
            return "open"
        return "reconnecting" if self.was_usable else "waiting"

    @property
    def note(self) -> str:
        if not self.answers:
            return self.forward.last_words
        return WAYS_IN.get(self.forward.door.name, "")


def port_forward(connection: Connection, console: Console, doors: Sequence[Door] = DOORS) -> None:
    """Forward every door on its own port until Ctrl-C, SIGTERM or the terminal's end.

    Raises:
        StackError: A port is taken (before anything is started), or the cluster cannot be asked.
    """
    require_free(doors, connection.ports)
    kubectl = Kubectl(connection)
    kubectl.require_namespace()
    with interruptible(), Forwards(kubectl) as forwards:
        seen = [_Seen(forwards.open(door, door.local_port(connection.ports))) for door in doors]
        try:
            _watch(seen, console, f"namespace {connection.namespace} of {kubectl.context}")
        except KeyboardInterrupt:
            console.print("closing")


def _watch(seen: Sequence[_Seen], console: Console, where: str) -> None:
    shown: dict[str, str] = {}
    live = Live(get_renderable=lambda: _table(seen, where), console=console, auto_refresh=False)
    with ThreadPoolExecutor(len(seen)) as pool, live if console.is_terminal else nullcontext():
        while True:
            list(pool.map(_Seen.look, seen))
            if console.is_terminal:
                live.refresh()
            else:
                _say_what_changed(seen, shown, console)
            time.sleep(LOOK_SECONDS)


def _table(seen: Sequence[_Seen], where: str) -> Table:
    table = Table(
        box=None,
        padding=(0, 3, 0, 0),
        header_style="dim",
        caption=f"{where}; Ctrl-C closes all of them",
        caption_justify="left",
    )
    for column in ("Door", "Open in a browser or client", "State", ""):
        table.add_column(column)
    for one in seen:
        colour = "green" if one.answers else "yellow"
        address = one.forward.door.address(one.forward.port)
        table.add_row(one.forward.door.title, address, f"[{colour}]{one.state}[/]", one.note)
    return table


def _say_what_changed(seen: Sequence[_Seen], shown: dict[str, str], console: Console) -> None:
    """Off a terminal: a line when a door's state is another."""
    for one in seen:
        door = one.forward.door
        if shown.get(door.name) != one.state:
            shown[door.name] = one.state
            print(
                f"{door.title:<14} {door.address(one.forward.port):<36} {one.state:<12} {one.note}".rstrip(),
                file=console.file,
                flush=True,
            )
