"""Serves the page and passes /api on; variables of marquez-web: MARQUEZ_HOST, MARQUEZ_PORT, WEB_PORT."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

_LOG = logging.getLogger("marquez-web-double")
_STATIC = Path(__file__).with_name("static")
_PASSED_ON = {"content-type", "accept"}


def app(api_url: str) -> Starlette:
    """Page and proxy.

    Args:
        api_url: address of Marquez' API, without a path.
    """
    client = httpx.AsyncClient(base_url=api_url, timeout=30)

    async def proxy(request: Request) -> Response:
        """Pass a request on with its path and query untouched, so that an escaped namespace stays escaped."""
        path = request.scope["raw_path"].partition(b"?")[0]
        url = client.base_url.copy_with(
            raw_path=b"?".join(filter(None, (path, request.scope["query_string"])))
        )
        headers = {k: v for k, v in request.headers.items() if k in _PASSED_ON}
        try:
            answer = await client.request(request.method, url, content=await request.body(), headers=headers)
        except httpx.HTTPError as error:
            return JSONResponse(
                {"code": 502, "message": f"Marquez at {api_url} does not answer: {error!r}"}, 502
            )
        kind = answer.headers.get("content-type")
        return Response(answer.content, answer.status_code, media_type=kind)

    @asynccontextmanager
    async def closing(_: Starlette) -> AsyncIterator[None]:
        yield
        await client.aclose()

    methods = ["GET", "POST", "PUT", "DELETE"]
    routes = [
        Route("/api/{rest:path}", proxy, methods=methods),
        Route("/healthcheck", PlainTextResponse("OK")),
        Route("/lineage/{kind}/{namespace:path}/{name}", _page_of),
        Mount("/", StaticFiles(directory=_STATIC, html=True)),
    ]
    return Starlette(routes=routes, lifespan=closing)


def _page_of(request: Request) -> Response:
    """The page of a job or dataset, by its address in marquez-web."""
    node = ":".join(request.path_params[part] for part in ("kind", "namespace", "name"))
    return RedirectResponse(f"/#{quote(node, safe='')}")


def main() -> int:
    """Entry point; 1 when a variable is missing, as in the real image."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it tells of every request
    _LOG.info("this is marquez-web-double, a stand-in for marquez-web in the testbed, not marquez-web itself")
    missing = [name for name in ("MARQUEZ_HOST", "MARQUEZ_PORT") if not os.environ.get(name)]
    if missing:
        _LOG.error("%s must be set: where Marquez' API is", " and ".join(missing))
        return 1
    api_url = f"http://{os.environ['MARQUEZ_HOST']}:{os.environ['MARQUEZ_PORT']}"
    port = int(os.environ.get("WEB_PORT", "3000"))
    host = os.environ.get("MARQUEZ_DOUBLE_HOST", "0.0.0.0")  # noqa: S104 - a container listens for its pod
    _LOG.info("listening on %s:%d, API at %s", host, port, api_url)
    uvicorn.run(app(api_url), host=host, port=port, log_level="warning", access_log=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
