"""Waits until every URL answers 200: wait_for.py SECONDS URL...; exits 1 naming those that were late."""

from __future__ import annotations

import sys
import time
import urllib.request


def why_not(url: str) -> str | None:
    """What is wrong with a URL, or None when it answers 200."""
    try:
        with urllib.request.urlopen(url, timeout=3):  # noqa: S310 - the chart's own http addresses
            return None
    except OSError as error:
        return str(getattr(error, "reason", error))


def wait(seconds: float, urls: list[str]) -> dict[str, str]:
    """Look once a second, and say once what is being waited for.

    Returns:
        dict[str, str]: URLs that did not answer in time, and why; empty when all do.
    """
    deadline = time.monotonic() + seconds
    said: set[str] = set()
    while problems := {url: problem for url in urls if (problem := why_not(url))}:
        for url in sorted(problems.keys() - said):
            print(f"waiting for {url}: {problems[url]}", flush=True)
            said.add(url)
        if time.monotonic() > deadline:
            break
        time.sleep(1)
    return problems


if __name__ == "__main__":
    late = wait(float(sys.argv[1]), sys.argv[2:])
    for late_url, why in late.items():
        print(f"{late_url} did not answer in {sys.argv[1]} s: {why}", file=sys.stderr)
    sys.exit(1 if late else 0)
