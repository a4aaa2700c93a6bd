"""A connection that breaks off is tried again; an answer is taken as it is."""

from __future__ import annotations

import httpx
import pytest

from floe_stack.patience import patiently


def test_what_broke_off_is_asked_again() -> None:
    tries = [httpx.RemoteProtocolError("gone"), httpx.ConnectError("refused"), httpx.Response(503)]

    def ask() -> httpx.Response:
        found = tries.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    assert patiently(ask).status_code == 503
    assert tries == []


def test_in_the_end_the_error_is_told() -> None:
    def ask() -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(httpx.ConnectError, match="refused"):
        patiently(ask, seconds=0)
