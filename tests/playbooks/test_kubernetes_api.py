"""The API server is reached through kubectl; a program takes its place here and serves on the same socket."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

KUBECTL = r'''#!/usr/bin/env python3
"""Says how it was called in the folder's file `called`; serves what a context says."""
import json, os, pathlib, socketserver, sys, time
from http.server import BaseHTTPRequestHandler
here, arguments = pathlib.Path(__file__).parent, sys.argv[1:]
(here / "called").write_text(json.dumps(arguments))
options = dict(a.lstrip("-").partition("=")[::2] for a in arguments)
if options.get("context") == "gone":
    sys.exit('error: context "gone" does not exist')
if arguments[0] == "port-forward":
    print("Forwarding from 127.0.0.1:40123 -> 8181", flush=True)
    time.sleep(60)
class Server(BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path.rpartition("/")[2]
        if name == "cut":
            return
        status = {"away": 502, "refused": 500, "broken": 500, "none": 404, "secret": 403}.get(name, 200)
        text = b"dial tcp: connection refused"
        body = text if name in ("away", "refused") else {200: b'{"items": [{"a": 1}]}'}.get(
            status, json.dumps({"kind": "Status", "message": f"{name} it is"}).encode())
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_PATCH(self):
        (here / "got").write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
        (here / "type").write_text(self.headers["Content-Type"])
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def address_string(self):
        return ""
    def log_message(self, *_):
        pass
with socketserver.UnixStreamServer(options["unix-socket"], Server) as server:
    print("Starting to serve on " + options["unix-socket"], flush=True)
    (here / "mode").write_text(oct(os.stat(pathlib.Path(options["unix-socket"]).parent).st_mode & 0o777))
    server.serve_forever()
'''


@pytest.fixture
def kubectl(tmp_path: Path) -> str:
    program = tmp_path / "kubectl"
    program.write_text(KUBECTL)
    program.chmod(0o755)
    return str(program)


def called(kubectl: str) -> list[str]:
    arguments: list[str] = json.loads(Path(kubectl).with_name("called").read_text())
    return arguments


def test_what_there_is_and_what_there_is_not(kubernetes_api: ModuleType, kubectl: str) -> None:
    with kubernetes_api.kubernetes_api(kubectl, "/k", "c") as api:
        assert api.get("/api/v1/pods") == {"items": [{"a": 1}]}
        assert api.items("/api/v1/pods") == [{"a": 1}]
        assert api.get("/api/v1/none") is None
        assert api.items("/api/v1/none") == []
    assert {"--kubeconfig=/k", "--context=c"} <= set(called(kubectl))
    assert Path(kubectl).with_name("mode").read_text() == "0o700"


def test_variables_of_the_play_say_where(
    kubernetes_api: ModuleType, kubectl: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("K8S_AUTH_KUBECONFIG", "/play")
    monkeypatch.setenv("K8S_AUTH_CONTEXT", "")
    with kubernetes_api.kubernetes_api(kubectl, None, None):
        pass
    assert "--kubeconfig=/play" in called(kubectl)
    assert not any("--context" in argument for argument in called(kubectl))


def test_a_body_goes_as_what_it_is(kubernetes_api: ModuleType, kubectl: str) -> None:
    with kubernetes_api.kubernetes_api(kubectl, None, None) as api:
        api.send("PATCH", "/api/v1/secrets/a", {"stringData": {"a": "hush"}}, kubernetes_api.MERGE_PATCH)
    assert json.loads(Path(kubectl).with_name("got").read_text()) == {"stringData": {"a": "hush"}}
    assert Path(kubectl).with_name("type").read_text() == "application/merge-patch+json"
    assert "hush" not in str(called(kubectl))


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/secret", 403, "secret it is"),
        ("/broken", 500, "broken it is"),
        ("/away", 0, "dial tcp: connection refused"),  # which kubectl says with either of two statuses
        ("/refused", 0, "dial tcp: connection refused"),
        ("/cut", 0, "no answer"),
    ],
)
def test_refusals_are_told_apart_from_no_answer(
    kubernetes_api: ModuleType, kubectl: str, path: str, status: int, says: str
) -> None:
    with (
        kubernetes_api.kubernetes_api(kubectl, None, None) as api,
        pytest.raises(kubernetes_api.ApiError, match=says) as refused,
    ):
        api.get(path)
    assert refused.value.status == status


def test_kubectl_says_why_it_cannot(kubernetes_api: ModuleType, kubectl: str, tmp_path: Path) -> None:
    for program, says in ((kubectl, 'context "gone" does not exist'), (f"{tmp_path}/no", "No such file")):
        with (
            pytest.raises(kubernetes_api.ApiError, match=says),
            kubernetes_api.kubernetes_api(program, None, "gone"),
        ):
            pass


def test_a_forward_gives_its_port(kubernetes_api: ModuleType, kubectl: str) -> None:
    with kubernetes_api.forwarded(kubectl, None, None, namespace="n", target="pod/p", port=8181) as port:
        assert port == 40123
    assert called(kubectl)[1:] == ["--address=127.0.0.1", "--namespace=n", "pod/p", ":8181"]


class Records:
    """Serves Secrets of a release's revisions."""

    def __init__(self, *records: dict[str, Any]) -> None:
        self.secrets = [self._secret(record) for record in records]

    @staticmethod
    def _secret(record: dict[str, Any]) -> dict[str, Any]:
        packed = base64.b64encode(base64.b64encode(gzip.compress(json.dumps(record).encode())))
        labels = {"version": str(record["version"])}
        return {"metadata": {"labels": labels}, "data": {"release": packed.decode()}}

    def items(self, _: str) -> list[dict[str, Any]]:
        return self.secrets


def revision(version: int = 1, status: str = "deployed", **config: Any) -> dict[str, Any]:
    chart = {"metadata": {"name": "cube", "version": "0.1.0+abc"}}
    return {"version": version, "info": {"status": status}, "chart": chart, "config": config}


def test_the_last_revision_counts(helm_record: ModuleType) -> None:
    assert helm_record.last_record(Records(revision(9), revision(10), revision(8)), "n", "r")["version"] == 10
    assert helm_record.last_record(Records(), "n", "r") is None


@pytest.mark.parametrize(
    ("record", "same"),
    [
        (revision(replicas=1, image={"tag": "1"}), True),
        (revision(replicas=1.0, image={"tag": "1"}), True),
        (revision(replicas=True, image={"tag": "1"}), False),
        (revision(replicas=1, image={"tag": 1}), False),
        (revision(replicas=1), False),
        (revision(status="failed", replicas=1, image={"tag": "1"}), False),
        (revision(status="pending-upgrade", replicas=1, image={"tag": "1"}), False),
        (None, False),
    ],
)
def test_what_counts_as_the_same(helm_record: ModuleType, record: dict[str, Any] | None, same: bool) -> None:
    values = {"image": {"tag": "1"}, "replicas": 1}
    assert helm_record.is_of(record, "cube", "0.1.0+abc", values) == same
    assert not helm_record.is_of(record, "cube", "0.1.0+abd", values)
