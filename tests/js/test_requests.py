"""The `openai` package for JavaScript asks a real stack for speech, transcripts, an answer, models and files."""

import base64

import pytest
from PIL import Image

from js import clients
from js.clients import Facts
from support import judge
from support.running_stack import RunningStack
from trunkline.audio.pcm import from_bytes
from trunkline.proto.audio import SPEECH_RATE_HZ

pytestmark = [
    pytest.mark.node,
    pytest.mark.stack,
    pytest.mark.timeout(120),
    pytest.mark.skipif(bool(clients.missing()), reason=clients.missing()),
]
SAY = "One moment please, I am looking that up for you. The weather in Oslo is fine today."
QUESTION = "What is the weather like in Tokyo?"
NEAR = 0.3  # word error rate


@pytest.fixture(scope="module")
def facts(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Facts:
    picture = tmp_path_factory.mktemp("picture") / "red.png"
    Image.new("RGB", (40, 30), "red").save(picture)
    order = {
        "baseURL": f"{stack.address.base}/v1",
        "apiKey": stack.address.key,
        "question": str(clients.CALLERS / "weather_tokyo.wav"),
        "picture": str(picture),
        "say": SAY,
    }
    found: Facts = clients.node("requests.mjs", order, clients.SCENARIO_LIMIT_S)
    return found


def test_speech_is_heard_as_it_was_written_and_comes_as_it_is_spoken(facts: Facts) -> None:
    speech = facts["speech"]

    heard = judge.hear(from_bytes(base64.b64decode(speech["pcm"])), SPEECH_RATE_HZ)

    assert judge.word_error_rate(SAY, heard) < NEAR, heard
    assert speech["firstMs"] < speech["lastMs"] * 0.7


def test_a_recording_is_transcribed(facts: Facts) -> None:
    assert "tokyo" in judge.words(facts["file"])


def test_a_transcript_comes_as_a_stream(facts: Facts) -> None:
    *deltas, done = facts["streamed"]

    assert {event["type"] for event in deltas} == {"transcript.text.delta"}
    assert done["type"] == "transcript.text.done"
    assert "".join(event["delta"] for event in deltas).split() == done["text"].split()


def test_a_transcript_has_the_times_of_its_segments(facts: Facts) -> None:
    verbose = facts["verbose"]

    assert verbose["segments"]
    assert all(0 <= one["start"] < one["end"] <= verbose["duration"] + 0.1 for one in verbose["segments"])


def test_an_answer_is_streamed_with_its_phase(facts: Facts) -> None:
    response = facts["response"]

    assert response["status"] == "completed"
    assert response["said"] == response["text"] != ""
    assert response["phase"] == "final_answer"


def test_the_models_are_listed(facts: Facts) -> None:
    assert facts["models"]


def test_a_picture_is_kept_and_deleted(facts: Facts) -> None:
    assert facts["files"]["purpose"] == "vision"
    assert facts["files"]["bytes"] > 0
    assert facts["files"]["deleted"] is True


def test_what_is_wrong_is_an_error_of_the_clients_own(facts: Facts) -> None:
    assert {name: (told["kind"], told["status"]) for name, told in facts["errors"].items()} == {
        "model": ("NotFoundError", 404),
        "format": ("BadRequestError", 400),
        "file": ("BadRequestError", 400),
        "key": ("AuthenticationError", 401),
    }
    assert facts["errors"]["model"]["code"] == "model_not_found"
    assert facts["errors"]["format"]["param"] == "response_format"
