"""Are the bronze tables filled, empty or half filled: told by four snapshot summaries, no row is read."""

from __future__ import annotations

from dataclasses import dataclass

from pyiceberg.exceptions import NoSuchTableError
from requests.exceptions import RequestException

from floe_pipeline.lake.catalog import Lake
from floe_pipeline.lake.errors import LakeError
from floe_pipeline.lake.ledger import Ledger, read_ledger
from floe_pipeline.lake.tables import BRONZE
from floe_pipeline.settings import Settings, variable


@dataclass(frozen=True)
class BronzeState:
    """What the bronze tables hold.

    Attributes:
        rows: Rows by table name; None for a table that does not exist.
        problem: Why a seed cannot fill the tables that are empty; None when it can.
    """

    rows: dict[str, int | None]
    problem: str | None = None

    @property
    def empty(self) -> list[str]:
        """Tables that are missing or have no row, as `bronze.orders`."""
        return [f"bronze.{name}" for name, rows in self.rows.items() if not rows]


def look(settings: Settings) -> BronzeState:
    """Ask the catalog for the newest snapshot of each bronze table.

    Raises:
        LakeError: When the catalog does not answer or refuses the credentials.
    """
    lake = Lake.connect(settings)
    rows: dict[str, int | None] = {}
    ledgers: dict[str, Ledger | None] = {}
    problem = None
    try:
        for spec in BRONZE:
            rows[spec.name], ledgers[spec.name] = None, None
            try:
                table = lake.load(spec.identifier)
            except NoSuchTableError:
                continue
            snapshot = table.current_snapshot()
            summary = snapshot.summary.additional_properties if snapshot and snapshot.summary else {}
            rows[spec.name] = int(summary.get("total-records", 0))
            try:
                ledgers[spec.name] = read_ledger(table)
            except LakeError as error:
                problem = str(error)
    except RequestException as error:
        where = f"{variable('catalog_uri')}={settings.catalog_uri}"
        raise LakeError(
            f"{where} does not answer: is the catalog running? ({type(error).__name__})"
        ) from error
    return BronzeState(rows, problem or _problem(ledgers))


def _problem(ledgers: dict[str, Ledger | None]) -> str | None:
    """Why the newest batch cannot simply be completed, as `append_batch` would say it."""
    items = ledgers["order_items"]
    claim = items.claim if items else None
    for name, ledger in ledgers.items():
        present = ledger.rows if ledger else 0
        allowed = {getattr(claim.before, name), getattr(claim.after, name)} if claim else {0}
        if present not in allowed:
            return (
                f"bronze.{name} was given {present} rows, which does not fit the other tables"
                " (dropped or emptied by hand?): drop all bronze tables to begin anew"
            )
    return None
