"""Writes a row to a table of the lake and reads it back, trying for some time: write_and_read.py SECONDS."""

from __future__ import annotations

import sys
import time
from uuid import uuid4

import pyarrow as pa
from pyiceberg.catalog import load_catalog

from floe_pipeline.settings import Settings


def write_and_read(settings: Settings, mark: str) -> None:
    """Make a table, append a row, read it, drop the table.

    Raises:
        Exception: whatever is not there yet.
    """
    secret = settings.catalog_client_secret.get_secret_value()
    catalog = load_catalog(
        "lake",
        type="rest",
        uri=settings.catalog_uri,
        warehouse=settings.catalog_name,
        credential=f"{settings.catalog_client_id}:{secret}",
        scope=settings.catalog_scope,
    )
    rows = pa.table({"mark": [mark]})
    name = f"bronze.probe_{mark}"
    table = catalog.create_table(name, rows.schema)
    table.append(rows)
    assert catalog.load_table(name).scan().to_arrow().to_pylist() == [{"mark": mark}]
    catalog.drop_table(name)


def main() -> None:
    """Entry point; exits 1 with the last error when time is up."""
    settings, begun = Settings(), time.monotonic()
    while True:
        try:
            write_and_read(settings, uuid4().hex[:8])
        except Exception as error:  # whatever it is: not back yet
            seconds = time.monotonic() - begun
            print(f"{seconds:5.1f} s: {type(error).__name__}: {str(error)[:200]}", flush=True)
            if seconds > float(sys.argv[1]):
                sys.exit(1)
            time.sleep(1)
        else:
            print(f"written and read after {time.monotonic() - begun:.1f} s", flush=True)
            return


if __name__ == "__main__":
    main()
