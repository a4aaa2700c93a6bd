"""What can be wrong with a stack, each with its remedy, in the order in which one brings about the next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from floe_pipeline.doctor import Finding
from floe_stack.checks.pods import PARTS
from floe_stack.checks.releases import RELEASES
from floe_stack.connection import Connection
from floe_stack.dagster import SCHEDULE, SENSOR, SUCCESS, Instigator
from floe_stack.state import CRASHES, MART, Pod, State

PAGE: Final = "docs/troubleshooting.md"
# Why a container waits -> heading; the same as a deploy names (release_state of role helm_release).
WAITING: Final = {
    "ErrImagePull": "an-image-cannot-be-pulled",
    "ImagePullBackOff": "an-image-cannot-be-pulled",
    "ErrImageNeverPull": "an-image-cannot-be-pulled",
    "InvalidImageName": "an-image-cannot-be-pulled",
    "CreateContainerConfigError": "a-secret-or-configmap-is-missing",
    "CreateContainerError": "a-container-cannot-be-created",
    "RunContainerError": "a-container-cannot-be-created",
    CRASHES: "a-container-keeps-crashing",
}
INFRASTRUCTURE, DAGSTER, CUBE = RELEASES
DEPLOYS: Final = {INFRASTRUCTURE: "infra", DAGSTER: "dagster", CUBE: "cube"}  # make deploy-local-...
# Part -> its release, and who says why it does not answer.
SPEAKS_FOR: Final = {
    "Dagster": (DAGSTER, "dagster-webserver"),
    "the lake": (INFRASTRUCTURE, "polaris"),
    "Cube": (CUBE, "cube"),
    "Jaeger": (INFRASTRUCTURE, "jaeger"),
    "Marquez": (INFRASTRUCTURE, "marquez"),
}
STALE_SECONDS: Final = 30.0  # Cube looks for new snapshots every two seconds (freshnessSeconds)
BRONZE: Final = "bronze.orders"


def findings(state: State, connection: Connection) -> list[Finding]:
    """Everything that was looked at, with a remedy where something is wrong or may be done."""
    if _is_empty(state):
        remedy = f"make deploy-local-full{connection.argument}"
        return [Finding("stack", True, f"nothing is deployed in namespace {connection.namespace}", remedy)]
    return list(_Judge(state, connection).everything())


def _is_empty(state: State) -> bool:
    return not (state.pods or state.releases or state.problems)


def next_step(state: State, connection: Connection) -> str:
    """The one thing to do now: about the first of what is wrong, else what there is to see."""
    for found in findings(state, connection):
        if not found.ok or _is_empty(state):
            return f"{found.what}: {found.seen}: {found.remedy}"
    more = connection.argument
    return f"all is well: make port-forward{more} opens everything, make generate{more} adds orders"


def _see(heading: str) -> str:
    return f"see {PAGE}#{heading}"


def _no(what: str, seen: str, remedy: str) -> Finding:
    return Finding(what, False, seen, remedy)


def _or_well(faults: Iterable[Finding], what: str, seen: str) -> list[Finding]:
    return list(faults) or [Finding(what, True, seen)]


@dataclass(frozen=True)
class _Judge:
    state: State
    connection: Connection

    def everything(self) -> Iterator[Finding]:
        state = self.state
        revisions = ", ".join(f"{name} {each.revision}" for name, each in state.releases.items())
        yield from self._unasked()
        yield from _or_well(self._releases(), "releases", f"deployed: {revisions}")
        yield from self._hooks()
        if "Kubernetes" not in state.problems:
            yield from _or_well(self._pods(), "pods", f"{len(state.pods)} are ready")
        yield from map(self._evicted, state.evicted)
        yield from self._parts()
        if state.rows is not None and self._has(DAGSTER):
            yield self._tables(state.rows)
        if state.run:
            yield self._last_run()
        for name, what in ((SENSOR, state.sensor), (SCHEDULE, state.schedule)):
            if what:
                yield self._automation(name, what)
        if state.counted is not None and state.rows and MART in state.rows:
            yield self._freshness(state.counted, state.rows[MART])

    def _unasked(self) -> Iterator[Finding]:
        for kind, problem in self.state.problems.items():
            if kind not in SPEAKS_FOR:
                yield _no(kind, f"cannot be asked: {problem}", _see("the-context-or-the-api-server"))

    def _releases(self) -> Iterator[Finding]:
        for name in RELEASES:
            release = self.state.releases.get(name)
            again = f"make deploy-local-{DEPLOYS[name]}{self.connection.argument}"
            if not self._has(name):
                yield _no(f"release {name}", "it is not deployed", again)
            elif release and release.status != "deployed":
                under_way = release.status.startswith("pending")
                heading = "a-deploy-was-killed" if under_way else "a-deploy-stops"
                when = "unless a deploy is under way now, " if under_way else ""
                seen = f"its revision {release.revision} is {release.status}"
                yield _no(f"release {name}", seen, f"{when}{again}; {_see(heading)}")

    def _hooks(self) -> Iterator[Finding]:
        for job, words in self.state.failed_hooks.items():
            yield _no(f"job {job}", f"it failed: {words}", _see("the-bootstrap-job-failed"))

    def _pods(self) -> Iterator[Finding]:
        for pod in self.state.pods:
            yield from self._pod(pod)
        there = {pod.part for pod in self.state.pods}
        for part in sorted(set(PARTS) - there) if self.state.releases.keys() >= set(RELEASES) else ():
            yield _no(f"pod {part}", "there is none", _see("pods-are-refused-by-the-namespace"))

    def _pod(self, pod: Pod) -> Iterator[Finding]:
        what, state = f"pod {pod.part}", f"{pod.name} is {pod.state}{f': {pod.why}' if pod.why else ''}"
        if pod.last_end == "OOMKilled":
            seen = f"{pod.name} was out of memory (OOMKilled), restarted {pod.restarts} times"
            yield _no(what, seen, _see("oomkilled"))
        if pod.state in WAITING:
            yield _no(what, state, _see(WAITING[pod.state]))
        elif pod.state == "Pending":
            lacks = "Insufficient" in pod.why
            yield _no(what, state, _see("not-enough-memory-or-cpu" if lacks else "a-pod-stays-pending"))
        elif not pod.ready:
            yield _no(what, f"{state}, not ready", self._logs(pod.part))

    def _evicted(self, pod: Pod) -> Finding:
        """No fault of the stack, which goes on with another pod; the node may lack something for good."""
        heading = "oomkilled" if "memory" in pod.why else "a-disk-is-full"
        forget = f"kubectl --namespace {self.connection.namespace} delete pod {pod.name}"
        return Finding(
            "evicted pod", True, f"{pod.name}: {pod.why}", f"{_see(heading)}; to forget it: {forget}"
        )

    def _parts(self) -> Iterator[Finding]:
        problems = self.state.problems
        for part, (release, speaker) in SPEAKS_FOR.items():
            if not self._has(release):
                continue  # which is said of the release
            if part not in problems:
                yield Finding(part, True, "it answers")
            else:
                see = f"; {_see('cube-answers-503')}" if part == "Cube" else ""
                yield _no(part, f"does not answer: {problems[part]}", f"{self._logs(speaker)}{see}")

    def _has(self, release: str) -> bool:
        """Whether a release is there; one that Helm could not be asked about is believed to be."""
        return release in self.state.releases or "Helm" in self.state.problems

    def _tables(self, rows: dict[str, int]) -> Finding:
        if rows.get(BRONZE):
            told = ", ".join(f"{name} {count:,}" for name, count in rows.items() if count)
            return Finding("tables", True, f"rows: {told}")
        remedy = f"the sensor seeds them within half a minute; else {self._logs('dagster-daemon')}"
        return _no("tables", "the tables are empty", remedy)

    def _last_run(self) -> Finding:
        run = self.state.run
        assert run
        at = datetime.fromtimestamp(run.created, UTC).astimezone().strftime("%H:%M:%S")
        seen = f"{run.job} of {at} is {run.status}"
        if not run.ended or run.status == SUCCESS:
            return Finding("last run", True, seen)
        why = f": {self.state.why_failed}" if self.state.why_failed else ""
        remedy = f"{_see('a-run-failed-or-is-there-twice')}; {self._logs('dagster-code')}"
        return _no("last run", f"{seen}{why}", remedy)

    def _automation(self, name: str, found: Instigator) -> Finding:
        what = "sensor" if name == SENSOR else "schedule"
        if found.is_on:
            return Finding(what, True, f"{name} is on{f', cron {found.cron}' if found.cron else ''}")
        more = self.connection.argument
        until = "" if name == SENSOR else f"; until then make generate{more}"
        remedy = f"switch it on in Dagster's UI under Automation (make port-forward{more}){until}"
        return _no(what, f"{name} is off", remedy)

    def _freshness(self, counted: int, rows: int) -> Finding:
        since = self.state.fresh_seconds or 0.0
        seen = f"Cube counts {counted:,} orders, {MART} has had {rows:,} for {since:.0f} s"
        if counted == rows or since < STALE_SECONDS:
            return Finding("Cube's data", True, seen)
        return _no("Cube's data", f"{seen}: it is stale", self._logs("cube"))

    def _logs(self, part: str) -> str:
        return f"make logs SERVICE={part}{self.connection.argument}"
