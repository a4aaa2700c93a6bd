"""From a request's path and query to rows: catalog, namespaces, rights, pages."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import sqlalchemy as sa

from floe_catalog.auth import Authorizer
from floe_catalog.calls import Call
from floe_catalog.errors import BadRequestError, NoSuchNamespaceError
from floe_catalog.store import (
    SEPARATOR,
    CatalogRow,
    Levels,
    NamespaceRow,
    Page,
    TableRow,
    find_catalog,
    find_namespaces,
)

Row = TypeVar("Row")


@dataclass(frozen=True)
class Target:
    """A catalog or a namespace in it, with what the caller may do there."""

    catalog: CatalogRow
    chain: tuple[NamespaceRow, ...]
    authorizer: Authorizer

    @property
    def namespace(self) -> NamespaceRow:
        """The innermost namespace."""
        return self.chain[-1]

    def may(self, operation: str, table: TableRow | None = None) -> bool:
        """Whether the caller may do it here, or to this table here."""
        return self.authorizer.may(operation, self._path(table))

    def require(self, operation: str, table: TableRow | None = None) -> None:
        """Raise ForbiddenError unless the caller may do it here, or to this table here."""
        self.authorizer.require(operation, self._path(table))

    def _path(self, table: TableRow | None) -> list[CatalogRow | NamespaceRow | TableRow]:
        return [self.catalog, *self.chain, *([table] if table else [])]


def resolve(db: sa.Connection, call: Call, levels: Levels) -> Target:
    """The request's catalog and a namespace in it; levels () stand for the catalog itself.

    Raises:
        NotFoundError: No such catalog.
        NoSuchNamespaceError: No such namespace.
    """
    catalog = find_catalog(db, call.path["prefix"])
    chain = find_namespaces(db, catalog, levels) if levels else []
    return Target(catalog, tuple(chain), Authorizer.load(db, call.caller, catalog))


def levels_of(joined: str) -> Levels:
    """Namespace levels of a path segment or query parameter, which joins them by the unit separator."""
    return tuple(joined.split(SEPARATOR)) if joined else ()


def namespace_levels(call: Call) -> Levels:
    """Namespace levels of the request's path.

    Raises:
        NoSuchNamespaceError: They are empty.
    """
    levels = levels_of(call.path["namespace"])
    if not levels:
        raise NoSuchNamespaceError("Namespace does not exist: ''")
    return levels


def check_name(name: str) -> str:
    """A name that can be part of paths and locations.

    Raises:
        BadRequestError: It is empty or holds a character that could not be addressed later.
    """
    if not name or SEPARATOR in name or "/" in name or name in (".", ".."):
        raise BadRequestError(f"Invalid name {name!r}: must not be empty, '.' or '..', or contain '/'")
    return name


def page_of(call: Call) -> Page:
    """The page a listing asks for by pageToken and pageSize.

    Raises:
        BadRequestError: One of them is invalid.
    """
    token, size = call.query.get("pageToken"), call.query.get("pageSize")
    if size is not None and (not size.isdecimal() or int(size) == 0):
        raise BadRequestError(f"pageSize {size!r} must be a positive integer")
    try:
        after = base64.b64decode(token.encode(), b"-_", validate=True).decode() if token else None
    except (binascii.Error, UnicodeError) as error:
        raise BadRequestError(f"pageToken {token!r} is not one this server gave out") from error
    return Page(after, int(size) if size else None)


def listing(
    page: Page, read: Callable[[Page], Sequence[Row]], key: Callable[[Row], str]
) -> tuple[Sequence[Row], dict[str, str]]:
    """The rows of a page, and the part of the response that leads to the next page.

    Args:
        page: What was asked for.
        read: Reads rows of a page from the database.
        key: The value by which the listing is ordered.
    """
    if page.size is None:
        return read(page), {}
    rows = read(Page(page.after, page.size + 1))
    if len(rows) <= page.size:
        return rows, {}
    last = key(rows[page.size - 1])
    return rows[: page.size], {"next-page-token": base64.urlsafe_b64encode(last.encode()).decode()}
