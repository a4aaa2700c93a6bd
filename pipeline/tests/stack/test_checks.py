"""What decides whether a promise is kept, without a cluster."""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import json
import random
from datetime import date
from decimal import Decimal
from typing import Any, cast

import pytest

from floe_pipeline.verify.evidence import Check
from floe_stack.checks import QUESTIONS
from floe_stack.checks.finding import Finding, Question, judged, within
from floe_stack.checks.pods import bytes_of, detection_seconds
from floe_stack.checks.security import secrets_to_look_for
from floe_stack.checks.speed import distinct_queries
from floe_stack.checks.totals import ASKED, with_cube
from floe_stack.cube import signed_token
from floe_stack.errors import StackError
from floe_stack.kubectl import secret_values
from floe_stack.measure import percentile, spread
from floe_stack.observed import upstream_of
from floe_stack.stack import Stack
from floe_stack.verify import run_questions


class NoStack:
    """Looks that need no stack get this one."""

    def say(self, what: str) -> None:
        del what


NOWHERE = cast("Stack", NoStack())


def test_every_promise_has_one_id_and_a_title() -> None:
    ids = [name for question in QUESTIONS for name in question.promises]
    assert len(ids) == len(set(ids)) > 30
    assert {"US1.2", "US2.1", "US2.2", "US3.3", "US4.1", "SC-003", "SC-004", "SC-005", "B1", "B4"} <= set(ids)


def test_a_look_that_fails_fails_every_promise_it_was_for_with_its_reason() -> None:
    def fail(_: Stack) -> list[Finding]:
        raise StackError("Cube answers 503: no lake")

    questions = [
        Question({"A": "First", "B": "Second"}, fail),
        Question({"C": "Third"}, lambda _: [judged([], "well")]),
    ]
    first, second, third = run_questions(NOWHERE, questions)
    assert [first.passed, second.passed, third.passed] == [False, False, True]
    assert first.evidence["differences"] == second.evidence["differences"] == ["Cube answers 503: no lake"]


def test_the_promise_decides_and_our_own_target_is_told() -> None:
    kept, missed, broken = (
        within(value, promise=100, ours=20, unit="ms", seen="p95") for value in (19.0, 20.0, 100.0)
    )
    assert (kept.passed, kept.ours_met) == (True, True)
    assert (missed.passed, missed.ours_met) == (True, False)
    assert (broken.passed, broken.ours_met) == (False, False)
    assert "not met" in missed.seen
    assert broken.evidence["differences"] == ["100.00 ms is not below the promised 100 ms"]


def test_percentiles_are_measurements_that_were_made() -> None:
    values = [float(value) for value in range(200, 0, -1)]
    assert percentile(values, 50) == 100
    assert percentile(values, 95) == 190
    assert percentile([7.0], 95) == 7
    assert spread([3, 1, 2])["max"] == 3
    with pytest.raises(ValueError, match="no measurements"):
        percentile([], 95)


@pytest.mark.parametrize(
    ("probe", "seconds"),
    [
        ({"periodSeconds": 3, "timeoutSeconds": 5, "failureThreshold": 3}, 20),  # each look takes its timeout
        ({"periodSeconds": 4, "timeoutSeconds": 3, "failureThreshold": 3}, 15),
        ({}, 31),  # what Kubernetes takes for granted
    ],
)
def test_how_long_a_probe_needs(probe: dict[str, int], seconds: float) -> None:
    assert detection_seconds(probe) == seconds


@pytest.mark.parametrize(
    ("quantity", "size"), [("640Mi", 640 * 2**20), ("1Gi", 2**30), ("1.5G", 1_500_000_000), ("1234", 1234)]
)
def test_quantities_of_memory(quantity: str, size: int) -> None:
    assert bytes_of(quantity) == size


def test_no_two_uncached_questions_are_the_same() -> None:
    queries = distinct_queries(200, date(2026, 1, 1), date(2026, 2, 1), random.Random(1))
    windows = {tuple(query["timeDimensions"][0]["dateRange"]) for query in queries}
    assert len(windows) == 200
    assert all("2026-01-01" <= begin < end <= "2026-02-01" for begin, end in windows)
    with pytest.raises(ValueError, match="3 windows, not 200"):
        distinct_queries(200, date(2026, 1, 1), date(2026, 1, 3), random.Random(1))


def total() -> Check:
    """Check B1 of a lake with two orders over 30.00, as `check_totals` gives it."""
    seen = {
        ("orders", "rows"): 2,
        ("orders", "cents"): 3000,
        ("order_items", "cents"): 3000,
        ("customers", "rows"): 1,
    }
    quantities = [
        {"table": table, "unit": unit, "seen": {"ledger": value, f"bronze.{table}": value}}
        for (table, unit), value in seen.items()
    ]
    return Check("B1", "equal", True, 0.1, {"quantities": quantities, "differences": []})


def told(**other: str) -> dict[str, Decimal]:
    """What Cube would say of that lake."""
    numbers = dict.fromkeys(ASKED, Decimal(0)) | {
        "Customers.count": Decimal(1),
        "Orders.count": Decimal(2),
        "Customers.orders": Decimal(2),
        "Orders.total_revenue": Decimal("30.00"),
        "Customers.total_revenue": Decimal("30.00"),
        "Orders.gross_revenue": Decimal("33.50"),
        "Orders.discounts": Decimal("3.50"),
        "Products.total_revenue": Decimal("30.00"),
    }
    return numbers | {name.replace("_", ".", 1): Decimal(value) for name, value in other.items()}


def test_five_places_that_agree() -> None:
    check = with_cube(total(), {"Cube REST": told(), "Cube SQL": told()})
    assert check.passed, check.evidence["differences"]
    quantities: Any = check.evidence["quantities"]
    assert quantities[1]["seen"]["Cube SQL Orders.total_revenue"] == 3000
    assert quantities[2]["seen"]["Cube REST Orders.gross_revenue - Orders.discounts"] == 3000


def test_a_cent_that_cube_lacks_is_found_and_named() -> None:
    check = with_cube(total(), {"Cube REST": told(), "Cube SQL": told(Orders_total_revenue="29.99")})
    assert check.evidence["differences"] == [
        "Cube SQL Orders.total_revenue has orders money 29.99, the ledger has 30.00: 0.01 missing"
    ]
    assert not check.passed


def test_tokens_are_signed_as_any_jwt_library_checks_them() -> None:
    head, body, signature = signed_token("secret", now=1000).split(".")
    right = hmac.new(b"secret", f"{head}.{body}".encode(), hashlib.sha256).digest()
    assert signature == base64.urlsafe_b64encode(right).rstrip(b"=").decode()
    padded = body + "=" * (-len(body) % 4)
    assert json.loads(base64.urlsafe_b64decode(padded)) == {"exp": 4600}


def secret(name: str, kind: str = "Opaque", **values: str) -> dict[str, Any]:
    data = {key.replace("_", "-"): base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return {"metadata": {"name": name}, "type": kind, "data": data}


def test_secret_values_are_looked_for_but_not_names_and_not_what_helm_keeps() -> None:
    packed = base64.b64encode(gzip.compress(b"{}")).decode()
    found = secrets_to_look_for(
        [
            secret("floe-cube", api_secret="0123456789", sql_user="cube"),
            secret("floe-polaris-root", client_id="root-of-all", client_secret="abcdefghij"),
            secret("sh.helm.release.v1.floe-cube.v1", "helm.sh/release.v1", release=packed),
        ]
    )
    assert found == {"0123456789": "floe-cube/api-secret", "abcdefghij": "floe-polaris-root/client-secret"}
    assert secret_values(secret("empty")) == {}


def test_upstream_goes_all_the_way_and_ends_in_circles() -> None:
    graph = {"mart": ["job"], "job": ["staging", "mart"], "staging": ["bronze"], "other": ["elsewhere"]}
    assert upstream_of(graph, "mart") == {"job", "mart", "staging", "bronze"}
    assert upstream_of(graph, "unknown") == set()
