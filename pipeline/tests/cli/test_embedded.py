"""The home folder: private, held while in use, honest about having been moved."""

import json
import os
import stat

import pytest

from floe_pipeline.embedded import EmbeddedError, embedded_platform, settings_env


def test_credentials_are_private_random_and_kept(tmp_path):
    with embedded_platform(tmp_path / "a") as first, embedded_platform(tmp_path / "b") as other:
        assert first.catalog_client_secret != other.catalog_client_secret
        assert first.root_client_secret != first.catalog_client_secret
    path = tmp_path / "a" / "credentials.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with embedded_platform(tmp_path / "a") as again:
        assert again.catalog_client_secret == first.catalog_client_secret
        assert again.catalog_uri != first.catalog_uri  # a free port each time


def test_two_processes_may_use_one_home_but_not_make_it_fresh_meanwhile(tmp_path):
    with (
        embedded_platform(tmp_path),
        embedded_platform(tmp_path),
        pytest.raises(EmbeddedError, match="in use by another floe command"),
        embedded_platform(tmp_path, fresh=True),
    ):
        pass
    with embedded_platform(tmp_path, fresh=True):
        pass


def test_fresh_removes_nothing_from_a_folder_that_is_no_home(tmp_path):
    (tmp_path / "warehouse").mkdir()
    (tmp_path / "warehouse" / "photo.jpg").touch()
    with embedded_platform(tmp_path, fresh=True):
        assert (tmp_path / "warehouse" / "photo.jpg").exists()


def test_a_home_that_was_moved_says_so(tmp_path):
    with embedded_platform(tmp_path / "old"):
        pass
    (tmp_path / "old").rename(tmp_path / "new")
    with (
        pytest.raises(EmbeddedError, match=f"was made at {tmp_path}/old"),
        embedded_platform(tmp_path / "new"),
    ):
        pass


def test_damaged_credentials_say_what_to_do(tmp_path):
    (tmp_path / "credentials.json").write_text("{")
    with pytest.raises(EmbeddedError, match="damaged: start over with --fresh"), embedded_platform(tmp_path):
        pass


def test_overrides_win_and_a_child_process_gets_the_same_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("FLOE_SEED", "7")
    with embedded_platform(tmp_path, overrides={"cycle_orders": 9}) as settings:
        assert (settings.seed, settings.cycle_orders, settings.target) == (7, 9, "embedded")
        environment = settings_env(settings)
    assert environment["PATH"] == os.environ["PATH"]
    assert environment["FLOE_CYCLE_ORDERS"] == "9"
    known = json.loads((tmp_path / "credentials.json").read_text())
    assert environment["FLOE_CATALOG_CLIENT_SECRET"] == known["pipeline"]["client_secret"]
