"""A question is asked until its answer is right; a connection that breaks off is tried again."""

from __future__ import annotations

import httpx
import pytest

from floe_stack.patience import patiently, until


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


def test_the_first_answer_that_is_right_is_taken() -> None:
    answers = [1, 2, 3, 4]
    assert until(lambda: answers.pop(0), lambda answer: answer > 2, seconds=5, every=0) == 3
    assert answers == [4]


def test_in_the_end_the_last_answer_is_given_as_it_is() -> None:
    answers = iter(range(1_000_000))
    assert until(lambda: next(answers), lambda _: False, seconds=-1, every=0) == 0
    assert until(lambda: next(answers), lambda _: False, seconds=0.02, every=0.001) > 1
