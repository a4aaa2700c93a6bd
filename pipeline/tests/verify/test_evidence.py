"""The evidence file: its shape is a contract with whoever reads it."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from floe_pipeline.verify.evidence import Check, write_evidence


def test_document_has_the_contracts_shape(tmp_path):
    path = tmp_path / "deep" / "demo.json"
    checks = [
        Check("B1", "bronze equals gold", passed=True, seconds=0.25, evidence={"revenue": Decimal("1.10")}),
        Check("B5", "cost stays flat", passed=False, evidence={"at": datetime(2025, 1, 2, tzinfo=UTC)}),
    ]
    document = write_evidence("demo", "embedded", checks, path)

    written = json.loads(path.read_text())
    assert list(written) == ["name", "target", "versions", "checks", "passed", "failed"]
    assert (written["passed"], written["failed"]) == (1, 1) == (document["passed"], document["failed"])
    assert list(written["checks"][0]) == ["id", "title", "passed", "seconds", "evidence"]
    assert written["checks"][0]["evidence"]["revenue"] == "1.10"  # exact, not a float
    assert written["checks"][1]["evidence"]["at"] == "2025-01-02T00:00:00+00:00"
    assert written["versions"]["duckdb"] == "1.5.5"


def test_a_document_that_cannot_be_written_leaves_the_old_one_whole(tmp_path):
    path = tmp_path / "demo.json"
    write_evidence("demo", "embedded", [Check("B1", "fine", passed=True)], path)
    before = path.read_text()
    with pytest.raises(TypeError, match="no JSON form"):
        write_evidence("demo", "embedded", [Check("B1", "odd", passed=True, evidence={"x": object()})], path)
    assert path.read_text() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["demo.json"]
