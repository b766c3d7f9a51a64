"""What the Responses API keeps: conversations that go on at any gateway, read back, listed and deleted."""

import asyncio

import pytest
from openai.types.responses import Response
from openai.types.responses.response_item_list import ResponseItemList

from gateway.generating import AUTHORISED, DONE, Asker, Body, asking, call, kinds
from trunkline.gateway.apis.responses import kept
from trunkline.gateway.apis.responses.kept import KEPT_LIMIT_BYTES
from trunkline.proto.generation import Generated, GeneratedText
from trunkline.record import MemoryBucket, StoreFull, StoreUnavailable

LIMIT_BYTES = 1000  # of a bucket that is full
WEATHER = {"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {}}}


async def get(asker: Asker, path: str) -> tuple[int, Body]:
    async with asker.server.client.get(f"/v1/responses/{path}", headers=AUTHORISED) as answer:
        return answer.status, await answer.json()


async def delete(asker: Asker, name: str) -> tuple[int, Body]:
    async with asker.server.client.delete(f"/v1/responses/{name}", headers=AUTHORISED) as answer:
        return answer.status, await answer.json()


def test_a_conversation_goes_on_from_a_response_with_its_phases() -> None:
    first = [GeneratedText("One moment.", "commentary"), call(), DONE]
    second = [GeneratedText("It rains.", "final_answer"), DONE]

    async def scenario(asker: Asker) -> None:
        one = await asker.ask("Weather?", tools=[WEATHER], instructions="Be brief.")
        output = {"type": "function_call_output", "call_id": "call_1", "output": "rain"}
        two = (await asker.events([output], previous_response_id=one["id"]))[-1]["response"]
        three = await asker.ask("And tomorrow?", previous_response_id=two["id"])

        assert three["previous_response_id"] == two["id"]
        prompt = asker.mind.prompt
        assert prompt.instructions == ""
        assert [(item.kind, item.role, item.text, item.phase) for item in prompt.items] == [
            ("message", "user", "Weather?", None),
            ("message", "assistant", "One moment.", "commentary"),
            ("function_call", "", '{"city":"Oslo"}', None),
            ("function_call_output", "", "rain", None),
            ("message", "assistant", "It rains.", "final_answer"),
            ("message", "user", "And tomorrow?", None),
        ]

    asking(scenario, first, second)


def test_a_response_goes_on_that_nothing_is_added_to() -> None:
    async def scenario(asker: Asker) -> None:
        one = await asker.ask("Hello")
        await asker.ask([], previous_response_id=one["id"])

        assert [item.text for item in asker.mind.prompt.items] == ["Hello", "Fine."]

    asking(scenario)


def test_a_response_is_read_back_as_it_was_told() -> None:
    async def scenario(asker: Asker) -> None:
        whole = await asker.ask("Hello", metadata={"a": "b"})
        streamed = (await asker.events("Hello"))[-1]["response"]

        for response in (whole, streamed):
            status, again = await get(asker, response["id"])
            assert (status, again) == (200, response)
            Response.model_validate(again)

    asking(scenario)


def test_what_is_not_to_be_stored_is_not() -> None:
    async def scenario(asker: Asker) -> None:
        response = await asker.ask("Hello", store=False)
        status, body = await get(asker, response["id"])
        error = await asker.refused(previous_response_id=response["id"])

        assert response["store"] is False
        assert (status, body["error"]["code"]) == (404, "response_not_found")
        assert (error["code"], error["param"]) == ("previous_response_not_found", "previous_response_id")

    asking(scenario)


def test_a_deleted_response_is_gone_and_so_is_what_followed_it() -> None:
    async def scenario(asker: Asker) -> None:
        one = await asker.ask("Hello")
        two = await asker.ask("More", previous_response_id=one["id"])
        status, body = await delete(asker, one["id"])

        assert (status, body) == (200, {"id": one["id"], "object": "response", "deleted": True})
        assert (await get(asker, one["id"]))[0] == 404
        assert (await delete(asker, one["id"]))[0] == 404
        assert (await get(asker, two["id"]))[0] == 200
        error = await asker.refused(previous_response_id=two["id"])
        assert one["id"] in error["message"]

    asking(scenario)


def test_the_input_of_a_response_is_listed_page_by_page() -> None:
    async def scenario(asker: Asker) -> None:
        given: list[Body] = [{"role": "user", "content": str(number)} for number in range(25)]
        given[3] = {"role": "developer", "content": "3"}
        response = await asker.ask(given)
        path = f"{response['id']}/input_items"
        _, newest = await get(asker, path)
        ResponseItemList.model_validate(newest)
        _, rest = await get(asker, f"{path}?after={newest['last_id']}")
        _, oldest = await get(asker, f"{path}?order=asc&limit=4")

        assert [item["content"][0]["text"] for item in newest["data"]] == [str(n) for n in range(24, 4, -1)]
        assert (newest["has_more"], newest["first_id"]) == (True, newest["data"][0]["id"])
        assert [item["content"][0]["text"] for item in rest["data"]] == ["4", "3", "2", "1", "0"]
        assert rest["has_more"] is False
        assert [item["role"] for item in oldest["data"]] == ["user", "user", "user", "developer"]
        for wrong in ("limit=0", "limit=101", "limit=x", "order=up", "after=msg_x", "before=msg_x", "include=a"):
            status, body = await get(asker, f"{path}?{wrong}")
            assert (status, body["error"]["param"]) == (400, wrong.split("=")[0])

    asking(scenario)


def test_a_reference_stands_for_an_item_of_a_response_that_is_kept() -> None:
    async def scenario(asker: Asker) -> None:
        one = await asker.ask("Hello")
        lost = await asker.ask("Hello", store=False)
        said = one["output"][0]["id"]
        await asker.ask([{"type": "item_reference", "id": said}, {"id": said}, {"role": "user", "content": "More"}])

        assert [(item.role, item.text) for item in asker.mind.prompt.items] == [
            ("assistant", "Fine."),
            ("assistant", "Fine."),
            ("user", "More"),
        ]
        for name in (lost["output"][0]["id"], "msg_nowhere", "x"):
            error = await asker.refused([{"type": "item_reference", "id": name}])
            assert (error["code"], error["param"]) == ("item_not_found", "input[0].id")

    asking(scenario)


def test_a_chain_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "CHAIN_LIMIT", 8)

    async def scenario(asker: Asker) -> None:
        last = await asker.ask("0")
        for number in range(1, 8):
            last = await asker.ask(str(number), previous_response_id=last["id"])
        response = await asker.ask("one more", previous_response_id=last["id"])
        error = await asker.refused(previous_response_id=response["id"])

        assert len(asker.mind.prompt.items) == 2 * 8 + 1
        assert error["code"] == "context_length_exceeded"

    asking(scenario)


def test_an_input_that_is_too_large_to_be_kept_is_refused_by_name() -> None:
    async def scenario(asker: Asker) -> None:
        given = "a" * KEPT_LIMIT_BYTES
        error = await asker.refused(given)
        response = await asker.ask(given, store=False)

        assert error["param"] == "input"
        assert "store: false" in error["message"]
        assert response["status"] == "completed"
        assert asker.mind.prompts[0].items[0].text == given

    asking(scenario)


def test_an_answer_that_is_too_large_to_be_kept_is_given_and_says_so() -> None:
    rounds = [GeneratedText("a" * KEPT_LIMIT_BYTES, "final_answer"), DONE]

    async def scenario(asker: Asker) -> None:
        response = await asker.ask("Hello")

        assert response["store"] is False
        assert len(response["output"][0]["content"][0]["text"]) == KEPT_LIMIT_BYTES
        assert (await get(asker, response["id"]))[0] == 404

    asking(scenario, rounds)


def test_an_answer_is_given_though_its_bucket_is_away() -> None:
    class Away(MemoryBucket):
        async def put(self, key: str, value: bytes) -> None:
            await asyncio.sleep(60.0)
            raise StoreUnavailable(key, 60.0)

    async def scenario(asker: Asker) -> None:
        asker.server.responses.put = Away().put  # type: ignore[method-assign]
        began_s = asyncio.get_running_loop().time()
        events = await asker.events()

        assert kinds(events)[-1] == "completed"
        assert events[-1]["response"]["store"] is False
        assert asyncio.get_running_loop().time() - began_s < 5.0

    asking(scenario)


def test_a_call_that_the_model_did_not_finish_is_not_told_again() -> None:
    rounds = [call(arguments='{"ci'), Generated(1, 1, incomplete="max_output_tokens")]

    async def scenario(asker: Asker) -> None:
        one = await asker.ask("Weather?", tools=[WEATHER])
        await asker.ask("Sorry?", previous_response_id=one["id"])

        assert one["output"][0]["status"] == "incomplete"
        assert [item.text for item in asker.mind.prompt.items] == ["Weather?", "Sorry?"]

    asking(scenario, rounds, [GeneratedText("Fine.", "final_answer"), DONE])


def test_where_responses_are_kept_is_full_the_client_is_told_before_the_model_is_asked() -> None:
    async def scenario(asker: Asker) -> None:
        responses = asker.server.responses
        assert isinstance(responses, MemoryBucket)
        first = await asker.ask("Hello")
        responses.limit_bytes = LIMIT_BYTES
        error = await asker.refused("Hello", status=507)
        free = await asker.ask("Hello", store=False)

        assert error["code"] == "store_full"
        assert f"it takes {LIMIT_BYTES} bytes" in error["message"]
        assert "store: false" in error["message"]
        assert len(asker.mind.prompts) == 2
        assert free["store"] is False
        assert (await get(asker, first["id"]))[0] == 200

    asking(scenario)


def test_an_answer_is_given_though_its_bucket_became_full_meanwhile() -> None:
    class Full(MemoryBucket):
        async def put(self, key: str, value: bytes) -> None:
            raise StoreFull("the bucket", LIMIT_BYTES)

    async def scenario(asker: Asker) -> None:
        asker.server.responses.put = Full().put  # type: ignore[method-assign]
        response = await asker.ask("Hello")

        assert response["store"] is False

    asking(scenario)
