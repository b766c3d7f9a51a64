"""kill -9 of one of two gateways in mid-call: the caller stays, and hears and is heard as if it had not been."""

import asyncio
from pathlib import Path

import pytest

from stack import resuming
from trunkline.proto.audio import SPEECH_RATE_HZ

pytestmark = pytest.mark.stack


def test_a_killed_gateway_costs_no_word_and_no_sample(tmp_path: Path) -> None:
    moments = ["answer", "utterance", "answer", "utterance"]
    stack = resuming.started(tmp_path)
    try:
        turns, record = asyncio.run(resuming.killed(stack, moments))
    finally:
        stack.stop()

    said = [turn.said for turn in turns]
    assert [turn.understood for turn in turns] == said
    assert [event["text"] for event in record.events if event["type"] == "user_item"] == said
    samples = len(resuming.ANSWER) * SPEECH_RATE_HZ * resuming.SEGMENT_MS // 1000
    for turn in turns:
        assert turn.answered == [("".join(resuming.ANSWER).replace("{words}", turn.said), samples)]
    segments = [(event["item"], event["index"]) for event in record.events if event["type"] == "segment"]
    played = [(event["item"], event["index"]) for event in record.events if event["type"] == "played"]
    assert len(set(segments)) == len(segments)
    assert sorted(played) == sorted(segments)
    assert len([event for event in record.events if event["type"] == "attached"]) == 1 + len(moments)
