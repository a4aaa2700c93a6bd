"""A demo stopped in the middle, kindly or not, is gone on with by the next one."""

import json
import signal

import pytest

pytestmark = pytest.mark.slow


def stop_in_the_middle(start_floe, home, out, how):
    """Start a long demo and stop it while it works on its second cycle."""
    sizes = ("--orders", 200, "--customers", 40, "--cycles", 50)
    run = start_floe("demo", "--home", home, "--out", out, *sizes)
    for line in run.stdout:
        if line.startswith("Cycle 1"):
            run.send_signal(how)
            break
    _, err = run.communicate(timeout=60)
    return run.returncode, err


def test_the_next_demo_goes_on_after_ctrl_c_and_after_kill(tmp_path, floe, start_floe, number):
    home = tmp_path / "home"
    code, err = stop_in_the_middle(start_floe, home, tmp_path, signal.SIGINT)
    assert code == 130, err
    assert err.splitlines() == ["floe: interrupted: run the same command again to go on"]
    assert not (tmp_path / "report.html").exists()

    code, _ = stop_in_the_middle(start_floe, home, tmp_path, signal.SIGKILL)
    assert code == -signal.SIGKILL

    ran = floe("demo", "--home", home, "--out", tmp_path, "--cycles", 1)
    assert ran.code == 0, ran.err
    assert json.loads((tmp_path / "evidence" / "demo.json").read_text())["failed"] == 0
    orders = number(home, "SELECT count(*) FROM gold.orders")
    assert orders % 100 == 0  # 200 of the seed, and whole batches only
    assert orders >= 200 + 3 * 100
