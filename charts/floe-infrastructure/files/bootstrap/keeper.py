"""Keeps the lake in being: what a pod lost with its emptyDir is made anew without a hand.

Every few seconds it uses bucket and catalog as their users do. What stays missing is bootstrapped again, and
the bootstrap drops tables whose files are gone. Some things only a new pod mends, so it restarts Deployments:
Polaris, Marquez or Dagster when they are alive but their tables are gone from the database, at first soon,
then ever more seldom; and Polaris when MinIO was lost, as it hands out keys that a new MinIO does not know.
Ready while all is well.

From the environment: what storage_user.py and `floe bootstrap` need, KEEPER_SECONDS and KEEPER_NAMESPACE.
"""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx
from storage_user import UNREACHABLE, USER, ensure, login_of

from floe_pipeline.lake.errors import LakeError
from floe_pipeline.lake.lost import find_lost
from floe_pipeline.settings import Settings, load_settings

PORT: Final = 8080
STALE_AFTER: Final = 120.0  # seconds: a look and a bootstrap with all their time limits take less
CERTAIN: Final = 3  # looks in a row before anything is done: after an install the hook is at it
FIRST_PAUSE: Final = 60.0  # seconds to the next restart, doubled each time
LONGEST_PAUSE: Final = 900.0
ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
# Health is asked for at the Services that lead to a pod also when it is not ready.
CATALOG_READY: Final = "http://polaris-mgmt:8182/q/health/ready"
CATALOG_ALIVE: Final = "http://polaris-mgmt:8182/q/health/live"
LINEAGE_ALIVE: Final = "http://marquez-admin:5001/ping"
LINEAGE: Final = "http://marquez:5000/api/v1/namespaces"
# Dagster belongs to another release, which need not be there: then nothing is alive at this address.
DAGSTER_ALIVE: Final = "http://dagster-webserver:3000/server_info"
DAGSTER: Final = "http://dagster-webserver:3000/graphql?query={runsOrError(limit:1){...on Runs{results{id}}}}"
DATABASE: Final = ("postgresql", 5432)


class Kubernetes:
    """The one thing that this account may do: change the Deployments named in its Role."""

    def __init__(self, namespace: str) -> None:
        """Args: namespace: of the Deployments."""
        self._namespace = namespace

    def restart(self, deployment: str) -> None:
        """Let a Deployment make new pods, as `kubectl rollout restart` does.

        Raises:
            httpx.HTTPError: the API server does not answer or refuses.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        template = {"metadata": {"annotations": {"floe/restarted-at": now}}}
        trusted = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
        httpx.patch(
            f"https://kubernetes.default.svc/apis/apps/v1/namespaces/{self._namespace}/deployments/{deployment}",
            json={"spec": {"template": template}},
            headers={
                "Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}",
                "Content-Type": "application/strategic-merge-patch+json",
            },
            verify=trusted,
            timeout=10,
        ).raise_for_status()


@dataclass
class Suspect:
    """A Deployment that is up and yet may have lost what it stands on.

    Attributes:
        deployment: its name.
        times: how often in a row it was found so.
        pause: seconds until it may be restarted again.
        not_before: when that is, on the monotonic clock.
    """

    deployment: str
    times: int = 0
    pause: float = FIRST_PAUSE
    not_before: float = 0.0

    def found(self, lost: bool, now: float) -> bool:
        """Take note of one look; True when it is time for a restart."""
        if not lost:
            self.times = 0
            return False
        self.times += 1
        if self.times < CERTAIN or now < self.not_before:
            return False
        self.times = 0
        self.not_before = now + self.pause
        self.pause = min(2 * self.pause, LONGEST_PAUSE)
        return True


@dataclass
class Keeper:
    """Looks and repairs.

    Attributes:
        environment: what the bootstrap needs.
        settings: the same, as the pipeline reads it.
        kubernetes: restarts Deployments.
        client: for the catalog and for health checks.
        problem: what is wrong at the moment, None when nothing is.
        times: how often in a row something was missing though everything was up.
        looked: when the last look ended, on the monotonic clock.
        storage_is_new: whether Polaris has yet to forget keys of the storage that there was before.
        catalog: Polaris, whose realm may be gone from the database.
        lineage: Marquez, whose tables may be gone from it.
        dagster: its webserver, which makes the tables of all of Dagster when it starts.
    """

    environment: Mapping[str, str]
    settings: Settings
    kubernetes: Kubernetes
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=10))
    problem: str | None = "not looked yet"
    times: int = 0
    looked: float = field(default_factory=time.monotonic)
    storage_is_new: bool = False
    catalog: Suspect = field(default_factory=lambda: Suspect("polaris"))
    lineage: Suspect = field(default_factory=lambda: Suspect("marquez"))
    dagster: Suspect = field(default_factory=lambda: Suspect("dagster-webserver"))

    def tick(self) -> None:
        """Look once, and repair what stays missing while everything is up."""
        problem = self.missing()
        self.times = self.times + 1 if problem and self._servers_are_up() else 0
        if self.times >= CERTAIN and self.repair():
            problem = self.missing()
        self._note(problem)
        now = time.monotonic()
        for suspect, lost in (
            (self.catalog, self._realm_is_gone()),
            (self.lineage, self._has_lost_its_tables(LINEAGE, LINEAGE_ALIVE)),
            (self.dagster, self._has_lost_its_tables(DAGSTER, DAGSTER_ALIVE)),
        ):
            if suspect.found(lost, now):
                self._restart(suspect.deployment, "it is alive but does not work, and the database is up")
        self.looked = time.monotonic()

    def missing(self) -> str | None:
        """What a user of the lake would stumble over, or None."""
        bucket = urlsplit(self.environment["FLOE_WAREHOUSE_LOCATION"]).netloc
        try:
            if not login_of(self.environment).bucket_exists(bucket):
                return f"there is no bucket {bucket}"
        except UNREACHABLE as error:
            return f"the storage user of Polaris: {getattr(error, 'code', 'no answer')}"
        for user, namespace in (("CATALOG", "bronze"), ("CUBE", "gold")):
            try:
                self._tables(user, namespace)
            except httpx.HTTPError as error:
                return f"namespace {namespace} of the catalog: {str(error).partition(chr(10))[0]}"
        try:
            lost = find_lost(self.settings)
        except LakeError as error:
            return str(error)
        return f"no files of {', '.join(sorted(table.name for table in lost))}" if lost else None

    def repair(self) -> bool:
        """Run the bootstrap; True when it succeeded."""
        in_use = self._has_tables()
        try:
            made = ensure(self.environment)
        except UNREACHABLE as error:
            say(f"MinIO: {type(error).__name__}: {error}")
            return False
        for change in made:
            say(f"made {change}")
        self.storage_is_new |= in_use and USER in made
        done = subprocess.run(["floe", "bootstrap"], env=dict(self.environment), check=False)  # noqa: S607 - the image's PATH
        if done.returncode == 0 and self.storage_is_new:
            self._restart(
                self.catalog.deployment, "MinIO was lost, and with it the keys that were handed out"
            )
            self.storage_is_new = False
        return done.returncode == 0

    def _restart(self, deployment: str, why: str) -> None:
        say(f"restarting {deployment}: {why}")
        try:
            self.kubernetes.restart(deployment)
        except (httpx.HTTPError, OSError) as error:
            say(f"cannot restart {deployment}: {error}")

    @property
    def _catalog(self) -> str:
        return self.environment["FLOE_CATALOG_URI"]

    def _token(self, user: str) -> httpx.Response:
        """Ask for a token as CATALOG (the pipeline), CUBE or ROOT."""
        return self.client.post(
            f"{self._catalog}/v1/oauth/tokens",
            data={
                "grant_type": "client_credentials",
                "client_id": self.environment[f"FLOE_{user}_CLIENT_ID"],
                "client_secret": self.environment[f"FLOE_{user}_CLIENT_SECRET"],
                "scope": "PRINCIPAL_ROLE:ALL",
            },
        )

    def _tables(self, user: str, namespace: str) -> list[dict[str, object]]:
        """What a user may see of a namespace; raises httpx.HTTPError."""
        token = self._token(user)
        token.raise_for_status()
        url = f"{self._catalog}/v1/{self.environment['FLOE_CATALOG_NAME']}/namespaces/{namespace}/tables"
        bearer = {"Authorization": f"Bearer {token.json()['access_token']}"}
        answer = self.client.get(url, headers=bearer)
        answer.raise_for_status()
        found: list[dict[str, object]] = answer.json()["identifiers"]
        return found

    def _has_tables(self) -> bool:
        """Whether the lake was in use, so that Polaris may have handed out keys."""
        try:
            return bool(self._tables("CATALOG", "bronze"))
        except httpx.HTTPError:
            return False

    def _servers_are_up(self) -> bool:
        """Polaris and MinIO call themselves ready."""
        return self._answers(CATALOG_READY) and self._answers(
            f"{self.environment['FLOE_S3_ENDPOINT']}/minio/health/ready"
        )

    def _realm_is_gone(self) -> bool:
        """Database and Polaris are alive, and yet its root cannot log in."""
        if not self.problem or not database_is_up() or not self._answers(CATALOG_ALIVE):
            return False
        try:
            return not self._token("ROOT").is_success
        except httpx.HTTPError:
            return True

    def _has_lost_its_tables(self, works: str, alive: str) -> bool:
        """Database and server are alive, and yet a question that needs its tables cannot be asked, or fails.

        An answer that only takes too long is no such failure: a busy server is not restarted.
        """
        try:
            fails = self.client.get(works).is_server_error
        except httpx.ConnectError:
            fails = True  # it knows that it is not ready, so its Service leads nowhere
        except httpx.HTTPError:
            return False
        return fails and database_is_up() and self._answers(alive)

    def _answers(self, url: str) -> bool:
        try:
            return self.client.get(url).is_success
        except httpx.HTTPError:
            return False

    def _note(self, problem: str | None) -> None:
        if problem != self.problem:
            say(problem or "all is well")
        self.problem = problem


def database_is_up() -> bool:
    """Whether PostgreSQL lets anybody in, which it does once its databases are made."""
    try:
        with socket.create_connection(DATABASE, timeout=3):
            return True
    except OSError:
        return False


def say(text: str) -> None:
    """One line of the log."""
    print(text, flush=True)


def serve(keeper: Keeper) -> ThreadingHTTPServer:
    """Answer probes: /ready while all is well, anything else while the keeper is at work."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            at_work = time.monotonic() - keeper.looked < STALE_AFTER
            fine = keeper.problem is None if self.path == "/ready" else at_work
            self.send_response(200 if fine else 503)
            self.end_headers()
            self.wfile.write(f"{keeper.problem or 'all is well'}\n".encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named so in http.server
            """Say nothing: probes come every few seconds."""

    server = ThreadingHTTPServer(("", PORT), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def main() -> None:
    """Look until the pod is told to stop."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # the first process of a container has no default
    keeper = Keeper(os.environ, load_settings(), Kubernetes(os.environ["KEEPER_NAMESPACE"]))
    serve(keeper)
    while True:
        keeper.tick()
        time.sleep(float(os.environ["KEEPER_SECONDS"]))


if __name__ == "__main__":
    main()
