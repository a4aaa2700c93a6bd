"""floe_catalog as a program: its settings, and its end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import httpx
import pytest

from catalog_server import bearer
from floe_catalog.__main__ import config_from_environment


class TestProgram:
    def _run(self, **environment: str) -> subprocess.Popen[str]:
        names = ("PATH", "PYTHONPATH", "HOME")
        inherited = {name: os.environ[name] for name in names if name in os.environ}
        inherited["PYTHONPATH"] = os.pathsep.join(sys.path)
        return subprocess.Popen(
            [sys.executable, "-m", "floe_catalog"],
            env={**inherited, "FLOE_CATALOG_ROOT_CLIENT_SECRET": "root-secret", **environment},
            stderr=subprocess.PIPE,
            text=True,
        )

    def test_serves_until_sigterm(self, database_url: str) -> None:
        program = self._run(
            FLOE_CATALOG_DATABASE_URL=database_url,
            FLOE_CATALOG_HOST="127.0.0.1",
            FLOE_CATALOG_PORT="0",
            FLOE_CATALOG_MANAGEMENT_PORT="0",
        )
        assert program.stderr is not None
        try:
            announced = next(line for line in program.stderr if "serves" in line)
            assert "stand-in for Apache Polaris" in announced
            uri, health = re.findall(r"http://[^\s,]+", announced)
            assert httpx.get(f"{health}/ready").status_code == 200
            with httpx.Client(headers=bearer(uri)) as idle:
                assert idle.get(f"{uri}/v1/config?warehouse=x").status_code == 404
                program.send_signal(signal.SIGTERM)
                assert program.wait(timeout=5) == 0, "an idle connection must not hold it up"
        finally:
            program.kill()
            program.wait()
            program.stderr.close()

    def test_missing_setting_is_one_clear_line(self) -> None:
        program = self._run()
        _, errors = program.communicate(timeout=30)
        assert program.returncode == 2
        assert len(errors.splitlines()) == 1
        assert "FLOE_CATALOG_DATABASE_URL is not set" in errors

    @pytest.mark.parametrize(
        ("name", "value", "expected"),
        [
            ("PORT", "http", "from 0 to 65535"),
            ("TOKEN_SECONDS", "0", "from 1 to 86400"),
            ("S3_CREDENTIAL_SECONDS", "60", "from 900 to"),
        ],
    )
    def test_invalid_settings_name_variable_value_and_range(
        self, name: str, value: str, expected: str
    ) -> None:
        environment = {
            "FLOE_CATALOG_DATABASE_URL": "sqlite://",
            "FLOE_CATALOG_ROOT_CLIENT_SECRET": "s",
            "FLOE_CATALOG_S3_ACCESS_KEY": "a",
            "FLOE_CATALOG_S3_SECRET_KEY": "b",
            f"FLOE_CATALOG_{name}": value,
        }
        with pytest.raises(ValueError, match=f"FLOE_CATALOG_{name}='{value}' must be .* {expected}"):
            config_from_environment(environment)

    def test_secrets_do_not_show_in_the_configuration(self) -> None:
        environment = {
            "FLOE_CATALOG_DATABASE_URL": "sqlite://",
            "FLOE_CATALOG_ROOT_CLIENT_SECRET": "hidden-one",
            "FLOE_CATALOG_S3_ACCESS_KEY": "a",
            "FLOE_CATALOG_S3_SECRET_KEY": "hidden-two",
            "FLOE_CATALOG_SIGNING_KEY": "hidden-three",
        }
        assert "hidden" not in repr(config_from_environment(environment))
