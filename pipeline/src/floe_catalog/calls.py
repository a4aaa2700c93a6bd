"""One API call: what a handler is given, and how its outcome becomes a response."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy.exc import DBAPIError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from floe_catalog.auth import Authenticator, Caller
from floe_catalog.commits import Committer
from floe_catalog.config import CatalogConfig
from floe_catalog.database import Database
from floe_catalog.errors import ApiError, BadRequestError, NotFoundError
from floe_catalog.storage import Storage
from floe_catalog.vending import CredentialVendor

logger = logging.getLogger(__name__)

Value = TypeVar("Value")


@dataclass(frozen=True)
class Services:
    """Everything handlers work with; one per server."""

    config: CatalogConfig
    database: Database
    storage: Storage
    committer: Committer
    vendor: CredentialVendor
    authenticator: Authenticator


@dataclass(frozen=True)
class Call:
    """An authenticated request."""

    services: Services
    caller: Caller
    path: Mapping[str, str]
    query: QueryParams
    headers: Headers
    raw: bytes

    def json(self) -> dict[str, Any]:
        """The body as a JSON object.

        Raises:
            BadRequestError: It is none.
        """
        try:
            body = json.loads(self.raw)
        except ValueError as error:
            raise BadRequestError(f"Malformed request: body is not JSON: {error}") from error
        if not isinstance(body, dict):
            raise BadRequestError("Malformed request: body must be a JSON object")
        return body


Handler = Callable[[Call], Response]
Endpoint = Callable[[Request], Awaitable[Response]]


def endpoint(services: Services, handler: Handler) -> Endpoint:
    """Make a Starlette endpoint of a handler: authentication, a worker thread, errors as JSON."""

    def respond(request: Request, raw: bytes) -> Response:
        try:
            check_realm(services.config, request.headers)
            caller = services.authenticator.authenticate(request.headers.get("authorization"))
            call = Call(services, caller, request.path_params, request.query_params, request.headers, raw)
            return handler(call)
        except ApiError as error:
            return error_response(error)
        except DBAPIError as error:
            # Every write that a client cannot simply repeat is guarded where it is made (commits.py).
            return failure(503, "ServiceUnavailableException", f"Database failed: {error.orig}")
        except Exception as error:
            logger.exception("%s %s failed", request.method, request.url.path)
            return failure(500, type(error).__name__, f"{type(error).__name__}: {error}")

    async def run(request: Request) -> Response:
        return await run_in_threadpool(respond, request, await request.body())

    return run


def check_realm(config: CatalogConfig, headers: Headers) -> None:
    """Raise NotFoundError for a realm other than the one served."""
    realm = headers.get("polaris-realm", config.realm)
    if realm != config.realm:
        raise NotFoundError(f"Missing or invalid realm: {realm!r}, expected {config.realm!r}")


def error_response(error: ApiError) -> Response:
    """Iceberg's error model."""
    if error.status >= 500:
        logger.warning("%s: %s", error.kind, error.message)
    return JSONResponse(error.body(), error.status)


def failure(status: int, kind: str, message: str) -> Response:
    """Iceberg's error model for a failure that is none of ours."""
    return JSONResponse({"error": {"message": message, "type": kind, "code": status}}, status)


def no_content() -> Response:
    """204."""
    return Response(status_code=204)


def field(body: Mapping[str, Any], name: str, kind: type[Value]) -> Value:
    """A required field of a request body.

    Raises:
        BadRequestError: Missing, or of another type.
    """
    value = body.get(name)
    if not isinstance(value, kind):
        message = f"Malformed request: {name} must be {kind.__name__}, got {value!r}"
        raise BadRequestError(message)
    return value


def string_map(body: Mapping[str, Any], name: str) -> dict[str, str]:
    """An optional object of strings in a request body.

    Raises:
        BadRequestError: It is something else.
    """
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise BadRequestError(f"Malformed request: {name} must be an object of strings, got {value!r}")
    return value
