"""OAuth2 tokens that expire while Cube and runs hold them: they get new ones, and nobody notices."""

from __future__ import annotations

import time

import httpx

from floe_pipeline.lake.management import fetch_token, http_client
from floe_stack.dagster import GENERATE_JOB, SUCCESS
from floe_stack.generate import generate
from floe_stack.lake import ledger_totals
from floe_stack.observed import trace
from floe_stack.stack import PIPELINE_SECRET, Stack

from .conftest import Record
from .faults import ORDERS, ask_cube, asleep, eventually, fresh_question, healed, restarts

LONGEST = 60  # seconds that a token may live for this test to take its time
EXPIRIES = 2  # and one more while a run sleeps
MANY = 40_000  # orders: a batch that takes some seconds to append
PROMISE = 60
PARTS = ("cube", "dagster-code", "dagster-daemon", "dagster-webserver", "floe-keeper", "polaris")


def test_tokens_expire_in_mid_session(stack: Stack, record: Record) -> None:
    before, session = {part: restarts(stack, part) for part in PARTS}, stack.lake()
    asked, runs, lifetime = 0, [], 0
    for _ in range(EXPIRIES):
        token, lifetime = _take_token(stack)
        asked += _outlive(stack, token)
        runs.append(generate(stack, orders=ORDERS).run.id)  # Cube counts them, and never answers an error
        assert ledger_totals(session.tables())["orders"].rows == stack.cube.number("Orders.count")
    runs.append(slept := _run_that_sleeps(stack))
    began = time.monotonic()
    proof = healed(stack, began)
    assert all(stack.dagster.run(run).status == SUCCESS for run in runs)
    assert {part: restarts(stack, part) for part in PARTS} == before, "a pod was restarted"
    record(
        "E2 tokens",
        "OAuth2 tokens expire in mid-session: DuckDB and pyiceberg renew theirs",
        promise=PROMISE,
        token_seconds=lifetime,
        expiries=EXPIRIES + 1,
        asked_past_the_cache=asked,
        runs=runs,
        slept=slept,
        **proof,
    )


def _run_that_sleeps(stack: Stack) -> str:
    """A run that is stopped, as by the lid of a laptop, until its token is worth nothing; returns its id."""
    run_id = stack.dagster.launch(GENERATE_JOB, {"orders": MANY})
    with asleep(stack, run_id, step="bronze"):
        token, _ = _take_token(stack)
        _outlive(stack, token)
    stack.dagster.wait_quiet()
    assert stack.dagster.run(run_id).status == SUCCESS
    refused = eventually(lambda: _refused_calls(stack, run_id), 30)
    assert refused, "the run had no token that was refused"
    return run_id


def _refused_calls(stack: Stack, run_id: str) -> list[str]:
    """Calls of the catalog in a run's trace that were answered 401."""
    spans = trace(stack.jaeger, run_id.replace("-", ""))
    return [span.name for span in spans if span.tags.get("http.status_code") == httpx.codes.UNAUTHORIZED]


def _take_token(stack: Stack) -> tuple[str, int]:
    """A token like those that the pipeline gets, and for how many seconds it is good."""
    secret = stack.secret(PIPELINE_SECRET)
    with http_client() as client:
        given = fetch_token(client, stack.settings(), secret["client-id"], secret["client-secret"]).json()
    seconds = int(given["expires_in"])
    assert seconds <= LONGEST, "deploy it with a short polaris.tokenLifetime, as molecule/resilience does"
    return given["access_token"], seconds


def _outlive(stack: Stack, token: str) -> int:
    """Ask Cube past its cache until a token is refused; returns how often. Every answer is a good one."""
    assert _status(stack, token) == httpx.codes.OK
    asked = 0

    def refused() -> bool:
        nonlocal asked
        status, said = ask_cube(stack, fresh_question())
        assert status == httpx.codes.OK, said
        asked += 1
        return _status(stack, token) == httpx.codes.UNAUTHORIZED

    eventually(refused, 2 * LONGEST)
    status, said = ask_cube(stack, fresh_question())
    assert status == httpx.codes.OK, said
    return asked + 1


def _status(stack: Stack, token: str) -> int:
    """How the catalog answers who holds a token."""
    settings = stack.settings()
    with http_client() as client:
        url = f"{settings.catalog_uri}/v1/{settings.catalog_name}/namespaces"
        return client.get(url, headers={"Authorization": f"Bearer {token}"}).status_code
