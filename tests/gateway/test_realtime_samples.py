"""What the SDKs are asked about is all that the gateway can send."""

from support import realtime_samples


def test_every_event_has_a_sample() -> None:
    sampled = {type(event) for event in realtime_samples.all_samples()}

    assert {kind.__name__ for kind in realtime_samples.kinds() - sampled} == set()


def test_whatever_can_be_left_out_is_sampled_with_and_without() -> None:
    assert realtime_samples.unsampled() == []
