"""The programs that the chart puts beside `floe bootstrap`: waiting, the storage user, the keeper."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any

import httpx
import keeper as keeping
import pytest
import storage_user
import wait_for

from floe_pipeline.lake.errors import LakeError
from floe_pipeline.lake.lost import LostTable
from floe_pipeline.settings import Settings

ENVIRONMENT = {
    "FLOE_S3_ENDPOINT": "http://127.0.0.1:9",
    "FLOE_S3_REGION": "us-east-1",
    "FLOE_S3_ACCESS_KEY": "root",
    "FLOE_S3_SECRET_KEY": "root-password",
    "FLOE_WAREHOUSE_LOCATION": "s3://floe-warehouse/lake",
    "FLOE_CATALOG_NAME": "floe",
    "POLARIS_ACCESS_KEY": "polaris",
    "POLARIS_SECRET_KEY": "polaris-password",
    **{
        f"FLOE_{user}_CLIENT_{part}": user
        for user in ("ROOT", "CATALOG", "CUBE")
        for part in ("ID", "SECRET")
    },
}


class Lake:
    """A catalog, its health and a lineage server on one port, and a bucket; each can be taken away."""

    def __init__(self) -> None:
        self.users = {"ROOT", "CATALOG", "CUBE"}
        self.alive = True
        self.healthy = True
        self.lineage = True
        self.dagster = True
        self.lost: set[LostTable] = set()
        self.tables: list[dict[str, str]] = []
        self.database = True
        self.bucket = True
        self.storage_user = True
        self.repairs = 0
        self.bootstrap_works = True
        self.restarted: list[str] = []

    def bucket_exists(self, bucket: str) -> bool:
        assert bucket == "floe-warehouse"
        return self.bucket

    def restart(self, deployment: str) -> None:
        self.restarted.append(deployment)

    def repair(self) -> bool:
        self.repairs += 1
        if self.bootstrap_works and "ROOT" in self.users:
            self.users, self.bucket, self.lost = {"ROOT", "CATALOG", "CUBE"}, True, set()
        return self.bootstrap_works

    def answer(self, method: str, path: str, body: str) -> int:
        if path == "/alive":
            return 200 if self.alive else 503
        if path in {"/health", "/minio/health/ready"}:
            return 200 if self.healthy else 503
        if path == "/lineage":
            return 200 if self.lineage else 500
        if path == "/dagster":
            return 200 if self.dagster else 500
        if method == "POST":
            return 200 if any(f"client_id={user}&" in body for user in self.users) else 401
        return 200


@pytest.fixture
def lake() -> Lake:
    return Lake()


@pytest.fixture
def address(lake: Lake) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            self.send_response(lake.answer(self.command, self.path, body))
            self.end_headers()
            self.wfile.write(json.dumps({"access_token": "t", "identifiers": lake.tables}).encode())

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named so in http.server
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def keeper(lake: Lake, address: str, monkeypatch: pytest.MonkeyPatch) -> keeping.Keeper:
    monkeypatch.setattr(keeping, "CATALOG_READY", f"{address}/health")
    monkeypatch.setattr(keeping, "CATALOG_ALIVE", f"{address}/alive")
    monkeypatch.setattr(keeping, "LINEAGE_ALIVE", f"{address}/alive")
    monkeypatch.setattr(keeping, "database_is_up", lambda: lake.database)
    monkeypatch.setattr(keeping, "LINEAGE", f"{address}/lineage")
    monkeypatch.setattr(keeping, "DAGSTER_ALIVE", f"{address}/alive")
    monkeypatch.setattr(keeping, "DAGSTER", f"{address}/dagster")
    monkeypatch.setattr(keeping, "find_lost", lambda settings: lake.lost)
    monkeypatch.setattr(keeping, "login_of", lambda environment: lake)
    monkeypatch.setattr(keeping.Keeper, "repair", lambda self: lake.repair())
    environment = {**ENVIRONMENT, "FLOE_CATALOG_URI": address, "FLOE_S3_ENDPOINT": address}
    return keeping.Keeper(environment, Settings(), lake)  # type: ignore[arg-type]


def test_a_lake_that_is_well_is_left_alone(keeper: keeping.Keeper, lake: Lake) -> None:
    for _ in range(5):
        keeper.tick()
    assert (keeper.problem, lake.repairs, lake.restarted) == (None, 0, [])


@pytest.mark.parametrize("lost", ["bucket", "principals", "files"])
def test_what_stays_lost_is_made_anew(keeper: keeping.Keeper, lake: Lake, lost: str) -> None:
    keeper.tick()
    if lost == "bucket":
        lake.bucket = False
    elif lost == "files":
        lake.lost = {LostTable("bronze.orders", "s3://floe-warehouse/lake/bronze/orders/metadata/1.json")}
    else:
        lake.users = {"ROOT"}
    for _ in range(keeping.CERTAIN - 1):
        keeper.tick()
    assert keeper.problem is not None
    assert lake.repairs == 0, "the hook may be at it"
    keeper.tick()
    assert (keeper.problem, lake.repairs, lake.restarted) == (None, 1, [])


@pytest.mark.parametrize("ready", [True, False], ids=["calls itself ready", "knows that it is not"])
def test_a_lost_realm_restarts_polaris_once_that_is_certain(
    keeper: keeping.Keeper, lake: Lake, ready: bool
) -> None:
    lake.users, lake.bootstrap_works, lake.healthy = set(), False, ready
    for _ in range(keeping.CERTAIN - 1):
        keeper.tick()
    assert lake.restarted == []
    keeper.tick()
    assert lake.restarted == ["polaris"]
    for _ in range(3 * keeping.CERTAIN):
        keeper.tick()
    assert lake.restarted == ["polaris"], "a restart is given time"


@pytest.mark.parametrize("down", ["alive", "database"])
def test_what_no_restart_would_cure_is_not_restarted(keeper: keeping.Keeper, lake: Lake, down: str) -> None:
    lake.users, lake.bootstrap_works, lake.healthy = set(), False, False
    lake.lineage = lake.dagster = False
    setattr(lake, down, False)
    for _ in range(3 * keeping.CERTAIN):
        keeper.tick()
    assert (lake.repairs, lake.restarted) == (0, [])
    assert keeper.problem is not None


@pytest.mark.parametrize(("server", "deployment"), [("lineage", "marquez"), ("dagster", "dagster-webserver")])
def test_a_server_without_its_tables_is_restarted(
    keeper: keeping.Keeper, lake: Lake, server: str, deployment: str
) -> None:
    setattr(lake, server, False)
    for _ in range(keeping.CERTAIN):
        keeper.tick()
    assert lake.restarted == [deployment]
    assert keeper.problem is None, "the lake itself is well"


def test_a_server_that_knows_that_it_is_not_ready_is_restarted_a_slow_one_is_not(
    keeper: keeping.Keeper, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(keeping, "DAGSTER", f"http://127.0.0.1:{silent.getsockname()[1]}/")
        monkeypatch.setattr(keeping, "LINEAGE", "http://127.0.0.1:9/")
        keeper.client = httpx.Client(timeout=0.5)
        for _ in range(keeping.CERTAIN):
            keeper.tick()
    assert lake.restarted == ["marquez"]


def test_a_dagster_that_is_not_deployed_is_not_missed(
    keeper: keeping.Keeper, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    for address in ("DAGSTER", "DAGSTER_ALIVE"):
        monkeypatch.setattr(keeping, address, "http://127.0.0.1:9/")
    for _ in range(keeping.CERTAIN):
        keeper.tick()
    assert (keeper.problem, lake.restarted) == (None, [])


@pytest.mark.parametrize("tables", [["orders"], []], ids=["in use", "being installed"])
def test_a_lost_storage_restarts_polaris_which_remembers_its_keys(
    lake: Lake, address: str, monkeypatch: pytest.MonkeyPatch, tables: list[str]
) -> None:
    """Also when the keeper was away as it was lost: it asks the catalog, and remembers nothing itself."""
    environment = {**ENVIRONMENT, "FLOE_CATALOG_URI": address}
    keeper = keeping.Keeper(environment, Settings(), lake)  # type: ignore[arg-type]
    lake.tables = [{"name": name} for name in tables]
    outcomes = [1, 0, 0]
    made = [[storage_user.USER], [], []]
    monkeypatch.setattr(keeping, "ensure", lambda environment: made.pop(0))
    monkeypatch.setattr(
        keeping.subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, outcomes.pop(0))
    )
    assert [keeper.repair() for _ in range(3)] == [False, True, True]
    assert lake.restarted == (["polaris"] if tables else []), "once, when the catalog is there again"


def test_storage_or_catalog_that_tell_nothing_about_files_are_a_problem(
    keeper: keeping.Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(settings: Settings) -> set[LostTable]:
        raise LakeError("bucket 'floe-warehouse': AccessDenied")

    monkeypatch.setattr(keeping, "find_lost", refuse)
    keeper.tick()
    assert keeper.problem == "bucket 'floe-warehouse': AccessDenied"


def test_restarts_become_ever_more_seldom() -> None:
    suspect = keeping.Suspect("polaris")
    restarts = [now for now in range(0, 7200, 10) if suspect.found(True, float(now))]
    gaps = [later - sooner for sooner, later in pairwise(restarts)]
    assert gaps == sorted(gaps)
    assert gaps[0] < 90
    assert gaps[-1] >= keeping.LONGEST_PAUSE


def test_readiness_is_the_lakes_and_liveness_the_keepers(
    keeper: keeping.Keeper, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "PORT", 0)
    server = keeping.serve(keeper)
    url = f"http://127.0.0.1:{server.server_port}"
    lake.users, lake.bootstrap_works = set(), False
    keeper.tick()
    assert httpx.get(f"{url}/ready").status_code == 503
    assert "namespace bronze" in httpx.get(f"{url}/ready").text
    assert httpx.get(f"{url}/alive").status_code == 200
    lake.users = {"ROOT", "CATALOG", "CUBE"}
    keeper.tick()
    assert httpx.get(f"{url}/ready").status_code == 200
    keeper.looked -= 2 * keeping.STALE_AFTER
    assert httpx.get(f"{url}/alive").status_code == 503
    server.shutdown()
    server.server_close()


def test_waiting_ends_when_all_answer_or_names_who_does_not(
    lake: Lake, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lake.healthy = False
    threading.Timer(0.5, setattr, [lake, "healthy", True]).start()
    assert wait_for.wait(20, [f"{address}/health", f"{address}/lineage"]) == {}
    assert capsys.readouterr().out.count("waiting for") == 1
    lake.lineage = False
    assert wait_for.wait(0, [f"{address}/health", f"{address}/lineage"]).keys() == {f"{address}/lineage"}


def test_waiting_says_by_its_exit_code_whether_all_answered(lake: Lake, address: str) -> None:
    command = [sys.executable, wait_for.__file__, "0.1", f"{address}/health"]
    assert subprocess.run(command, check=False).returncode == 0
    lake.healthy = False
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"{address}/health did not answer in 0.1 s" in done.stderr


class Admin:
    """MinIO's users and policies."""

    def __init__(self) -> None:
        self.policies: dict[str, Any] = {}
        self.users: dict[str, dict[str, str]] = {}
        self.passwords: dict[str, str] = {}

    def policy_list(self) -> str:
        return json.dumps(self.policies)

    def policy_add(self, name: str, policy: dict[str, Any]) -> None:
        # MinIO keeps sets and answers in any order
        statements = [{**one, "Action": one["Action"][::-1]} for one in policy["Statement"][::-1]]
        self.policies[name] = {**policy, "Statement": statements}

    def user_list(self) -> str:
        return json.dumps(self.users)

    def user_add(self, user: str, password: str) -> None:
        self.users.setdefault(user, {})
        self.passwords[user] = password

    def policy_set(self, policy: str, user: str) -> None:
        self.users[user]["policyName"] = policy


@pytest.fixture
def admin(monkeypatch: pytest.MonkeyPatch) -> Admin:
    made = Admin()
    monkeypatch.setattr(storage_user, "MinioAdmin", lambda **_: made)
    monkeypatch.setattr(storage_user, "login_of", lambda environment: environment)
    monkeypatch.setattr(
        storage_user,
        "_accepts",
        lambda login: made.passwords.get(login["POLARIS_ACCESS_KEY"]) == login["POLARIS_SECRET_KEY"],
    )
    return made


def test_storage_user_is_made_once(admin: Admin) -> None:
    assert len(storage_user.ensure(ENVIRONMENT)) == 3
    assert storage_user.ensure(ENVIRONMENT) == []
    assert admin.users == {"polaris": {"policyName": storage_user.POLICY}}


def test_storage_user_follows_its_secret_and_its_policy(admin: Admin) -> None:
    storage_user.ensure(ENVIRONMENT)
    assert storage_user.ensure({**ENVIRONMENT, "POLARIS_SECRET_KEY": "new-password"}) == ["user of Polaris"]
    admin.users["polaris"]["policyName"] = "consoleAdmin"
    assert storage_user.ensure({**ENVIRONMENT, "POLARIS_SECRET_KEY": "new-password"}) != []
    assert admin.users["polaris"]["policyName"] == storage_user.POLICY


def test_storage_user_may_use_one_bucket_only() -> None:
    statements = storage_user.policy_of("floe-warehouse")["Statement"]
    assert {resource for one in statements for resource in one["Resource"]} == {
        "arn:aws:s3:::floe-warehouse",
        "arn:aws:s3:::floe-warehouse/*",
    }
    assert not any("*" in action for one in statements for action in one["Action"])
