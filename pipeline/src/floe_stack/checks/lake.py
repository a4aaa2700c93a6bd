"""FR-005, FR-007, FR-008, B6: what each principal may do, and what the keys that it is given can open."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import httpx
from minio import Minio
from minio.error import S3Error
from pyiceberg.table import Table

from floe_pipeline.lake.access import Principal, check_access
from floe_pipeline.lake.management import fetch_token, http_client
from floe_pipeline.lake.tables import GOLD_NAMESPACE, NAMESPACES
from floe_stack.checks.finding import Finding, Question, judged
from floe_stack.doors import STORAGE
from floe_stack.stack import CUBE_PRINCIPAL_SECRET, PIPELINE_SECRET, Stack

ROOT_OF_STORAGE: Final = "floe-minio"
MINE, OTHER = "gold.orders", "gold.customers"
ACCESS, SECRET, SESSION = "s3.access-key-id", "s3.secret-access-key", "s3.session-token"
DENIED: Final = "AccessDenied"


def _access(stack: Stack) -> list[Finding]:
    """Both principals try, with their own tokens; the bootstrap's own look, repeated from outside."""
    job = stack.kubectl.json("get", "job", "floe-bootstrap", "--output", "json")
    wrong = [] if job["status"].get("succeeded") else ["the Job floe-bootstrap did not succeed"]
    writer, reader = stack.secret(PIPELINE_SECRET), stack.secret(CUBE_PRINCIPAL_SECRET)
    principals = [
        Principal("pipeline", writer["client-id"], writer["client-secret"], NAMESPACES, NAMESPACES),
        Principal("cube", reader["client-id"], reader["client-secret"], (GOLD_NAMESPACE,), ()),
    ]
    tried = check_access(stack.settings(), principals)  # raises when one is not as wanted
    table = [
        f"{each.principal} may {'' if each.allowed else 'not '}{each.action} {each.namespace}"
        for each in tried
    ]
    seen = "bootstrapped; cube reads gold and nothing else" if not wrong else wrong[0]
    return [judged(wrong, seen, tried=table)]


def _oauth(stack: Stack) -> list[Finding]:
    settings, secret = stack.settings(), stack.secret(PIPELINE_SECRET)
    with http_client() as client:
        right = fetch_token(client, settings, secret["client-id"], secret["client-secret"])
        guess = fetch_token(client, settings, secret["client-id"], "a guess")
        url = f"{settings.catalog_uri}/v1/{settings.catalog_name}/namespaces"
        without = client.get(url)
    wrong = []
    if not right.is_success:
        wrong.append(f"the pipeline's own credentials are answered {right.status_code}")
    if guess.is_success:
        wrong.append("a guessed secret is given a token")
    if without.status_code != httpx.codes.UNAUTHORIZED:
        wrong.append(f"a question without a token is answered {without.status_code}, not 401")
    seconds = right.json().get("expires_in") if right.is_success else None
    return [judged(wrong, f"tokens for {seconds} s; 401 without one", expires_in=seconds)]


def _client(stack: Stack, access: str, secret: str, session: str | None = None) -> Minio:
    place = urlsplit(stack.forwards.address(STORAGE))
    return Minio(
        place.netloc,
        access_key=access,
        secret_key=secret,
        session_token=session,
        region="us-east-1",
        secure=False,
    )


def vended(stack: Stack, table: Table) -> Minio:
    """A client of MinIO with nothing but the keys that the catalog handed out with a table."""
    given = table.io.properties
    return _client(stack, given[ACCESS], given[SECRET], given[SESSION])


def place_of(location: str) -> tuple[str, str]:
    """Bucket and prefix of a table's location."""
    parts = urlsplit(location)
    return parts.netloc, parts.path.strip("/") + "/"


def _files(stack: Stack) -> list[Finding]:
    """Every live file of every table, by the catalog, is in MinIO's listing by MinIO's own account."""
    root = stack.secret(ROOT_OF_STORAGE)
    storage = _client(stack, root["rootUser"], root["rootPassword"])
    wrong, live, objects, size = [], 0, 0, 0
    for name, table in stack.lake().tables().items():
        bucket, prefix = place_of(table.location())
        listed = {
            f"s3://{bucket}/{each.object_name}": each.size or 0
            for each in storage.list_objects(bucket, prefix=prefix, recursive=True)
        }
        files = [task.file.file_path for task in table.scan().plan_files()]
        wrong += [f"{name}: {path} is not in MinIO" for path in files if path not in listed]
        live, objects, size = live + len(files), objects + len(listed), size + sum(listed.values())
    if not live:
        wrong.append("no table has a file")
    seen = f"{live} live files among {objects} objects, {size / 2**20:.1f} MiB"
    return [judged(wrong, seen, live_files=live, objects=objects, bytes=size)]


def _keys(stack: Stack) -> list[Finding]:
    """Keys that come with a table open that table, no other, and a reader's open it for reading only."""
    root = stack.secret(ROOT_OF_STORAGE)
    writer, reader = stack.lake(), stack.lake(CUBE_PRINCIPAL_SECRET)
    mine, other = writer.load(MINE), writer.load(OTHER)
    wrong = []
    if mine.io.properties[ACCESS] == root["rootUser"]:
        wrong.append("the catalog hands out MinIO's root user")
    bucket, prefix = place_of(mine.location())
    own = vended(stack, mine)
    wrong += [] if _may(lambda: _read(own, mine)) else [f"keys of {MINE} do not read {MINE}"]
    wrong += [f"keys of {MINE} read {OTHER}"] if _may(lambda: _read(own, other)) else []
    read_only = reader.load(MINE)
    theirs = vended(stack, read_only)
    wrong += [] if _may(lambda: _read(theirs, read_only)) else [f"Cube's keys of {MINE} do not read it"]
    wrong += (
        [f"Cube's keys of {MINE} write it"]
        if _may(lambda: _write(theirs, bucket, f"{prefix}data/floe-access-probe"))
        else []
    )
    return [judged(wrong, "keys for one table each, and only reading for Cube", tables=[MINE, OTHER])]


def _may(action: Callable[[], object]) -> bool:
    """Whether MinIO lets an action happen.

    Raises:
        S3Error: It fails for another reason.
    """
    try:
        action()
    except S3Error as error:
        if error.code != DENIED:
            raise
        return False
    return True


def _read(client: Minio, table: Table) -> None:
    bucket, _ = place_of(table.location())
    task = next(iter(table.scan().plan_files()))
    client.get_object(bucket, urlsplit(task.file.file_path).path.lstrip("/"), length=4).close()


def _write(client: Minio, bucket: str, name: str) -> None:
    """Write an empty object, and take it away again where that was possible."""
    client.put_object(bucket, name, io.BytesIO(), 0)
    client.remove_object(bucket, name)


QUESTIONS: Final = (
    Question(
        {"FR-005": "Polaris was initialized: catalog, namespaces, principals and their grants"}, _access
    ),
    Question({"FR-007": "The catalog gives access for OAuth2 client credentials only"}, _oauth),
    Question({"FR-008": "The tables' files are in MinIO"}, _files),
    Question({"B6.keys": "S3 keys are vended for one table, and for reading only to Cube"}, _keys),
)
