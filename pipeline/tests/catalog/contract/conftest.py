"""What a catalog server promises, whichever it is: floe_catalog, and Apache Polaris when one is given.

Variables: FLOE_TEST_POSTGRES_URL (floe_catalog on PostgreSQL as well); FLOE_TEST_MINIO_URL, _ACCESS_KEY,
_SECRET_KEY (floe_catalog on S3 as well); FLOE_POLARIS_URL, _CLIENT_ID, _CLIENT_SECRET (a real Polaris as
well) and FLOE_POLARIS_STORAGE (storageConfigInfo of its catalogs as JSON).
"""

from __future__ import annotations

from typing import Any

import pytest

from catalog_contract import filled


@pytest.fixture(scope="session")
def gold(lake: Any) -> Any:
    """Namespaces `gold` and `bronze` with a table each, and `cube`, which may read gold alone."""
    catalog = lake.pyiceberg()
    for namespace in ("gold", "bronze"):
        catalog.create_namespace(namespace)
        filled(catalog, namespace)
    cube = lake.add_principal(
        {"type": "namespace", "namespace": ["gold"], "privilege": "TABLE_READ_DATA"},
        {"type": "catalog", "privilege": "NAMESPACE_LIST"},
    )
    lake.credentials["cube"] = lake.credentials[cube]
    return lake
