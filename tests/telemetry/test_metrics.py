from prometheus_client import REGISTRY

from trunkline.telemetry.metrics import VOICE_BUCKETS_S, announce_build


def test_the_build_is_announced_with_service_and_version() -> None:
    announce_build("stt", "0.1.0")

    assert REGISTRY.get_sample_value("trunkline_build_info", {"service": "stt", "version": "0.1.0"}) == 1.0


def test_voice_buckets_rise() -> None:
    assert sorted(set(VOICE_BUCKETS_S)) == list(VOICE_BUCKETS_S)
