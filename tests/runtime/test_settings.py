"""Settings come from the environment once, and a bad value names its variable."""

from typing import Literal

import pytest

from trunkline.proto.errors import BadSettings
from trunkline.runtime.settings import CoreSettings, load


class OvenSettings(CoreSettings, frozen=True, kw_only=True):
    heat_c: float = 180.0
    door_open: bool = False
    wheels: Literal[2, 4] = 4


def test_defaults_stand_without_an_environment() -> None:
    assert load(OvenSettings, {}) == OvenSettings()


def test_variables_are_read_by_field_name_and_type() -> None:
    settings = load(OvenSettings, {"TRUNKLINE_HEAT_C": "200", "TRUNKLINE_DOOR_OPEN": "true", "TRUNKLINE_CAPACITY": "8"})

    assert (settings.heat_c, settings.door_open, settings.capacity) == (200.0, True, 8)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("TRUNKLINE_HEAT_C", "hot", "TRUNKLINE_HEAT_C: 'hot'.*float"),
        ("TRUNKLINE_CAPACITY", "-1", "TRUNKLINE_CAPACITY.*0 or more"),
        ("TRUNKLINE_LOG_LEVEL", "loud", "TRUNKLINE_LOG_LEVEL.*debug, info, warning, error"),
        ("TRUNKLINE_TRACE_RATIO", "2", "TRUNKLINE_TRACE_RATIO.*0 to 1"),
        ("TRUNKLINE_ADMIN_PORT", "80.5", "TRUNKLINE_ADMIN_PORT.*int"),
        ("TRUNKLINE_ADMIN_PORT", "70000", "TRUNKLINE_ADMIN_PORT: 70000; allowed: 0 to 65535"),
        ("TRUNKLINE_DRAIN_GRACE_S", "-1", "TRUNKLINE_DRAIN_GRACE_S.*0 to 86400"),
        ("TRUNKLINE_RESUME_WINDOW_S", "0", "TRUNKLINE_RESUME_WINDOW_S: 0.0; allowed: 0.1 to 3600"),
        ("TRUNKLINE_DRAIN_GRACE_S", "nan", "TRUNKLINE_DRAIN_GRACE_S.*0 to 86400"),
        (
            "TRUNKLINE_NATS_URL",
            "nats://127.0.0.1:4222,nats://here:port",
            "TRUNKLINE_NATS_URL: 'nats://here:port'.*HOST",
        ),
        ("TRUNKLINE_NATS_URL", "", "TRUNKLINE_NATS_URL: ''.*HOST"),
        ("TRUNKLINE_WHEELS", "3", "TRUNKLINE_WHEELS: '3' .*; allowed: 2, 4"),
    ],
)
def test_a_bad_value_names_its_variable_and_what_is_allowed(name: str, value: str, says: str) -> None:
    with pytest.raises(BadSettings, match=says):
        load(OvenSettings, {name: value})
