"""Sends OpenLineage events from threads that no run waits for, in the order in which they were told."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import RunEvent
from openlineage.client.transport.file import FileConfig, FileTransport
from openlineage.client.transport.http import HttpConfig, HttpTransport

from floe_pipeline.settings import Settings, variable
from floe_pipeline.telemetry.process_end import at_process_end

logger = logging.getLogger(__name__)

REQUEST_SECONDS: Final = 2.0
FLUSH_SECONDS: Final = 10.0
QUIET_SECONDS: Final = 60.0  # how long nothing is sent to a collector that did not take an event

_Events = Callable[[], Iterable[RunEvent]]

_waiting: list[tuple[Settings, _Events]] = []
_sending: list[threading.Thread] = []
_quiet_until: dict[str, float] = {}


def send(settings: Settings, events: _Events, *, now: bool = False) -> None:
    """Make events and send them in the order of the calls; returns at once.

    Args:
        settings: Where events go.
        events: Makes them; called in the thread that sends them.
        now: Begin at once. Otherwise `flush` begins, at the latest as the process ends: making dbt's events
            takes a second of Python, which the run's own work would have to share.
    """
    if settings.lineage == "off":
        return
    at_process_end(flush)
    _waiting.append((settings, events))
    if now:
        _begin()


def flush(timeout: float = FLUSH_SECONDS) -> bool:
    """Send what waits to be sent, for at most `timeout` seconds.

    Returns:
        Whether all were sent or given up.
    """
    deadline = time.monotonic() + timeout
    _begin()
    for thread in list(_sending):
        thread.join(max(0.0, deadline - time.monotonic()))
        if not thread.is_alive():
            _sending.remove(thread)
    return not _sending


def _begin() -> None:
    while _waiting:
        settings, events = _waiting.pop(0)
        before = _sending[-1] if _sending else None
        arguments = (settings, events, before)
        thread = threading.Thread(target=_send, args=arguments, name="floe-lineage", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the interpreter is ending and starts no thread any more
            _send(*arguments)
        else:
            _sending.append(thread)


def _send(settings: Settings, events: _Events, before: threading.Thread | None) -> None:
    if before:
        before.join()
    where = (
        f"{variable('lineage_url')}={settings.lineage_url}"
        if settings.lineage == "http"
        else f"{variable('lineage_file')}={settings.lineage_file}"
    )
    if time.monotonic() < _quiet_until.get(where, 0):
        return
    try:
        client = _client(settings)
        for event in events():
            client.emit(event)
    except Exception as error:  # whatever it is, the data is committed and the run has gone on
        _quiet_until[where] = time.monotonic() + QUIET_SECONDS
        logger.warning("lineage is lost: %s: %s: %s", where, type(error).__name__, error)


def _client(settings: Settings) -> OpenLineageClient:
    if settings.lineage == "file":
        path = settings.lineage_file.expanduser()
        path.parent.mkdir(parents=True, exist_ok=True)
        return OpenLineageClient(transport=FileTransport(FileConfig(str(path), append=True)))
    http = HttpConfig(settings.lineage_url, timeout=REQUEST_SECONDS, retry={"total": 0})
    return OpenLineageClient(transport=HttpTransport(http))
