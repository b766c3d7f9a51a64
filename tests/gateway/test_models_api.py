"""GET /v1/models, and which names of it the Responses API takes."""

import re
import typing
from typing import Any

import pytest
from agents.models import get_default_model
from openai.types import ChatModel, Model, ResponsesModel

from gateway.generating import AUTHORISED, Asker, asking
from gateway.scene import settle
from trunkline.gateway.model_names import is_text_model


async def get(asker: Asker, path: str) -> tuple[int, Any]:
    async with asker.server.client.get(path, headers=AUTHORISED) as answer:
        return answer.status, await answer.json()


def test_the_models_are_the_agents_the_vendors_names_and_the_aliases() -> None:
    async def scenario(asker: Asker) -> None:
        asker.worker.agents = ("frontdesk", "nightdesk")
        await settle(0.5)
        status, listed = await get(asker, "/v1/models")
        names = [Model.model_validate(model).id for model in listed["data"]]

        assert (status, listed["object"]) == (200, "list")
        assert len(names) == len(set(names))
        assert {"frontdesk", "nightdesk", "gpt-5.5", "gpt-realtime", "desk", "own-model", "spare"} <= set(names)
        assert "deep" not in names

    asking(scenario, model_aliases="desk=frontdesk, deep=joe, spare=", model_name="own-model")


def test_one_model_is_read_and_an_unknown_one_is_not_found() -> None:
    async def scenario(asker: Asker) -> None:
        asker.worker.agents = ("frontdesk",)
        await settle(0.5)
        for name in ("gpt-5.5", "gpt-5.5-2026-04-23", "frontdesk", "org/model"):
            status, model = await get(asker, f"/v1/models/{name}")
            assert (status, model["id"], model["object"]) == (200, name, "model")
        status, body = await get(asker, "/v1/models/gpt-unheard-of")

        assert (status, body["error"]["code"], body["error"]["param"]) == (404, "model_not_found", "model")

    asking(scenario, model_name="org/model")


def test_models_need_a_key() -> None:
    async def scenario(asker: Asker) -> None:
        async with asker.server.client.get("/v1/models") as answer:
            assert answer.status == 401

    asking(scenario)


NOT_FOR_TEXT = re.compile(r"audio|search|research|computer-use|daybreak|cyber|rosalind|law|vision")
OLD = re.compile(r"^(gpt-3\.5|gpt-4-|o1-preview|o1-mini)")


def test_the_vendors_names_are_known() -> None:
    chat, others = typing.get_args(ChatModel), typing.get_args(typing.get_args(ResponsesModel)[2])
    names = [name for name in (*chat, *others) if not NOT_FOR_TEXT.search(name) and not OLD.search(name)]

    assert [name for name in names if not is_text_model(name)] == []
    assert is_text_model(get_default_model())


ALIASES = "gpt-5.4-mini=small, gpt-5.4=frontdesk, big=huge, spare=, desk=frontdesk"


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("gpt-5.5", ""),
        ("gpt-4o-mini", ""),
        ("gpt-5.5-2026-04-23", ""),
        ("gpt-5.4-mini", "small"),
        ("gpt-5.4", ""),
        ("own-model", ""),
        ("big", "huge"),
        ("spare", ""),
    ],
)
def test_a_name_of_a_model_reaches_the_engine(name: str, asked: str) -> None:
    async def scenario(asker: Asker) -> None:
        asker.worker.agents = ("frontdesk",)
        await settle(0.5)
        response = await asker.ask(model=name)

        assert asker.mind.prompt.model == asked
        assert response["model"] == name

    asking(scenario, model_aliases=ALIASES, model_name="own-model")


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("frontdesk", 400, "agents answer on calls"),
        ("desk", 400, "agents answer on calls"),
        ("gpt-realtime-2", 400, "for calls"),
        ("whisper-1", 400, "for transcriptions (/v1/audio/transcriptions)"),
        ("tts-1", 400, "for speech (/v1/audio/speech)"),
        ("gpt-unheard-of", 404, "does not exist"),
        ("", 404, "does not exist"),
    ],
)
def test_a_name_of_anything_else_is_refused(name: str, status: int, words: str) -> None:
    async def scenario(asker: Asker) -> None:
        asker.worker.agents = ("frontdesk",)
        await settle(0.5)
        error = await asker.refused(model=name, status=status)

        assert (error["param"], words in error["message"]) == ("model", True)
        assert error["code"] == ("model_not_found" if status == 404 else "invalid_value")

    asking(scenario, model_aliases=ALIASES)
