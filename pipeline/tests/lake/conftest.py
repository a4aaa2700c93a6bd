"""Fixtures of the lake's tests: a seeded lake, and processes that can be killed."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess

import pytest

from fake_s3 import FakeS3, serve_s3
from floe_pipeline.lake.catalog import Lake
from lake_writers import append_seed


@pytest.fixture
def seeded(lake: Lake) -> Lake:
    """A lake whose first batch, `seed`, is in: 200 orders of 50 customers and 20 products."""
    append_seed(lake)
    return lake


@pytest.fixture(scope="session")
def start_process() -> Callable[..., BaseProcess]:
    """Starts `function(*arguments)` of lake_writers in a process of its own.

    A fork server that has imported the lake once makes each start cheap.
    """
    context = multiprocessing.get_context("forkserver")
    lake = [f"floe_pipeline.lake.{name}" for name in ("append", "bootstrap", "maintain", "publish")]
    context.set_forkserver_preload(["__main__", *lake])

    def start(function: Callable[..., None], *arguments: object) -> BaseProcess:
        process = context.Process(target=function, args=arguments, daemon=True)
        process.start()
        return process

    return start


@pytest.fixture
def bucket() -> Iterator[FakeS3]:
    """A bucket that does not exist yet, at an S3 that does."""
    with serve_s3() as served:
        yield served
