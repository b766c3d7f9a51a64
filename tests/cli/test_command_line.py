"""Whatever is unusable ends with exit status 2 and one line that says what is wrong and what is allowed."""

import socket
from pathlib import Path

import pytest

from trunkline.cli import options
from trunkline.cli.main import run
from trunkline.proto.errors import BadInput


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 2) -> str:
    """The one line on stderr."""
    assert run(arguments) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    return line


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("TRUNKLINE_URL", "TRUNKLINE_KEY", "TRUNKLINE_API_KEYS"):
        monkeypatch.delenv(name, raising=False)


def test_no_command_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        refusal(capsys)
        == "trunkline: COMMAND: none given; allowed: up, ps, call, calls, show, approvals, backup, restore, chaos, load"
    )


def test_an_unknown_command_is_refused_with_the_commands_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    line = refusal(capsys, "dance")

    assert "'dance'" in line
    assert line.endswith("allowed: up, ps, call, calls, show, approvals, backup, restore, chaos, load")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--calls", "0"], ["--calls: '0' is no usable number", "1 to 100"]),
        (["--calls", "many"], ["'many' is no usable number", "1 to 100"]),
        (["--seconds", "3"], ["--seconds: '3' is no usable time", "10 to 3600"]),
        (["--only", "kill stt,kill time"], ["--only: there is no fault 'kill time'", "stop agent", "kill nats"]),
        (["--seed", "x"], ["--seed: 'x' is no seed", "a whole number"]),
        (["--only", "term nats"], ["--only: there is no fault 'term nats'"]),
        (["--nats-nodes", "2"], ["--nats-nodes: '2' is no usable number", "1, or 3"]),
        (["--rolling", "--nats-nodes", "1"], ["--nats-nodes: the only server", "3 with --rolling"]),
        (["--rolling", "--only", "kill stt"], ["--only: a rolling restart has no other faults"]),
        (["--dump", "full"], ["--dump: full is not empty", "new or empty"]),
        (["--check", "nowhere"], ["--check: nowhere", "a directory that --dump wrote"]),
    ],
)
def test_chaos_refuses_what_it_cannot_use_before_it_starts_anything(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], parts: list[str]
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/something").touch()

    line = refusal(capsys, "chaos", *arguments)

    assert [part for part in parts if part not in line] == []


@pytest.mark.parametrize("command", ["up", "ps", "calls"])
def test_an_unknown_option_is_refused_with_the_options_there_are(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    line = refusal(capsys, command, "--colour=red")

    assert "unknown option --colour" in line
    assert "--dir" in line.partition("allowed: ")[2]


def test_an_option_is_never_guessed_from_its_beginning(capsys: pytest.CaptureFixture[str]) -> None:
    assert "unknown option --age" in refusal(capsys, "up", "--age", "x.py")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--engine", "stt=whisperer"], ["stt has no engine 'whisperer'", "digits, moonshine, scripted"]),
        (["--engine", "model=gpt"], ["model has no engine 'gpt'", "local, scripted"]),
        (["--engine", "nose=long"], ["'nose=long' is unusable", "stt=NAME, tts=NAME, model=NAME"]),
        (["--workers", "nose=2"], ["'nose=2' is unusable", "gateway, stt, agent, tool_runner, tts, webrtc"]),
        (["--workers", "stt=none"], ["'stt=none' has no usable number", "1 to 64"]),
        (["--workers", "stt=0"], ["'stt=0' has no usable number", "1 to 64"]),
        (["--port", "http"], ["'http' is no port", "0 to 65535"]),
        (["--agent", "missing.py"], ["agent file: missing.py: No such file or directory", "FILE.py"]),
        (["--host", "0.0.0.0"], ["0.0.0.0 can be reached by others", "TRUNKLINE_API_KEYS"]),
    ],
)
def test_up_refuses_what_it_cannot_use_before_it_starts_anything(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], parts: list[str]
) -> None:
    line = refusal(capsys, "up", "--port", "0", *arguments)

    assert [part for part in parts if part not in line] == []
    assert not list(tmp_path.rglob("nats*"))


def test_an_agent_file_that_does_not_load_is_refused_with_its_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "desk.py").write_text("x = 1\ny = undefined_name\n")

    line = refusal(capsys, "up", "--agent", "desk.py")

    assert "desk.py, line 2: NameError" in line


def test_a_port_that_another_program_listens_on_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        line = refusal(capsys, "up", "--port", str(port), status=1)

    assert f"can't listen on 127.0.0.1:{port}: Address already in use" in line


def test_a_directory_that_another_stack_lives_in_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from trunkline.cli.plans import lock

    with lock(tmp_path):
        line = refusal(capsys, "up", "--port", "0", "--dir", str(tmp_path), status=1)

    assert f"directory {tmp_path} is in use by another trunkline up (pid " in line


@pytest.mark.parametrize("content", [b"", b"RIFF", b"not a wav file at all", b"RIFF\0\0\0\0WAVEfmt \4\0\0\0\1\0\1\0"])
def test_a_bad_wav_is_refused_by_name(capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes) -> None:
    (tmp_path / "line.wav").write_bytes(content)

    line = refusal(capsys, "call", "line.wav")

    assert line.startswith("trunkline: line.wav: ")
    assert "allowed: " in line


def test_approvals_without_an_action_lists_the_actions(capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal(capsys, "approvals") == "trunkline: approvals: no action given; allowed: list, approve, deny"
    assert "there is no 'grant'; allowed: list, approve, deny" in refusal(capsys, "approvals", "grant")
    assert "unknown option --text; allowed: --help, --dir" in refusal(capsys, "approvals", "deny", "x", "--text=y")


def test_call_without_a_wav_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "required: WAV" in refusal(capsys, "call")


def test_show_refuses_what_is_no_call_id(capsys: pytest.CaptureFixture[str]) -> None:
    assert "'../etc' is no call id" in refusal(capsys, "show", "../etc")


def test_a_directory_without_a_stack_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "nowhere holds no stack" in refusal(capsys, "ps", "--dir", "nowhere")


def test_an_address_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "'localhost:8080' is no address" in refusal(capsys, "calls", "--url", "localhost:8080")


def test_a_gateway_that_does_not_answer_ends_with_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # taken, but nobody listens
        line = refusal(capsys, "ps", "--url", f"ws://127.0.0.1:{unused.getsockname()[1]}", status=1)

    assert "(Connection refused)" in line


def test_workers_that_are_not_named_are_one_each() -> None:
    expected = {"gateway": 1, "stt": 2, "agent": 1, "tool_runner": 3, "tts": 1, "webrtc": 1}

    assert options.workers("stt=2, tool_runner=3") == expected
    assert options.workers("stt=2, tool_runner=3, webrtc=0") == expected | {"webrtc": 0}


def test_the_last_choice_of_an_engine_wins() -> None:
    assert options.engines(["stt=moonshine", "tts=tone", "stt=scripted"]) == {"stt": "scripted", "tts": "tone"}


@pytest.mark.parametrize("text", ["-1", "many", "nan", "1e9"])
def test_seconds_are_a_length_of_time(text: str) -> None:
    with pytest.raises(BadInput, match="seconds from 0 to 3600"):
        options.seconds("--barge-in", text)


@pytest.mark.parametrize(
    ("host", "loopback"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("10.0.0.1", False)]
)
def test_loopback_is_told_from_the_rest(host: str, loopback: bool) -> None:
    assert options.is_loopback(host) is loopback
