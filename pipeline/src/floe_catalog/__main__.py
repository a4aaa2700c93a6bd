"""The catalog as a program: `python -m floe_catalog`, configured by the environment.

Variable                              | Default                | Meaning
FLOE_CATALOG_DATABASE_URL             | (required)             | sqlite:////abs/path.db or postgresql+psycopg2://user:password@host/db
FLOE_CATALOG_ROOT_CLIENT_ID           | root                   | OAuth2 client id of the principal root
FLOE_CATALOG_ROOT_CLIENT_SECRET       | (required)             | its secret
FLOE_CATALOG_REALM                    | POLARIS                | realm served
FLOE_CATALOG_HOST                     | 0.0.0.0                | address to listen on
FLOE_CATALOG_PORT                     | 8181                   | Iceberg and management APIs
FLOE_CATALOG_MANAGEMENT_PORT          | 8182                   | /q/health/live and /q/health/ready
FLOE_CATALOG_TOKEN_SECONDS            | 3600                   | life of an access token
FLOE_CATALOG_SIGNING_KEY              | (kept in the database) | HMAC key of the tokens
FLOE_CATALOG_S3_ACCESS_KEY            | (none: local files)    | the server's own S3 user
FLOE_CATALOG_S3_SECRET_KEY            | (none)                 | its secret
FLOE_CATALOG_S3_REGION                | us-east-1              | region where a catalog names none
FLOE_CATALOG_S3_CREDENTIAL_SECONDS    | 3600                   | life of vended keys, at least 900

SIGTERM and SIGINT finish the requests under way and end the program with exit code 0; a bad setting
or a taken port ends it with 2.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping

from sqlalchemy.exc import SQLAlchemyError

from floe_catalog.serve import CatalogConfig, S3Config, start

_PREFIX = "FLOE_CATALOG_"
logger = logging.getLogger("floe_catalog")


def config_from_environment(environment: Mapping[str, str]) -> CatalogConfig:
    """Read the settings.

    Raises:
        ValueError: A variable is missing or invalid; the message names it.
    """

    def text(name: str, default: str | None = None) -> str:
        value = environment.get(_PREFIX + name) or default
        if value is None:
            raise ValueError(f"{_PREFIX}{name} is not set; it is required")
        return value

    def number(name: str, default: int, low: int, high: int) -> int:
        value = text(name, str(default))
        if not value.isdecimal() or not low <= int(value) <= high:
            raise ValueError(f"{_PREFIX}{name}={value!r} must be a whole number from {low} to {high}")
        return int(value)

    s3 = None
    if environment.get(_PREFIX + "S3_ACCESS_KEY"):
        s3 = S3Config(
            access_key=text("S3_ACCESS_KEY"),
            secret_key=text("S3_SECRET_KEY"),
            region=text("S3_REGION", "us-east-1"),
            credential_seconds=number("S3_CREDENTIAL_SECONDS", 3600, 900, 604_800),
        )
    return CatalogConfig(
        database_url=text("DATABASE_URL"),
        root_client_id=text("ROOT_CLIENT_ID", "root"),
        root_client_secret=text("ROOT_CLIENT_SECRET"),
        realm=text("REALM", "POLARIS"),
        host=text("HOST", "0.0.0.0"),  # noqa: S104 (a server in a container)
        port=number("PORT", 8181, 0, 65_535),
        management_port=number("MANAGEMENT_PORT", 8182, 0, 65_535),
        token_seconds=number("TOKEN_SECONDS", 3600, 1, 86_400),
        s3=s3,
        signing_key=environment.get(_PREFIX + "SIGNING_KEY"),
    )


def main() -> int:
    """Serve until told to stop; returns the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        catalog = start(config_from_environment(os.environ))
    except (ValueError, OSError, SQLAlchemyError) as error:
        logger.error("%s", str(error).partition("\n")[0])  # noqa: TRY400 (one clear line, no traceback)
        return 2
    with catalog:
        logger.info(
            "floe_catalog, a stand-in for Apache Polaris, serves %s, health %s",
            catalog.uri,
            catalog.health_uri,
        )
        while not stop.wait(0.5):
            if catalog.wait(0):
                logger.error("the server stopped unexpectedly")
                return 1
    logger.info("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
