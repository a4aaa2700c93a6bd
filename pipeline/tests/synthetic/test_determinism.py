"""Same seed and request, same bytes: on any day, machine, Python or NumPy."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from importlib.resources import files

import faker
import pyarrow as pa

from floe_synthetic import EcommerceGenerator, vocabulary

# Change this only together with a note in the changelog: every lake made with an earlier version of the
# generator can then no longer be rolled forward or regenerated.
GOLDEN = "a6d81759f55abe884e7dd8e3f34eee23cf949edfc8fdcdcb64f3e5646b3b999b"


def digest(*batches):
    """A hash of every value of every table, in a form that no library version can alter."""
    sha = hashlib.sha256()
    for batch in batches:
        for name, table in batch.tables().items():
            for field in table.schema:
                column = table.column(field.name)
                if pa.types.is_timestamp(field.type):
                    column = column.cast(pa.int64())
                values = "\n".join(column.cast(pa.string()).to_pylist())
                sha.update(f"{name}.{field.name} {field.type}\n{values}\n".encode())
    return sha.hexdigest()


def history(seed):
    generator = EcommerceGenerator(seed)
    start = generator.initial_state(datetime(2024, 2, 28, 17, 3, 11, 5, tzinfo=UTC))
    until = datetime(2025, 11, 30, tzinfo=UTC)
    first = generator.batch(start, until=until, orders=3000, customers=400, products=120)
    second = generator.batch(first.state, until=until + timedelta(minutes=5), orders=100, customers=5)
    return first, second


def test_the_bytes_of_seed_42_are_those_on_record():
    assert digest(*history(42)) == GOLDEN


def test_a_batch_does_not_depend_on_what_the_generator_made_before():
    first, second = history(42)
    alone = EcommerceGenerator(42).batch(first.state, until=second.state.until, orders=100, customers=5)
    assert digest(alone) == digest(second)


def test_another_seed_is_another_shop():
    ours, theirs = history(42)[0], history(43)[0]
    for name, table in ours.tables().items():
        for column in set(table.column_names[1:]) - {"introduced_at"}:  # new products come evenly spaced
            assert not table.column(column).equals(theirs.tables()[name].column(column)), (name, column)


def test_the_clocks_zone_does_not_matter():
    generator, here = EcommerceGenerator(1), timezone(timedelta(hours=-7))
    start, until = datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 1, 2, tzinfo=UTC)
    request = {"orders": 50, "customers": 5, "products": 5}
    in_utc = generator.batch(generator.initial_state(start), until=until, **request)
    there = generator.batch(
        generator.initial_state(start.astimezone(here)), until=until.astimezone(here), **request
    )
    assert digest(in_utc) == digest(there)
    assert in_utc.state.to_json() == there.state.to_json()


def test_the_vocabulary_is_what_the_pinned_faker_gives():
    committed = json.loads(files("floe_synthetic").joinpath("vocabulary.json").read_text(encoding="utf-8"))
    assert faker.VERSION == "40.63.0", (
        "a new Faker: look at what changed, then keep or remake vocabulary.json"
    )
    assert committed == vocabulary.ask_faker()


def test_no_name_is_lost_in_an_email_address():
    words = vocabulary.load()
    for slugs in (words.first_slugs.to_pylist(), words.last_slugs.to_pylist()):
        assert min(map(len, slugs)) >= 2
    assert vocabulary.slug("Łucja Großmüller-Søren") == "lucjagrossmullersoren"


def test_memory_does_not_grow_with_the_number_of_orders():
    program = """
import pathlib, re, resource, sys
from datetime import UTC, datetime
from floe_synthetic import EcommerceGenerator

def peak():
    if sys.platform == "darwin":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    # Linux counts in ru_maxrss what the parent had before it loaded this program; VmHWM is this one alone.
    return int(re.search(r"VmHWM:\\s*(\\d+)", pathlib.Path("/proc/self/status").read_text())[1]) / 2**10

generator = EcommerceGenerator(1)
start = generator.initial_state(datetime(2024, 1, 1, tzinfo=UTC))
until = datetime(2026, 1, 1, tzinfo=UTC)
request = dict(until=until, customers=20_000, products=500, max_orders_per_batch=100_000)
peaks = []
for orders in (300_000, 1_500_000):
    for batch in generator.batches(start, orders=orders, **request):
        pass
    peaks.append(peak())
print(*peaks)
"""
    made = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    few, many = (float(mebibytes) for mebibytes in made.stdout.split())
    assert many < 400
    assert many - few < 60
