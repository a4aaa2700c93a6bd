"""The lake as a client sees it: an Iceberg REST catalog with OAuth2, loaded fresh for every use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import duckdb
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import (
    ForbiddenError,
    NamespaceAlreadyExistsError,
    NoSuchNamespaceError,
    NoSuchTableError,
    OAuthError,
    RESTError,
    TableAlreadyExistsError,
    UnauthorizedError,
)
from pyiceberg.io import FileIO
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata
from requests import PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter
from requests.exceptions import RequestException
from urllib3.util import Retry

from floe_pipeline.lake.engine import connect as connect_duckdb
from floe_pipeline.lake.errors import LakeError
from floe_pipeline.lake.tables import BRONZE, NAMESPACES, TableSpec
from floe_pipeline.settings import Settings, variable
from floe_pipeline.telemetry import span

CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 60.0


@dataclass(frozen=True)
class TableTotals:
    """What a table holds, counted from its data files.

    Attributes:
        rows: Number of rows.
        cents: Sum of the table's money column in cents; 0 where there is none.
    """

    rows: int
    cents: int


class _PatientAdapter(HTTPAdapter):
    """Gives every request a time limit, and a second chance where that cannot do a thing twice."""

    def __init__(self) -> None:
        # A connection that was never made sent nothing, so any method may try again; an answer that was lost
        # may have committed, so only reads are repeated. 503 is how a catalog says that it is still starting.
        super().__init__(
            max_retries=Retry(
                total=4,
                connect=4,
                read=2,
                status=4,
                other=0,
                backoff_factor=0.2,
                backoff_jitter=0.1,
                status_forcelist=(502, 503, 504),
                allowed_methods=("GET", "HEAD"),
                raise_on_status=False,
            )
        )

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:  # noqa: ANN401  # as its base
        kwargs["timeout"] = kwargs.get("timeout") or (CONNECT_SECONDS, READ_SECONDS)
        return super().send(request, *args, **kwargs)


class _RestCatalog(RestCatalog):
    """pyiceberg's REST catalog with time limits (pyiceberg 0.12 waits for an answer forever)."""

    def _create_session(self) -> Session:
        session = super()._create_session()
        for scheme in ("http://", "https://"):
            session.mount(scheme, _PatientAdapter())
        return session

    @staticmethod
    def _delete_old_metadata(io: FileIO, base: TableMetadata, metadata: TableMetadata) -> None:
        """Nothing: the server deletes what its commit leaves behind, so we would only look for it in vain."""


class Lake:
    """Catalog, tables and engine of one lake; safe to share between threads.

    Attributes:
        settings: Where the lake is and who we are.
        catalog: The pyiceberg catalog.
    """

    def __init__(self, settings: Settings, catalog: RestCatalog) -> None:
        self.settings = settings
        self.catalog = catalog

    @classmethod
    def connect(cls, settings: Settings) -> Lake:
        """Log in to the catalog with the pipeline's own OAuth2 credentials.

        Raises:
            SettingsError: When the client id or secret is not set.
            LakeError: When the server does not answer, refuses the credentials, or has no such catalog.
        """
        settings.require("catalog_client_id", "catalog_client_secret")
        secret = settings.catalog_client_secret.get_secret_value()
        where = f"{variable('catalog_uri')}={settings.catalog_uri}"
        try:
            catalog = _RestCatalog(
                settings.catalog_name,
                uri=settings.catalog_uri,
                warehouse=settings.catalog_name,
                credential=f"{settings.catalog_client_id}:{secret}",
                scope=settings.catalog_scope,
                **{
                    "py-io-impl": "pyiceberg.io.pyarrow.PyArrowFileIO",
                    "oauth2-server-uri": f"{settings.catalog_uri}/v1/oauth/tokens",
                },
            )
        except (OAuthError, UnauthorizedError, ForbiddenError) as error:
            raise LakeError(
                f"{where} refused client {settings.catalog_client_id!r}: check"
                f" {variable('catalog_client_secret')}, or run `floe bootstrap` again ({error})"
            ) from error
        except RequestException as error:
            raise LakeError(
                f"{where} does not answer: is the catalog running? ({type(error).__name__})"
            ) from error
        except RESTError as error:
            raise LakeError(
                f"{where} has no usable catalog {settings.catalog_name!r}:"
                f" run `floe bootstrap` first ({error})"
            ) from error
        return cls(settings, catalog)

    def load(self, identifier: str | tuple[str, ...]) -> Table:
        """Load a table as it is now, with freshly vended storage keys.

        Raises:
            NoSuchTableError: When there is no such table (or namespace).
            LakeError: When the catalog does not answer, or not to us.
        """
        try:
            table: Table = self.catalog.load_table(identifier)
        except (RequestException, RESTError) as error:
            name = identifier if isinstance(identifier, str) else ".".join(identifier)
            where = f"{variable('catalog_uri')}={self.settings.catalog_uri}"
            raise LakeError(f"cannot load {name} from {where}: {type(error).__name__}: {error}") from error
        return table

    def exists(self, identifier: str | tuple[str, ...]) -> bool:
        """Whether the table is there now."""
        try:
            self.catalog.load_table(identifier)
        except (NoSuchTableError, NoSuchNamespaceError):
            return False
        return True

    def ensure_namespaces(self) -> None:
        """Make sure that all namespaces exist; safe when several processes do it at once."""
        present = {namespace[0] for namespace in self.catalog.list_namespaces()}
        for name in NAMESPACES:
            if name not in present:
                try:
                    self.catalog.create_namespace(name)
                except NamespaceAlreadyExistsError:
                    continue  # another process was faster: what was wanted

    def ensure_tables(self) -> None:
        """Make sure that the bronze tables exist as specified; safe when several processes do it at once.

        Raises:
            LakeError: When a table of that name has other columns.
        """
        with span("lake.ensure_tables"):
            self.ensure_namespaces()
            for spec in BRONZE:
                table = self._load_or_create(spec)
                found, wanted = table.schema().as_struct(), spec.schema.as_struct()
                if found != wanted:
                    raise LakeError(
                        f"table {spec.identifier} has columns {found}, but this version writes {wanted}:"
                        " drop the table, or use the version that made it"
                    )

    def _load_or_create(self, spec: TableSpec) -> Table:
        try:
            return self.load(spec.identifier)
        except NoSuchTableError:
            try:
                return self.create(spec)
            except TableAlreadyExistsError:
                return self.load(spec.identifier)

    def create(self, spec: TableSpec) -> Table:
        """Create an empty table.

        Raises:
            TableAlreadyExistsError: When it exists, also when another process was faster.
        """
        table: Table = self.catalog.create_table(
            spec.identifier,
            schema=spec.schema,
            partition_spec=spec.partition_spec,
            sort_order=spec.sort_order,
            properties=spec.properties,
        )
        return table

    def duckdb_connect(self, *, read_only: bool = True) -> duckdb.DuckDBPyConnection:
        """A DuckDB connection of its own with this lake attached as `lake`; see `engine.connect`."""
        return connect_duckdb(self.settings, read_only=read_only)

    def table_totals(self, specs: tuple[TableSpec, ...] = BRONZE) -> dict[str, TableTotals]:
        """Count rows and cents in the data itself, with DuckDB, not from anybody's bookkeeping.

        Args:
            specs: Tables to count. All must exist.

        Returns:
            By identifier, for example `bronze.orders`.
        """
        totals = {}
        with self.duckdb_connect() as connection:
            for spec in specs:
                money = f"coalesce(sum({spec.money_column}), 0) * 100" if spec.money_column else "0"
                row = connection.execute(f"SELECT count(*), {money} FROM lake.{spec.identifier}").fetchone()
                assert row is not None
                totals[spec.identifier] = TableTotals(rows=int(row[0]), cents=int(row[1]))
        return totals
