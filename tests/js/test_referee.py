"""The JavaScript SDK's own parser, asked about every event that the gateway can send."""

import json

import pytest

from js import clients
from support import realtime_samples

pytestmark = [pytest.mark.node, pytest.mark.skipif(bool(clients.missing()), reason=clients.missing())]
ONLY_SHOWN = {"input_audio_buffer.timeout_triggered"}
"""The vendor's events that this SDK has no type for: a program sees them as `transport_event`. So it does those of
items that show a picture, which its parser doesn't know, whoever the server is."""
AUDIO_ITEM = {"id": "item_1", "type": "message", "status": "completed", "role": "user"}


def only_shown(sample: str) -> bool:
    kind = json.loads(sample)["type"]
    return kind in ONLY_SHOWN or ("item." in kind and "input_image" in sample)


def test_the_javascript_sdk_understands_every_event() -> None:
    samples = [sample for sample in realtime_samples.for_sdks() if not only_shown(sample)]

    rulings = clients.rulings(samples)

    assert [(ruling, sample) for ruling, sample in zip(rulings, samples, strict=True) if ruling] == []


def test_what_the_sdk_has_no_type_for_it_hands_on() -> None:
    samples = [sample for sample in realtime_samples.for_sdks() if only_shown(sample)]

    rulings = clients.rulings(samples)

    assert {json.loads(sample)["type"] for sample in samples} > ONLY_SHOWN
    assert {ruling.partition(":")[0] for ruling in rulings} == {"unknown"}


@pytest.mark.parametrize(
    ("event", "ruling"),
    [
        ({"event_id": "event_1"}, "dropped"),
        ({"type": "conversation.item.removed", "event_id": "event_1"}, "unknown"),
        ({"type": "input_audio_buffer.cleared"}, "unknown"),
        ({"type": "response.done", "event_id": "event_1", "response": {"status": "over"}}, "unknown"),
        (
            {
                "type": "conversation.item.added",
                "event_id": "event_1",
                "item": AUDIO_ITEM | {"content": [{"type": "input_audio"}]},
            },
            "failed",
        ),
    ],
)
def test_the_referee_finds_what_the_sdk_would_not_take(event: object, ruling: str) -> None:
    (found,) = clients.rulings([json.dumps(event)])

    assert found.startswith(ruling)
