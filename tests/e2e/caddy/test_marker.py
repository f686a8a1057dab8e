"""The marker for tests against real servers: skipped with words where one is missing, never in CI."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_TEST = """\
import pytest

@pytest.fixture
def proxy():
    raise AssertionError("no fixture is made for a program that is missing")

@pytest.mark.real_server("{package}")
def test_it(proxy):
    pass

@pytest.mark.real_server("sh")
def test_that_gives_up():
    {body}
"""
_INI = "[pytest]\nmarkers = real_server(package): needs it\n"
_HERE = Path(__file__).parents[2]


@pytest.fixture
def outcome(tmp_path: Path, request: pytest.FixtureRequest) -> subprocess.CompletedProcess[str]:
    """A run of pytest over two such tests, with CI= and the second one's body as parameters."""
    ci, body = request.param
    (tmp_path / "pytest.ini").write_text(_INI)
    (tmp_path / "test_real.py").write_text(
        _TEST.format(package="no-such-server-anywhere", body=body)
    )
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "real_servers", "-p", "no:cacheprovider", "-q"],
        cwd=tmp_path,
        env={
            **os.environ,
            "CI": ci,
            "PYTHONPATH": str(_HERE),
            "PYTEST_ADDOPTS": "",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("outcome", [("", "pass")], indirect=True)
def test_a_missing_program_skips_and_the_summary_says_what_would_run_it(
    outcome: subprocess.CompletedProcess[str],
) -> None:
    assert outcome.returncode == 0, outcome.stdout
    assert "1 passed, 1 skipped" in outcome.stdout
    assert "apt install no-such-server-anywhere" in outcome.stdout


@pytest.mark.parametrize("outcome", [("true", "pass")], indirect=True)
def test_in_ci_a_missing_program_fails(outcome: subprocess.CompletedProcess[str]) -> None:
    assert outcome.returncode == 1
    assert "1 passed, 1 error" in outcome.stdout
    assert "apt install no-such-server-anywhere" in outcome.stdout


@pytest.mark.parametrize("outcome", [("true", 'pytest.skip("not today")')], indirect=True)
def test_in_ci_no_such_test_may_skip_itself(outcome: subprocess.CompletedProcess[str]) -> None:
    assert outcome.returncode == 1
    assert "1 failed" in outcome.stdout
    assert "not today" in outcome.stdout
