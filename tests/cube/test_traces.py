"""The traces that Cube sends of its questions: where they belong, what they show, what they never hold."""

from __future__ import annotations

import json
import secrets
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest

from waiting import until

from .collector import Collector, Span, spans_of
from .conftest import FRESHNESS_SECONDS, Cube
from .test_lake import run_node

pytestmark = pytest.mark.services
SEND_SECONDS = 1  # as in collector.js
MEASURES = ["Orders.count", "Orders.total_revenue"]


def new_parent() -> tuple[str, str, dict[str, str]]:
    """A trace, a span of it, and the header that says so."""
    trace, span = secrets.token_hex(16), secrets.token_hex(8)
    return trace, span, {"traceparent": f"00-{trace}-{span}-01"}


@pytest.fixture
def away(collector: Collector) -> Iterator[Collector]:
    """The collector, to take away; afterwards it is there again."""
    yield collector
    collector.stop()
    collector.start()


def root_of(collector: Collector, trace: str) -> Span:
    """The span of the only question of a trace."""
    return collector.wait_for(lambda span: span.trace == trace and span.name.startswith("load "))


def test_a_question_is_a_span_of_the_trace_that_asked(cube: Cube, collector: Collector) -> None:
    trace, parent, headers = new_parent()
    paid = {"or": [{"member": "Orders.status", "operator": "equals", "values": ["paid"]}]}
    month = {"dimension": "Orders.ordered_at", "granularity": "month"}
    asked = {"measures": MEASURES, "timeDimensions": [month], "segments": ["Orders.kept"], "filters": [paid]}
    assert cube.post(headers=headers, **asked).status_code == 200
    root = root_of(collector, trace)
    assert (root.service, root.parent, root.error) == ("cube", parent, None)
    assert root.name == "load Orders.count, Orders.total_revenue by Orders.ordered_at.month"
    assert root.attributes == {
        "cube.api": "rest",
        "cube.answered_from": "duckdb",
        "cube.measures": "Orders.count, Orders.total_revenue",
        "cube.dimensions": "Orders.ordered_at.month",
        "cube.segments": "Orders.kept",
        "cube.filters": "Orders.status",
    }
    (query,) = [span for span in collector.below(root) if span.name == "duckdb.query"]
    assert query.attributes["db.system.name"] == "duckdb"
    text = str(query.attributes["db.query.text"])
    assert "FROM lake.gold.orders" in text
    assert "'" not in text
    assert query.milliseconds <= root.milliseconds + 1
    assert isinstance(query.attributes["cube.queue_ms"], int)


def test_an_answer_from_the_cache_has_no_query_below_it(cube: Cube, collector: Collector) -> None:
    asked = {"measures": ["Orders.count"], "dimensions": ["Orders.region", "Orders.status"]}
    cube.load(**asked)
    trace, _, headers = new_parent()
    cube.post(headers=headers, **asked)
    root = root_of(collector, trace)
    assert root.attributes["cube.answered_from"] == "cache"
    assert collector.below(root) == []


def test_questions_of_one_parent_stay_apart(cube: Cube, collector: Collector) -> None:
    trace, parent, headers = new_parent()
    names = ["Orders", "Customers", "Products"]
    with ThreadPoolExecutor() as clients:
        list(clients.map(lambda name: cube.post(headers=headers, measures=[f"{name}.count"]), names))
    until(lambda: sum(span.parent == parent for span in collector.spans) == len(names))
    roots = [span for span in collector.spans if span.parent == parent]
    assert {(span.trace, span.name) for span in roots} == {(trace, f"load {name}.count") for name in names}


def test_a_proxy_that_numbers_requests_changes_no_trace(cube: Cube, collector: Collector) -> None:
    trace, parent, headers = new_parent()
    cube.post(headers=headers | {"x-request-id": str(uuid.uuid4())}, measures=["Orders.count"])
    assert root_of(collector, trace).parent == parent


@pytest.mark.parametrize("header", ["", "00-" + "0" * 32 + "-" + "1" * 16 + "-01", "ff-" + "1" * 32, "?"])
def test_a_question_of_no_trace_begins_its_own(cube: Cube, collector: Collector, header: str) -> None:
    request = uuid.uuid4()
    cube.post(headers={"traceparent": header, "x-request-id": str(request)}, measures=["Orders.count"])
    assert root_of(collector, request.hex).parent == "", "the id in Cube's log leads to the trace"


def test_the_sql_api_is_traced(cube: Cube, collector: Collector) -> None:
    cube.sql("SELECT region, MEASURE(units) FROM Orders GROUP BY 1")
    root = collector.wait_for(lambda span: span.name == "load Orders.units by Orders.region")
    assert (root.attributes["cube.api"], root.parent, root.error) == ("sql", "", None)


def test_graphql_is_traced(cube: Cube, collector: Collector) -> None:
    trace, _, headers = new_parent()
    document = "{ a: cube { orders { count units } } b: cube { customers { count } } }"
    assert cube.graphql(document, headers)
    root = root_of(collector, trace)
    assert root.attributes["cube.api"] == "graphql"
    assert root.name == "load Orders.count, Orders.units, Customers.count"
    assert [span for span in collector.spans if span.trace == trace and span.parent != root.id] == [root]


def test_a_question_that_fails_says_so_without_its_values(cube: Cube, collector: Collector) -> None:
    trace, _, headers = new_parent()
    filters = [{"member": "Orders.total_amount", "operator": "gt", "values": ["much-s3cret"]}]
    assert "much-s3cret" in cube.post(headers=headers, measures=["Orders.count"], filters=filters).text
    root = root_of(collector, trace)
    assert root.error == "Conversion Error: Could not convert string"
    assert [span.error for span in collector.below(root) if span.name == "duckdb.query"] == [root.error]
    assert "much-s3cret" not in "".join(collector.bodies)


def test_a_question_that_is_refused_says_so(cube: Cube, collector: Collector) -> None:
    trace, _, headers = new_parent()
    assert cube.post(headers=headers, measures=["Orders.nonsense"]).status_code == 400
    assert root_of(collector, trace).error == "UserError"


def test_values_are_in_no_span(cube: Cube, collector: Collector) -> None:
    secret = "s3cret-value"
    trace, _, headers = new_parent()
    by_name = {"member": "Customers.name", "operator": "contains", "values": [secret]}
    dates = {"dimension": "Customers.signed_up_at", "dateRange": ["2025-07-07", "2025-08-08"]}
    cube.post(headers=headers, measures=["Customers.count", secret], filters=[by_name])
    both = {"filters": [{"and": [by_name]}], "timeDimensions": [dates]}
    cube.post(headers=headers, measures=["Customers.count"], **both)
    cube.sql(f"SELECT MEASURE(count) FROM Customers WHERE name = '{secret}'")
    with pytest.raises(psycopg2.Error):
        cube.sql("SELECT MEASURE(count) FROM Orders WHERE total_amount > 's3cret-amount'")
    root = collector.wait_for(lambda span: (span.trace, span.name) == (trace, "load Customers.count"))
    assert root.attributes["cube.filters"] == "Customers.name, Customers.signed_up_at"
    failed = collector.wait_for(lambda span: span.attributes.get("cube.api") == "sql" and bool(span.error))
    assert (failed.error, failed.attributes["cube.filters"]) == ("Conversion Error", "Orders.total_amount")
    sent = "".join(collector.bodies)
    assert "s3cret" not in sent
    assert "2025-07-07" not in sent
    assert cube.address.headers()["Authorization"] not in sent


def test_refresh_keys_are_traced_with_a_question_alone(cube: Cube, collector: Collector) -> None:
    cube.load(measures=["Orders.count"])
    time.sleep(SEND_SECONDS + 0.5)  # what the question left behind is sent
    before = len(collector.spans)
    time.sleep(3 * FRESHNESS_SECONDS + SEND_SECONDS)  # the tables' snapshots are looked at some three times
    assert collector.spans[before:] == []


def test_nobody_who_takes_the_traces_changes_no_answer(cube: Cube, away: Collector) -> None:
    orders = cube.count_orders()
    away.stop()
    lost = until(lambda: (cube.count_orders() == orders) and lines(cube, "Traces are lost"))
    assert lost[-1]["level"] == "warn"
    assert away.url in lost[-1]["warning"]
    for _ in range(30):
        assert cube.count_orders() == orders
    away.start()
    until(lambda: (cube.count_orders() == orders) and lines(cube, "Traces arrive again"))
    assert len(lines(cube, "Traces are lost")) == len(lost), "once for each time that nobody is there"


def test_the_log_says_what_it_says_without_traces(cube: Cube) -> None:
    before = len(lines(cube, "Orchestrator error"))
    filters = [{"member": "Orders.total_amount", "operator": "gt", "values": ["lots"]}]
    cube.post(measures=["Orders.count"], filters=filters)
    assert len(lines(cube, "Orchestrator error")) == before + 1


def test_off_leaves_the_logger_to_cube(cube: Cube) -> None:
    script = "console.log(typeof require('./cube.js').logger)"
    assert [run_node(cube, script, FLOE_TRACES=traces).stdout.strip() for traces in ("off", "otlp")] == [
        "undefined",
        "function",
    ]


LOOK = "queryKey: ['SELECT 1', [], false, 'default'], duration: 3, timeInQueue: 0, requestId: 'scheduler-1'"
FAILS = f"logger('Error while querying', {{ {LOOK}, error: 'IO Error' }});"
WORKS = f"logger('Performing query completed', {{ {LOOK} }});"
WAITING = """
  const requestId = `${id}-span-1`;
  const [query, securityContext] = [{ measures: ['Orders.count'] }, {}];
  logger('Load Request', { requestId, securityContext, query, apiType: 'rest' });
  logger('Continue wait', { requestId });
  logger('Continue wait', { requestId, securityContext });
  const queryKey = ['SELECT 1', [], []];
  logger('Performing query completed', { requestId, queryKey, duration: 7000, timeInQueue: 1 });
"""


def tell(cube: Cube, collector: Collector, events: str, **constants: str) -> None:
    """Let a tracer hear events of Cube's log, and send what it makes of them."""
    said = "".join(f"const {name} = {json.dumps(value)};" for name, value in constants.items())
    tracer = f"const {{ logger }} = require('./traces.js').tracing({json.dumps(collector.url)});"
    stay = f"setTimeout(() => undefined, {1000 * (SEND_SECONDS + 1)});"
    done = run_node(cube, said + tracer + events + stay)
    assert done.returncode == 0, done.stderr


def test_a_look_that_fails_is_told_when_it_begins_to(cube: Cube, collector: Collector) -> None:
    before = len(collector.spans)
    tell(cube, collector, FAILS * 3 + WORKS * 3 + FAILS)
    assert [span.name for span in collector.spans[before:] if span.error] == ["duckdb.refresh_key"] * 2


def test_the_query_of_a_question_to_be_asked_again_is_below_it(cube: Cube, collector: Collector) -> None:
    request = uuid.uuid4()
    tell(cube, collector, WAITING, id=str(request))
    root = root_of(collector, request.hex)
    assert root.attributes["cube.answered_from"] == "nothing yet"
    assert [(span.name, span.milliseconds) for span in collector.below(root)] == [("duckdb.query", 7000)]


def test_what_waits_to_be_sent_is_bounded(cube: Cube, collector: Collector) -> None:
    before = len(collector.bodies)
    tell(cube, collector, f"for (let i = 0; i < 2000; i += 1) {{ {FAILS} {WORKS} }}")
    sent = [len(spans_of(json.loads(body))) for body in collector.bodies[before:]]
    assert max(sent) == 512


def lines(cube: Cube, message: str) -> list[dict[str, str]]:
    """Lines of Cube's log with that message."""
    found = [json.loads(line) for line in cube.log.read_text().splitlines() if line.startswith("{")]
    return [line for line in found if line["message"] == message]
