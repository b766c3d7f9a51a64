"""Settings of an endpoint: a bad one names its variable, and no secret is shown."""

import logging

import pytest

from agent.endpoint.stand_in import KEY
from trunkline.agent.models.choose import choose
from trunkline.agent.models.endpoint.options import Endpoint, options_of
from trunkline.agent.settings import AgentSettings
from trunkline.proto.errors import BadSettings
from trunkline.runtime.settings import load

GIVEN = {"TRUNKLINE_MODEL_URL": "http://host:8000/v1/", "TRUNKLINE_MODEL_NAME": "m", "TRUNKLINE_MODEL_KEY": KEY}


def settings(**given: str) -> AgentSettings:
    return load(AgentSettings, {**GIVEN, **{f"TRUNKLINE_MODEL_{name.upper()}": text for name, text in given.items()}})


def test_an_endpoint_is_made_of_its_settings() -> None:
    options = options_of(settings(fallbacks=" n , https://other/v1|o,http://host:8000/v2|p", fallback_key="sk-other"))

    assert options.endpoints == (
        Endpoint("http://host:8000/v1", "m", KEY),
        Endpoint("http://host:8000/v1", "n", KEY),
        Endpoint("https://other/v1", "o", "sk-other"),
        Endpoint("http://host:8000/v2", "p", KEY),
    )
    assert options.sends_phase
    assert not options_of(settings(phase="omit")).sends_phase


@pytest.mark.parametrize("engine", ["responses", "chat"])
@pytest.mark.parametrize("missing", ["url", "name"])
def test_an_endpoint_that_is_not_told_names_the_variable(engine: str, missing: str) -> None:
    given = {"engine_model": engine, "model_url": "http://host/v1", "model_name": "m", f"model_{missing}": ""}

    with pytest.raises(BadSettings, match=f"TRUNKLINE_MODEL_{missing.upper()}: is not set; allowed: "):
        choose(AgentSettings(**given))  # type: ignore[arg-type]  # texts


@pytest.mark.parametrize("engine", ["responses", "chat"])
def test_an_engine_is_chosen_by_its_name(engine: str) -> None:
    model = choose(AgentSettings(engine_model=engine, model_url="http://host/v1", model_name="m"))

    assert (model.name, model.repeatable) == (engine, False)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("url", "host/v1"),
        ("url", "ftp://host/v1"),
        ("url", "http://:8000/v1"),
        ("url", "http://host:port/v1"),
        ("url", "http://ho st/v1"),
        ("url", f"http://user:{KEY}@host/v1"),
        ("url", f"http://host/v1?key={KEY}"),
        ("key", f"{KEY}\nX: y"),
        ("key", f"{KEY} "),
        ("key", f"{KEY}ü"),
        ("fallback_key", f"{KEY} "),
        ("fallbacks", "other/v1|n"),
        ("fallbacks", "http://other/v1|"),
        ("connect_s", "0"),
        ("first_token_s", "60"),
        ("first_token_s", "nan"),
        ("idle_s", "-1"),
        ("retries", "6"),
        ("retries", "-1"),
        ("phase", "maybe"),
        ("max_tokens_key", "max"),
    ],
)
def test_what_can_not_be_used_names_its_variable_and_shows_no_secret(name: str, text: str) -> None:
    with pytest.raises(BadSettings) as refused:
        options_of(settings(**{name: text}))

    assert str(refused.value).startswith(f"TRUNKLINE_MODEL_{name.upper()}: ")
    assert "; allowed: " in str(refused.value)
    assert KEY not in str(refused.value)


def test_secrets_are_in_no_repr() -> None:
    shown = repr(settings(fallback_key=KEY)) + repr(options_of(settings(fallback_key=KEY, fallbacks="n")))

    assert "model_name='m'" in shown
    assert KEY not in shown


def test_phases_that_are_left_out_are_said_at_the_start(caplog: pytest.LogCaptureFixture) -> None:
    for phase in ("send", "omit"):
        caplog.clear()
        choose(AgentSettings(engine_model="chat", model_url="http://h/v1", model_name="m", model_phase=phase))  # type: ignore[arg-type]  # one of both

        said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert said == (["phases are not sent back to the model"] if phase == "omit" else [])
