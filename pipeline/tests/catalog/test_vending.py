"""Keys handed out for S3: how narrow they are, how long they live, who gets which."""

from __future__ import annotations

import json
import os
import secrets
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pyarrow as pa
import pytest
from minio import Minio
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.io import FileIO, InputFile, OutputFile
from pyiceberg.io.pyarrow import PyArrowFileIO
from starlette.testclient import TestClient

from floe_catalog.app import api_app, build_services
from floe_catalog.config import CatalogConfig, S3Config
from floe_catalog.errors import BadRequestError, ServiceUnavailableError
from floe_catalog.serve import start
from floe_catalog.storage import Storage
from floe_catalog.store import CatalogRow
from floe_catalog.vending import CredentialVendor, SessionKeys, session_policy

MINIO = {name: os.environ.get(f"FLOE_TEST_MINIO_{name}", "") for name in ("URL", "ACCESS_KEY", "SECRET_KEY")}
S3 = S3Config("server-key", "server-secret")
STORAGE = {
    "storageType": "S3",
    "allowedLocations": ["s3://bucket/lake"],
    "endpoint": "http://minio:9000",
    "stsEndpoint": "http://minio:9000",
    "pathStyleAccess": True,
    "region": "eu-west-9",
}
TABLE = ("s3://bucket/lake/gold/orders",)


def catalog(**storage: object) -> CatalogRow:
    properties = {"default-base-location": "s3://bucket/lake"}
    return CatalogRow(1, "lake", "INTERNAL", {**STORAGE, **storage}, properties, 0, 0, 1)


class FakeSts:
    """Counts what it is asked and answers keys of a given life."""

    def __init__(self, life: float = 3600) -> None:
        self.life = life
        self.policies: list[dict[str, Any]] = []

    def __call__(self, _catalog: CatalogRow, policy: str) -> SessionKeys:
        self.policies.append(json.loads(policy))
        number = len(self.policies)
        expires = datetime.now(UTC) + timedelta(seconds=self.life)
        return SessionKeys(f"key{number}", f"secret{number}", f"token{number}", expires)


def allowed(policy: dict[str, Any]) -> dict[str, tuple[list[str], Any]]:
    """Action -> (resources, condition)."""
    return {
        action: (statement["Resource"], statement.get("Condition"))
        for statement in policy["Statement"]
        for action in statement["Action"]
    }


class TestPolicy:
    def test_reader_gets_and_lists_the_tables_prefix_alone(self) -> None:
        objects, only = ["arn:aws:s3:::bucket/lake/gold/orders/*"], ["lake/gold/orders/*"]
        assert allowed(json.loads(session_policy(TABLE, write=False))) == {
            "s3:GetObject": (objects, None),
            "s3:GetObjectVersion": (objects, None),
            "s3:ListBucket": (["arn:aws:s3:::bucket"], {"StringLike": {"s3:prefix": only}}),
            "s3:GetBucketLocation": (["arn:aws:s3:::bucket"], None),
        }

    def test_writer_puts_and_deletes_there_too(self) -> None:
        rights = allowed(json.loads(session_policy(TABLE, write=True)))
        for action in ("s3:PutObject", "s3:DeleteObject"):
            assert rights[action] == (["arn:aws:s3:::bucket/lake/gold/orders/*"], None)

    def test_every_location_of_a_table(self) -> None:
        policy = json.loads(session_policy((*TABLE, "s3://other/data/"), write=True))
        rights = allowed(policy)
        assert rights["s3:PutObject"][0] == [
            "arn:aws:s3:::bucket/lake/gold/orders/*",
            "arn:aws:s3:::other/data/*",
        ]
        lists = [s["Resource"] for s in policy["Statement"] if "s3:ListBucket" in s["Action"]]
        assert lists == [["arn:aws:s3:::bucket"], ["arn:aws:s3:::other"]]

    def test_wildcards_in_a_name_stand_for_themselves(self) -> None:
        policy = json.loads(session_policy(("s3://bucket/a*b?",), write=False))
        assert allowed(policy)["s3:GetObject"][0] == ["arn:aws:s3:::bucket/a${*}b${?}/*"]

    def test_whole_bucket(self) -> None:
        policy = json.loads(session_policy(("s3://bucket",), write=False))
        assert allowed(policy)["s3:GetObject"][0] == ["arn:aws:s3:::bucket/*"]


class TestVendor:
    def test_client_properties(self) -> None:
        config = CredentialVendor(S3, FakeSts()).vend(catalog(), TABLE, write=True)
        life = int(config.pop("s3.session-token-expires-at-ms")) / 1000 - datetime.now(UTC).timestamp()
        assert 3500 < life <= 3600
        assert config == {
            "s3.access-key-id": "key1",
            "s3.secret-access-key": "secret1",
            "s3.session-token": "token1",
            "s3.endpoint": "http://minio:9000",
            "s3.path-style-access": "true",
            "s3.region": "eu-west-9",
            "client.region": "eu-west-9",
        }

    def test_keys_are_reused_by_table_and_rights(self) -> None:
        sts = FakeSts()
        vendor = CredentialVendor(S3, sts)
        other = ("s3://bucket/lake/gold/customers",)
        for _ in range(2):
            keys = [
                vendor.vend(catalog(), locations, write=write)["s3.access-key-id"]
                for locations, write in ((TABLE, True), (TABLE, False), (other, False))
            ]
            assert keys == ["key1", "key2", "key3"]
        assert ["s3:PutObject" in allowed(policy) for policy in sts.policies] == [True, False, False]

    def test_keys_past_half_their_life_are_not_handed_out_again(self) -> None:
        vendor = CredentialVendor(S3, FakeSts(life=S3.credential_seconds / 2 - 1))
        assert vendor.vend(catalog(), TABLE, write=False)["s3.access-key-id"] == "key1"
        assert vendor.vend(catalog(), TABLE, write=False)["s3.access-key-id"] == "key2"

    def test_without_sts_or_keys_it_says_so(self) -> None:
        with pytest.raises(BadRequestError, match="storage has no STS"):
            CredentialVendor(S3, FakeSts()).vend(catalog(stsUnavailable=True), TABLE, write=False)
        with pytest.raises(BadRequestError, match="server has no S3 keys"):
            CredentialVendor(None, FakeSts()).vend(catalog(), TABLE, write=False)

    def test_local_files_need_no_keys(self) -> None:
        sts = FakeSts()
        assert CredentialVendor(None, sts).vend(catalog(storageType="FILE"), TABLE, write=True) == {}
        assert sts.policies == []


class TestSts:
    """The request to STS and what becomes of the answer, against a stub that speaks STS' XML."""

    @pytest.fixture
    def sts(self) -> Iterator[tuple[str, list[dict[str, str]], dict[str, Any]]]:
        """Its URL, the forms it was sent, and the answer to give (status, expiry)."""
        forms: list[dict[str, str]] = []
        answer = {"status": 200, "expires": "2099-01-02T03:04:05Z"}

        class Stub(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                forms.append(dict(parse_qsl(body)))
                xml = (
                    '<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>'
                    "<Credentials><AccessKeyId>AK</AccessKeyId><SecretAccessKey>SK</SecretAccessKey>"
                    f"<SessionToken>ST</SessionToken><Expiration>{answer['expires']}</Expiration>"
                    "</Credentials></AssumeRoleResult></AssumeRoleResponse>"
                ).encode()
                self.send_response(int(str(answer["status"])))
                self.send_header("Content-Length", str(len(xml)))
                self.end_headers()
                self.wfile.write(xml)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        with ThreadingHTTPServer(("127.0.0.1", 0), Stub) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            yield f"http://127.0.0.1:{server.server_port}", forms, answer
            server.shutdown()
            thread.join()

    def test_asks_with_the_policy_and_takes_keys_and_expiry(self, sts: Any) -> None:
        url, forms, _ = sts
        vendor = CredentialVendor(S3)
        config = vendor.vend(catalog(stsEndpoint=url), TABLE, write=False)
        assert (config["s3.access-key-id"], config["s3.session-token"]) == ("AK", "ST")
        expires = datetime(2099, 1, 2, 3, 4, 5, tzinfo=UTC)
        assert config["s3.session-token-expires-at-ms"] == str(int(expires.timestamp()) * 1000)
        assert vendor.vend(catalog(stsEndpoint=url), TABLE, write=False) == config
        (form,) = forms
        assert (form["Action"], form["DurationSeconds"]) == ("AssumeRole", "3600")
        assert json.loads(form["Policy"]) == json.loads(session_policy(TABLE, write=False))
        assert "RoleArn" not in form

    def test_refusal_is_told_as_unavailable(self, sts: Any) -> None:
        url, _, answer = sts
        answer["status"] = 403
        with pytest.raises(ServiceUnavailableError, match=f"STS at {url} gave no keys"):
            CredentialVendor(S3).vend(catalog(stsEndpoint=url), TABLE, write=False)


class _BucketsOnDisk(FileIO):
    """s3://bucket/key as a file below a directory."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory
        self._files = PyArrowFileIO()

    def _on_disk(self, location: Any) -> str:
        return str(location).replace("s3://", f"file://{self._directory}/")

    def new_input(self, location: str) -> InputFile:
        return self._files.new_input(self._on_disk(location))

    def new_output(self, location: str) -> OutputFile:
        return self._files.new_output(self._on_disk(location))

    def delete(self, location: Any) -> None:
        self._files.delete(self._on_disk(location))


class TestResponses:
    """LoadTable on an S3 catalog whose bucket is a directory and whose STS is a fake."""

    @pytest.fixture
    def sts(self) -> FakeSts:
        return FakeSts()

    @pytest.fixture
    def client(self, tmp_path: Path, sts: FakeSts, monkeypatch: pytest.MonkeyPatch) -> TestClient:
        monkeypatch.setattr(Storage, "_io", lambda _self, _catalog: _BucketsOnDisk(tmp_path))
        monkeypatch.setattr(CredentialVendor, "_ask_sts", lambda _self, row, policy: sts(row, policy))
        config = CatalogConfig(f"sqlite:///{tmp_path}/c.db", "root", "secret", s3=S3)
        client = TestClient(api_app(build_services(config)))
        form = {"grant_type": "client_credentials", "scope": "PRINCIPAL_ROLE:ALL"}
        answer = client.post(
            "/api/catalog/v1/oauth/tokens", data={**form, "client_id": "root", "client_secret": "secret"}
        )
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        body = {
            "name": "lake",
            "type": "INTERNAL",
            "properties": {"default-base-location": "s3://bucket/lake"},
            "storageConfigInfo": STORAGE,
        }
        client.post("/api/management/v1/catalogs", json={"catalog": body}).raise_for_status()
        self._grant(client, "TABLE_WRITE_DATA")
        client.post("/api/catalog/v1/lake/namespaces", json={"namespace": ["n"]}).raise_for_status()
        schema = {"type": "struct", "fields": [{"id": 1, "name": "id", "type": "long", "required": False}]}
        table = {"name": "t", "schema": schema}
        client.post("/api/catalog/v1/lake/namespaces/n/tables", json=table).raise_for_status()
        return client

    @staticmethod
    def _grant(client: TestClient, privilege: str, method: str = "PUT") -> None:
        grants = "/api/management/v1/catalogs/lake/catalog-roles/catalog_admin/grants"
        grant = {"type": "catalog", "privilege": privilege}
        client.request(method, grants, json={"grant": grant}).raise_for_status()

    @staticmethod
    def _load(client: TestClient, path: str = "", **headers: str) -> dict[str, Any]:
        answer = client.get(f"/api/catalog/v1/lake/namespaces/n/tables/t{path}", headers=headers)
        answer.raise_for_status()
        return answer.json()

    def test_keys_only_when_asked_for(self, client: TestClient, sts: FakeSts) -> None:
        plain = self._load(client)
        assert plain["config"] == {}
        assert "storage-credentials" not in plain
        assert sts.policies == []
        loaded = self._load(client, **{"X-Iceberg-Access-Delegation": "vended-credentials"})
        (credential,) = loaded["storage-credentials"]
        assert credential == {"prefix": "s3://bucket/lake/n/t", "config": loaded["config"]}
        assert loaded["config"]["s3.session-token"] == "token1"
        assert self._load(client, "/credentials")["storage-credentials"] == [credential]

    def test_reader_gets_keys_that_cannot_write(self, client: TestClient, sts: FakeSts) -> None:
        self._grant(client, "TABLE_WRITE_DATA", "POST")  # POST revokes
        self._grant(client, "TABLE_READ_DATA")
        self._load(client, **{"X-Iceberg-Access-Delegation": "vended-credentials"})
        assert "s3:PutObject" not in allowed(sts.policies[-1])

    def test_staged_create_gets_keys_for_what_will_be(self, client: TestClient, sts: FakeSts) -> None:
        schema = {"type": "struct", "fields": [{"id": 1, "name": "id", "type": "long", "required": False}]}
        body = {"name": "staged", "schema": schema, "stage-create": True}
        answer = client.post(
            "/api/catalog/v1/lake/namespaces/n/tables",
            json=body,
            headers={"X-Iceberg-Access-Delegation": "vended-credentials"},
        ).json()
        assert answer["storage-credentials"][0]["prefix"] == "s3://bucket/lake/n/staged"
        resources = allowed(sts.policies[-1])["s3:PutObject"][0]
        assert resources == ["arn:aws:s3:::bucket/lake/n/staged/*"]

    def test_remote_signing_is_refused(self, client: TestClient) -> None:
        headers = {"X-Iceberg-Access-Delegation": "remote-signing"}
        answer = client.get("/api/catalog/v1/lake/namespaces/n/tables/t", headers=headers)
        assert answer.status_code == 400


@pytest.mark.skipif(not all(MINIO.values()), reason="FLOE_TEST_MINIO_URL, _ACCESS_KEY, _SECRET_KEY not set")
class TestMinio:
    """The same against a real MinIO: the keys open the table's prefix and nothing else."""

    @pytest.fixture
    def bucket(self) -> str:
        host = httpx.URL(MINIO["URL"])
        client = Minio(
            host.netloc.decode(),
            access_key=MINIO["ACCESS_KEY"],
            secret_key=MINIO["SECRET_KEY"],
            secure=host.scheme == "https",
        )
        name = f"floe-test-{secrets.token_hex(4)}"
        client.make_bucket(name)
        return name

    def test_end_to_end(self, bucket: str, tmp_path: Path) -> None:
        s3 = S3Config(MINIO["ACCESS_KEY"], MINIO["SECRET_KEY"], credential_seconds=900)
        config = CatalogConfig(f"sqlite:///{tmp_path}/c.db", "root", "secret", s3=s3)
        base = f"s3://{bucket}/lake"
        storage = {**STORAGE, "allowedLocations": [base], "region": "us-east-1"}
        storage |= {"endpoint": MINIO["URL"], "stsEndpoint": MINIO["URL"]}
        with start(config) as running, httpx.Client() as root:
            form = {"grant_type": "client_credentials", "scope": "PRINCIPAL_ROLE:ALL"}
            form |= {"client_id": "root", "client_secret": "secret"}
            token = root.post(f"{running.uri}/v1/oauth/tokens", data=form).json()["access_token"]
            root.headers["Authorization"] = f"Bearer {token}"
            body = {
                "name": "lake",
                "type": "INTERNAL",
                "properties": {"default-base-location": base},
                "storageConfigInfo": storage,
            }
            manage = running.management_uri
            root.post(f"{manage}/catalogs", json={"catalog": body}).raise_for_status()
            grants = f"{manage}/catalogs/lake/catalog-roles/catalog_admin/grants"
            write = {"grant": {"type": "catalog", "privilege": "CATALOG_MANAGE_CONTENT"}}
            root.put(grants, json=write).raise_for_status()
            catalog = RestCatalog(
                "lake",
                **{
                    "uri": running.uri,
                    "oauth2-server-uri": f"{running.uri}/v1/oauth/tokens",
                    "warehouse": "lake",
                    "credential": "root:secret",
                    "scope": "PRINCIPAL_ROLE:ALL",
                },
            )
            rows = pa.table({"id": pa.array([1, 2, 3], pa.int64())})
            catalog.create_namespace("n")
            for name in ("t", "u"):
                catalog.create_table(f"n.{name}", rows.schema).append(rows)
            assert catalog.load_table("n.t").scan().to_arrow() == rows
            own, other = catalog.load_table("n.t"), catalog.load_table("n.u")
            with pytest.raises(OSError, match=r"ACCESS_DENIED|Access Denied|AccessDenied"):
                own.io.new_input(other.metadata_location).open()
            root.post(grants, json=write).raise_for_status()  # revokes
            read = {"grant": {"type": "catalog", "privilege": "TABLE_READ_DATA"}}
            root.put(grants, json=read).raise_for_status()
            reader = catalog.load_table("n.t")
            assert reader.scan().to_arrow() == rows
            with (
                pytest.raises(OSError, match=r"ACCESS_DENIED|Access Denied|AccessDenied"),
                reader.io.new_output(f"{reader.location()}/data/forbidden").create() as stream,
            ):
                stream.write(b"x")
