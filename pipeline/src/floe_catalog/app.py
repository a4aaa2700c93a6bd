"""Assembles the two ASGI applications: the API port and the health port."""

from __future__ import annotations

import secrets
from urllib.parse import parse_qsl

from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from floe_catalog import iceberg_api, management_api
from floe_catalog.auth import Authenticator, Tokens
from floe_catalog.calls import Services, check_realm, error_response, failure
from floe_catalog.commits import Committer
from floe_catalog.config import CatalogConfig
from floe_catalog.database import Database, setting
from floe_catalog.errors import ApiError, OAuthError, UnsupportedMediaTypeError
from floe_catalog.principals import ensure_root
from floe_catalog.storage import Storage
from floe_catalog.vending import CredentialVendor

_FORM = "application/x-www-form-urlencoded"


def build_services(config: CatalogConfig) -> Services:
    """Open the database, create what is missing in it, and wire everything together.

    Raises:
        ValueError: The database URL is none.
        sqlalchemy.exc.SQLAlchemyError: The database cannot be used.
    """
    database = Database(config.database_url)
    with database.prepare() as db:
        ensure_root(db, config.root_client_id, config.root_client_secret)
        key = config.signing_key or setting(db, "token-signing-key", secrets.token_hex(32))
    storage = Storage(config.s3)
    return Services(
        config=config,
        database=database,
        storage=storage,
        committer=Committer(database, storage),
        vendor=CredentialVendor(config.s3),
        authenticator=Authenticator(database, Tokens(key, config.token_seconds)),
    )


def api_app(services: Services) -> Starlette:
    """The application of the API port."""
    catalog = [
        Route("/v1/oauth/tokens", _token_endpoint(services), methods=["POST"]),
        *iceberg_api.routes(services),
    ]
    return Starlette(
        routes=[
            Mount("/api/catalog", routes=catalog),
            Mount("/api/management/v1", routes=management_api.routes(services)),
        ],
        exception_handlers={HTTPException: _no_such_path},
    )


def health_app(services: Services) -> Starlette:
    """The application of the health port: alive, and ready when the database answers."""

    async def live(_request: Request) -> Response:
        return _health("up", {})

    async def ready(_request: Request) -> Response:
        try:
            await run_in_threadpool(services.database.check)
        except SQLAlchemyError as error:
            return _health("down", {"error": str(error).partition("\n")[0]})
        return _health("up", {})

    paths = {"/q/health": ready, "/q/health/live": live, "/q/health/ready": ready}
    return Starlette(routes=[Route(path, handler) for path, handler in paths.items()])


def _health(status: str, data: dict[str, str]) -> Response:
    check = {"name": "database", "status": status.upper(), "data": data}
    return JSONResponse({"status": status.upper(), "checks": [check]}, 200 if status == "up" else 503)


def _token_endpoint(services: Services):  # type: ignore[no-untyped-def]  # noqa: ANN202
    def respond(request: Request, raw: bytes) -> Response:
        try:
            check_realm(services.config, request.headers)
            media_type = request.headers.get("content-type", "").partition(";")[0].strip()
            if media_type != _FORM:
                raise UnsupportedMediaTypeError(f"Content-Type {media_type!r} is not supported; send {_FORM}")
            form = dict(parse_qsl(raw.decode(), keep_blank_values=True))
            token = services.authenticator.token(form, request.headers.get("authorization"))
            return JSONResponse(token, headers={"Cache-Control": "no-store"})
        except OAuthError as error:
            return JSONResponse(error.body(), error.status)
        except ApiError as error:
            return error_response(error)

    async def token(request: Request) -> Response:
        return await run_in_threadpool(respond, request, await request.body())

    return token


async def _no_such_path(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind = "NotAllowedException" if error.status_code == 405 else "NotFoundException"
    return failure(error.status_code, kind, f"{request.method} {request.url.path}: {error.detail}")
