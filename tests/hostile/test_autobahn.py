"""The cases of Autobahn's WebSocket suite against the gateway's own server: none of them may fail.

The cases are Autobahn's own files, as kosoku carries them, translated to Python 3 where they had to be, with its runner
in place of the original, which needs Python 2.7.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.programs

TESTS = Path(__file__).parents[1]
AT_ONCE = 32
GROUPS = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*"]
FINE = {"OK", "INFORMATIONAL"}
NON_STRICT = {
    "6.4.3": "a frame is checked for UTF-8 once it is whole; the suite would have it checked within",
    "6.4.4": "the same",
}
COMPRESSION = [
    "12.1.1",
    "12.2.1",
    "12.3.1",
    "12.4.1",
    "12.5.1",
    "13.1.1",
    "13.2.1",
    "13.3.1",
    "13.4.1",
    "13.5.1",
    "13.6.1",
    "13.7.1",
]
"""One of each kind: permessage-deflate is offered and not taken, so the rest of groups 12 and 13 has nothing to try."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    command = [sys.executable, "-m", "hostile.echo_server"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=TESTS) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        yield int(server.stdout.readline())
        server.stdin.close()


def behaviour(port: int, cases: list[str]) -> dict[str, tuple[str, str, str]]:
    command = [sys.executable, "-m", "hostile.autobahn", str(port), str(AT_ONCE), *cases]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False, cwd=TESTS)
    assert done.returncode == 0, done.stderr
    return {case: (said, at_close, why) for case, said, at_close, why in json.loads(done.stdout)}


def test_no_case_fails(port: int) -> None:
    found = behaviour(port, GROUPS)

    assert len(found) == 301
    assert {case: told for case, told in found.items() if told[1] not in FINE} == {}
    assert {case: told for case, told in found.items() if told[0] not in FINE and case not in NON_STRICT} == {}
    assert {case: found[case][0] for case in NON_STRICT} == dict.fromkeys(NON_STRICT, "NON-STRICT")


def test_compression_is_offered_in_vain(port: int) -> None:
    found = behaviour(port, COMPRESSION)

    assert {case: told[0] for case, told in found.items()} == dict.fromkeys(COMPRESSION, "UNIMPLEMENTED")
