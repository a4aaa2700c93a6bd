"""Calls of the Iceberg REST catalog by name: `catalog.load_table`, `catalog.commit`, ..."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote, urlsplit

from opentelemetry.trace import Span
from requests import PreparedRequest

_TABLE: Final = r"/v1/(?:[^/]+/)?namespaces/(?P<namespace>[^/]+)/tables/(?P<table>[^/]+)$"
_TABLES: Final = r"/v1/(?:[^/]+/)?namespaces/[^/]+/tables$"
_NAMESPACES: Final = r"/v1/(?:[^/]+/)?namespaces(?:/[^/]+)?$"
_CALLS: Final = tuple(
    (method, re.compile(pattern), name)
    for method, pattern, name in (
        ("POST", r"/oauth/tokens$", "get_token"),
        ("GET", r"/v1/config$", "get_config"),
        ("GET", _TABLE, "load_table"),
        ("HEAD", _TABLE, "table_exists"),
        ("POST", _TABLE, "commit"),
        ("DELETE", _TABLE, "drop_table"),
        ("GET", _TABLES, "list_tables"),
        ("POST", _TABLES, "create_table"),
        ("GET", _NAMESPACES, "list_namespaces"),
        ("POST", _NAMESPACES, "create_namespace"),
    )
)


def name_call(span: Span, request: PreparedRequest) -> None:
    """Name the span of an HTTP request after what is asked; what is no known call keeps its method's name.

    Args:
        span: As the instrumentation of `requests` began it.
        request: What is about to be sent.
    """
    path = urlsplit(request.url or "").path
    for method, pattern, name in _CALLS:
        found = pattern.search(path)
        if request.method == method and found:
            table = ".".join(unquote(part) for part in found.groups())
            span.update_name(f"catalog.{name}")
            if table:
                span.set_attribute("iceberg.table", table)
            return
