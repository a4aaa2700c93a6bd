"""US1.3 and SC-005: each forward leads to the service it is said to lead to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import httpx

from floe_stack.checks.finding import Finding, Question, judged
from floe_stack.cube import ask_sql
from floe_stack.doors import DAGSTER, DOORS, JAEGER, MARQUEZ, MINIO
from floe_stack.errors import StackError
from floe_stack.stack import Stack


def _page(url: str, path: str = "/", needs: str = "<html") -> httpx.Response:
    """A page or answer that holds a text.

    Raises:
        StackError: It is not there, or is another page.
    """
    answer = httpx.get(f"{url}{path}", timeout=20, follow_redirects=True)
    if answer.status_code != httpx.codes.OK or needs.lower() not in answer.text.lower():
        raise StackError(f"{path} answers {answer.status_code} without {needs!r}: {answer.text[:80]!r}")
    return answer


def _dagster(stack: Stack) -> str:
    url = stack.forwards.address(DAGSTER)
    _page(url, needs="dagster")
    return f"Dagster {_page(url, '/server_info', 'version').json()['dagster_webserver_version']}"


def _cube(stack: Stack) -> str:
    unsigned = httpx.get(f"{stack.cube.url}/cubejs-api/v1/meta", timeout=20)
    if unsigned.status_code != httpx.codes.FORBIDDEN:
        raise StackError(f"Cube answers {unsigned.status_code} to a question without a token, not 403")
    meta: dict[str, Any] = stack.cube.http.get("/cubejs-api/v1/meta").raise_for_status().json()
    cubes = sorted(cube["name"] for cube in meta["cubes"])
    if "Orders" not in cubes:
        raise StackError(f"Cube's model has no cube Orders, only {cubes}")
    return f"{len(cubes)} cubes and views; 403 without a token"


def _cube_sql(stack: Stack) -> str:
    with stack.cube_sql() as session:
        ((one,),) = ask_sql(session, "SELECT 1")
        return f"SELECT 1 gives {one}"


def _jaeger(stack: Stack) -> str:
    url = stack.forwards.address(JAEGER)
    _page(url)
    return f"services {_page(url, '/api/services', 'data').json()['data']}"


def _marquez(stack: Stack) -> str:
    url = stack.forwards.address(MARQUEZ)
    _page(url, needs="marquez")
    names = _page(url, "/api/v1/namespaces", "namespaces").json()["namespaces"]
    return f"namespaces {[each['name'] for each in names]}"


def _minio(stack: Stack) -> str:
    _page(stack.forwards.address(MINIO), needs="minio")
    return "the console's page"


LOOKS: Final[dict[str, Callable[[Stack], str]]] = {
    "dagster": _dagster,
    "cube_api": _cube,
    "cube_sql": _cube_sql,
    "jaeger": _jaeger,
    "marquez": _marquez,
    "minio": _minio,
}


def _dagster_door(stack: Stack) -> list[Finding]:
    seen = _dagster(stack)
    return [judged([], f"the UI's page, {seen}")]


def _every_door(stack: Stack) -> list[Finding]:
    told: dict[str, object] = {}
    wrong = []
    for door in DOORS:
        try:
            told[door.title] = LOOKS[door.name](stack)
        except Exception as error:  # a door that does not open must not hide the next one
            wrong.append(f"{door.title}: {error}")
    return [judged(wrong, f"{len(told)} of {len(DOORS)} doors answer as they should", doors=told)]


QUESTIONS: Final = (
    Question({"US1.3": "Dagster's UI opens through its port-forward"}, _dagster_door),
    Question({"SC-005": "Forwards reach Dagster, Cube REST, Cube SQL, Jaeger, Marquez, MinIO"}, _every_door),
)
