"""What the supervisor decides and says; that it does so is shown with real processes in tests/stack."""

from pathlib import Path

import pytest
from msgspec import structs

from trunkline.cli import plans, stack, up
from trunkline.cli.supervisor import FIRST_PAUSE_S, LONGEST_PAUSE_S, STEADY_S, ending, last_line, next_pause_s
from trunkline.proto.errors import BadInput
from trunkline.vault import key_of


def test_a_child_that_dies_young_waits_longer_each_time_up_to_a_limit() -> None:
    pauses, pause_s = [], FIRST_PAUSE_S
    for _ in range(7):
        pause_s = next_pause_s(pause_s, lived_s=0.1)
        pauses.append(pause_s)

    assert pauses == sorted(pauses)
    assert pauses[0] == 2 * FIRST_PAUSE_S
    assert pauses[-1] == LONGEST_PAUSE_S


def test_a_child_that_lived_long_is_started_again_soon() -> None:
    assert next_pause_s(LONGEST_PAUSE_S, lived_s=STEADY_S) == FIRST_PAUSE_S


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, "ended with status 0"),
        (3, "ended with status 3"),
        (-9, "was ended by SIGKILL"),
        (-99, "was ended by signal 99"),
    ],
)
def test_an_ending_is_told_in_words(status: int, words: str) -> None:
    assert ending(status) == words


def test_the_last_line_of_a_log_says_why(tmp_path: Path) -> None:
    log = tmp_path / "stt-1.log"
    log.write_text("x" * 10_000 + "\nthe reason\n\n")

    assert last_line(log) == "the reason"
    assert last_line(tmp_path / "missing.log") == "it wrote no log"


def test_the_operators_key_wins_then_the_kept_one_then_a_new_one(tmp_path: Path) -> None:
    made = plans.api_key(tmp_path, "127.0.0.1", {})
    stack.write(tmp_path, stack.Stack("http://127.0.0.1:1", made))

    assert made.startswith("sk-")
    assert plans.api_key(tmp_path, "127.0.0.1", {}) == made
    assert plans.api_key(tmp_path, "127.0.0.1", {"TRUNKLINE_API_KEYS": " sk-mine , sk-other"}) == "sk-mine"


def test_the_gateways_let_in_the_operators_keys_and_the_made_one_where_these_are_blank() -> None:
    plan = plans.Plan(Path("run"), "127.0.0.1", 8080, "sk-made", "a.py:a", {}, {}, 1.0)

    assert plans.api_keys(plan, {"TRUNKLINE_API_KEYS": "sk-mine, sk-other"}) == "sk-mine,sk-other"
    assert plans.api_keys(plan, {}) == "sk-made"
    assert plans.api_keys(plan, {"TRUNKLINE_API_KEYS": " , "}) == "sk-made"


def test_the_key_of_sensitive_values_is_kept_for_the_next_stack_of_a_directory(tmp_path: Path) -> None:
    made = plans.vault_key(tmp_path, {})
    stack.write(tmp_path, stack.Stack("http://127.0.0.1:1", "sk-kept", vault_key=made))

    assert len(key_of(made)) == 32
    assert plans.vault_key(tmp_path, {}) == made
    assert plans.vault_key(tmp_path, {"TRUNKLINE_VAULT_KEY": "mine"}) == "mine"


def test_a_kept_key_does_not_open_a_public_address(tmp_path: Path) -> None:
    stack.write(tmp_path, stack.Stack("http://127.0.0.1:1", "sk-kept"))

    with pytest.raises(BadInput, match="TRUNKLINE_API_KEYS"):
        plans.api_key(tmp_path, "0.0.0.0", {})


def test_options_win_over_variables_and_no_two_workers_share_an_id() -> None:
    environ = {"TRUNKLINE_PORT": "1", "TRUNKLINE_WORKER_ID": "mine", "TRUNKLINE_ENGINE_STT": "plugin", "HOME": "x"}

    made = plans.environment(environ, "127.0.0.1", 8080, "a.py:a", {"tts": "tone"}, Path("run"))

    assert (made["TRUNKLINE_PORT"], made["TRUNKLINE_AGENT_FILE"], made["TRUNKLINE_DIR"]) == ("8080", "a.py:a", "run")
    assert (made["TRUNKLINE_ENGINE_STT"], made["TRUNKLINE_ENGINE_TTS"]) == ("plugin", "tone")
    assert made["HOME"] == "x"
    assert "TRUNKLINE_WORKER_ID" not in made


def test_the_gateway_for_webrtc_is_reached_by_gateways_alone_and_its_audio_where_callers_come() -> None:
    environ = plans.environment({}, "10.0.0.7", 8080, "a.py:a", {}, Path("run"))

    made = up._for_webrtc(environ, "4711")
    told = up._for_webrtc({**environ, "TRUNKLINE_WEBRTC_HOST": "0.0.0.0"}, "4711")

    assert (made["TRUNKLINE_HOST"], made["TRUNKLINE_PORT"]) == ("127.0.0.1", "4711")
    assert (made["TRUNKLINE_WEBRTC_HOST"], told["TRUNKLINE_WEBRTC_HOST"]) == ("10.0.0.7", "0.0.0.0")


def test_a_stack_without_the_extra_has_no_webrtc_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(up, "find_spec", lambda name: None)

    assert up._with_what_is_installed({"gateway": 1, "webrtc": 0}) == {"gateway": 1, "webrtc": 0}
    assert capsys.readouterr().err == ""
    assert up._with_what_is_installed({"gateway": 1, "webrtc": 2}) == {"gateway": 1, "webrtc": 0}
    assert "trunkline[webrtc]" in capsys.readouterr().err


def test_services_keep_what_they_compile_for_their_next_start() -> None:
    made = plans.environment({"PYTHONDONTWRITEBYTECODE": "1"}, "127.0.0.1", 8080, "a.py:a", {}, Path("run"))

    assert "PYTHONDONTWRITEBYTECODE" not in made


def test_the_default_agent_loads() -> None:
    assert plans.agent_spec("").endswith("default_agent.py:receptionist")


def test_an_ipv6_address_stands_in_brackets() -> None:
    plan = plans.Plan(Path("run"), "::1", 8080, "sk-x", "a.py:a", {}, {}, 1.0)

    assert plan.url == "http://[::1]:8080"


def test_the_page_is_given_a_key_that_was_made_here_and_no_key_of_the_operators() -> None:
    plan = plans.Plan(Path("run"), "127.0.0.1", 8080, "sk-a+b", "a.py:a", {}, {}, 1.0)

    assert plan.page == "http://127.0.0.1:8080/"
    assert structs.replace(plan, own_key=True).page == "http://127.0.0.1:8080/#key=sk-a%2Bb"


def test_the_lines_of_up_end_with_the_one_that_says_ready(capsys: pytest.CaptureFixture[str]) -> None:
    plan = plans.Plan(Path("run"), "127.0.0.1", 8080, "sk-x", "a.py:a", {"stt": 2, "webrtc": 0}, {}, 1.0, own_key=True)

    up.announce(plan)

    assert capsys.readouterr().out.splitlines() == [
        "agent a.py:a",
        "workers 2 stt",
        "key sk-x",
        "page http://127.0.0.1:8080/#key=sk-x",
        "ready http://127.0.0.1:8080",
    ]
