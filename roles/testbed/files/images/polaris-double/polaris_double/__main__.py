"""Starts floe_catalog with the variables of apache/polaris, once database and realm are there."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Mapping

from sqlalchemy.exc import OperationalError, SQLAlchemyError

from floe_catalog.__main__ import main as serve

from .properties import TOKEN_LIFETIME, seconds, setting
from .realms import Realms, database_url, parse_credentials

_LOG = logging.getLogger("polaris-double")
_WAIT_SECONDS = 120
_MAPPED = {
    "FLOE_CATALOG_PORT": "QUARKUS_HTTP_PORT",
    "FLOE_CATALOG_MANAGEMENT_PORT": "QUARKUS_MANAGEMENT_PORT",
    "FLOE_CATALOG_S3_ACCESS_KEY": "AWS_ACCESS_KEY_ID",
    "FLOE_CATALOG_S3_SECRET_KEY": "AWS_SECRET_ACCESS_KEY",
    "FLOE_CATALOG_S3_REGION": "AWS_REGION",
}


def catalog_environment(environment: Mapping[str, str], root: tuple[str, str], realm: str) -> dict[str, str]:
    """Polaris' variables as the catalog's.

    Args:
        environment: of the container.
        root: client id and secret of the realm's root principal.
        realm: the one realm that is served.

    Raises:
        ValueError: a setting cannot be used; the message names it.
    """
    mapped = {ours: environment[theirs] for ours, theirs in _MAPPED.items() if environment.get(theirs)}
    if lifetime := setting(TOKEN_LIFETIME, environment):
        mapped["FLOE_CATALOG_TOKEN_SECONDS"] = str(seconds(TOKEN_LIFETIME, lifetime))
    return {
        **mapped,
        "FLOE_CATALOG_DATABASE_URL": database_url(environment).render_as_string(hide_password=False),
        "FLOE_CATALOG_REALM": realm,
        "FLOE_CATALOG_ROOT_CLIENT_ID": root[0],
        "FLOE_CATALOG_ROOT_CLIENT_SECRET": root[1],
    }


def _root(realm: str) -> tuple[str, str] | None:
    """The root credentials, once database and bootstrapped realm are there; None after two minutes.

    Polaris bootstraps realms itself where POLARIS_BOOTSTRAP_CREDENTIALS names them, and so does this.
    """
    given = parse_credentials(os.environ.get("POLARIS_BOOTSTRAP_CREDENTIALS", "")).get(realm)
    url = database_url(os.environ)
    deadline = time.monotonic() + _WAIT_SECONDS
    said = ""
    while time.monotonic() < deadline:
        try:
            realms = Realms(url)
            if given:
                realms.bootstrap(realm, *given)
            if root := realms.root(realm):
                return root
            problem = f"realm {realm} is not bootstrapped"
        except OperationalError as error:
            problem = str(error.orig).partition("\n")[0]
        if problem != said:
            _LOG.info("waiting: %s", problem)
            said = problem
        time.sleep(1)
    return None


def main() -> int:
    """Entry point; 1 when there is nothing to serve."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    _LOG.info("this is polaris-double: floe_catalog standing in for Apache Polaris 1.7.0 in the testbed")
    realm = os.environ.get("POLARIS_REALM_CONTEXT_REALMS", "POLARIS").partition(",")[0]
    try:
        root = _root(realm)
        given = catalog_environment(os.environ, root, realm) if root else {}
    except (ValueError, SQLAlchemyError) as error:
        _LOG.error("%s", str(error).partition("\n")[0])
        return 1
    if root is None:
        _LOG.error(
            "gave up after %d s: no database, or realm %s was never bootstrapped", _WAIT_SECONDS, realm
        )
        return 1
    os.environ.update(given)
    return serve()


if __name__ == "__main__":
    sys.exit(main())
