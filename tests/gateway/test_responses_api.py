"""POST /v1/responses: what the model is told, and how its words come back, whole and streamed."""

import pytest

from gateway.generating import DONE, Asker, asking, call, kinds
from trunkline.proto.generation import Generated, GeneratedMessageEnded, GeneratedText, GenerationFailed

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": True,
}


def test_a_question_is_answered_whole_and_with_all_that_was_asked() -> None:
    async def scenario(asker: Asker) -> None:
        asked = {
            "instructions": "Be brief.",
            "temperature": 0.5,
            "max_output_tokens": 100,
            "reasoning": {"effort": "none"},
            "text": {"verbosity": "low"},
            "include": [],
            "metadata": {"desk": "7"},
            "user": "anna",
        }
        response = await asker.ask("How are you?", **asked)

        assert response["id"].startswith("resp_")
        assert (response["object"], response["status"], response["model"]) == ("response", "completed", "gpt-5.5")
        (message,) = response["output"]
        assert message["id"].startswith("msg_")
        assert (message["role"], message["status"], message["phase"]) == ("assistant", "completed", "final_answer")
        assert message["content"] == [{"type": "output_text", "text": "Fine.", "annotations": [], "logprobs": []}]
        assert response["usage"] == {
            "input_tokens": 7,
            "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 0},
            "output_tokens": 3,
            "output_tokens_details": {"reasoning_tokens": 1},
            "total_tokens": 10,
        }
        assert {name: response[name] for name in ("instructions", "temperature", "max_output_tokens", "metadata")} == {
            name: asked[name] for name in ("instructions", "temperature", "max_output_tokens", "metadata")
        }
        assert response["reasoning"] == {"effort": "none", "summary": None}
        assert response["text"] == {"format": {"type": "text"}, "verbosity": "low"}
        prompt = asker.mind.prompt
        assert (prompt.instructions, prompt.temperature, prompt.max_output_tokens) == ("Be brief.", 0.5, 100)
        assert (prompt.effort, prompt.verbosity, prompt.model, prompt.parallel) == ("none", "low", "", None)
        (item,) = prompt.items
        assert (item.kind, item.role, item.text) == ("message", "user", "How are you?")

    asking(scenario)


def test_an_empty_question_is_one_too() -> None:
    async def scenario(asker: Asker) -> None:
        await asker.ask([{"content": "", "role": "user"}])

        assert [item.text for item in asker.mind.prompt.items] == [""]

        await asker.ask("")

        assert [item.text for item in asker.mind.prompt.items] == [""]

    asking(scenario)


def test_what_is_said_is_streamed_in_the_vendors_order() -> None:
    rounds = [GeneratedText("It is ", "final_answer"), GeneratedText("sunny.", "final_answer"), DONE]

    async def scenario(asker: Asker) -> None:
        async with asker.stream("And?", store=False) as answer:
            assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        events = await asker.events("And?")

        deltas = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
        assert "".join(deltas) == "It is sunny."
        assert [kind for kind in kinds(events) if kind != "output_text.delta"] == [
            "created",
            "in_progress",
            "output_item.added",
            "content_part.added",
            "output_text.done",
            "content_part.done",
            "output_item.done",
            "completed",
        ]
        added, done, completed = events[2], events[-2], events[-1]
        assert (added["item"]["status"], added["item"]["content"]) == ("in_progress", [])
        assert added["item"]["phase"] == done["item"]["phase"] == "final_answer"
        assert completed["response"]["output"] == [done["item"]]
        assert completed["response"]["usage"]["total_tokens"] == 10
        assert completed["response"]["completed_at"]

    asking(scenario, rounds)


def test_a_stream_is_one_whatever_its_client_says_it_accepts() -> None:
    async def scenario(asker: Asker) -> None:
        body = {"model": "gpt-5.5", "input": "Hello", "stream": True}
        headers = {"Authorization": "Bearer sk-test", "Accept": "application/json"}
        async with asker.server.client.post("/v1/responses", json=body, headers=headers) as answer:
            assert answer.content_type == "text/event-stream"

    asking(scenario)


def test_words_before_a_tool_settle_as_commentary_where_the_model_says_no_phase() -> None:
    rounds = [GeneratedText("One moment."), call(), DONE]

    async def scenario(asker: Asker) -> None:
        events = await asker.events("Weather?", tools=[WEATHER])

        assert kinds(events) == [
            "created",
            "in_progress",
            "output_item.added",
            "content_part.added",
            "output_text.delta",
            "output_text.done",
            "content_part.done",
            "output_item.done",
            "output_item.added",
            "function_call_arguments.delta",
            "function_call_arguments.done",
            "output_item.done",
            "completed",
        ]
        assert events[2]["item"]["phase"] is None
        message, function = events[-1]["response"]["output"]
        assert (message["phase"], message["content"][0]["text"]) == ("commentary", "One moment.")
        assert events[7]["item"] == message
        assert events[8]["item"]["status"] == "in_progress"
        assert events[8]["item"]["arguments"] == ""
        assert function == events[11]["item"]
        assert (function["type"], function["status"], function["name"]) == ("function_call", "completed", "get_weather")
        assert (function["call_id"], function["arguments"]) == ("call_1", '{"city":"Oslo"}')
        assert function["id"].startswith("fc_")

    asking(scenario, rounds)


def test_a_message_without_a_phase_is_done_only_once_its_phase_is_known() -> None:
    rounds = [GeneratedText("One."), GeneratedMessageEnded(), GeneratedText("Two."), GeneratedMessageEnded(), DONE]

    async def scenario(asker: Asker) -> None:
        events = await asker.events()

        first, second = events[-1]["response"]["output"]
        assert [first["phase"], second["phase"]] == ["final_answer", "final_answer"]
        assert [first["content"][0]["text"], second["content"][0]["text"]] == ["One.", "Two."]
        assert kinds(events)[-3:] == ["output_item.done", "output_item.done", "completed"]
        assert [event["output_index"] for event in events[-3:-1]] == [0, 1]

    asking(scenario, rounds)


def test_words_behind_a_tool_are_no_answer_yet() -> None:
    async def scenario(asker: Asker) -> None:
        response = await asker.ask(tools=[WEATHER])

        assert [(item["type"], item.get("phase")) for item in response["output"]] == [
            ("function_call", None),
            ("message", "commentary"),
        ]

    asking(scenario, [call(), GeneratedText("I am looking."), DONE])


def test_each_phase_of_the_model_is_a_message_of_its_own() -> None:
    rounds = [
        GeneratedText("Let me see. ", "commentary"),
        GeneratedText("It rains.", "final_answer"),
        GeneratedMessageEnded(),
        GeneratedText("Take care.", "final_answer"),
        DONE,
    ]

    async def scenario(asker: Asker) -> None:
        for response in (await asker.ask(), (await asker.events())[-1]["response"]):
            said = [(item["phase"], item["content"][0]["text"]) for item in response["output"]]

            assert said == [
                ("commentary", "Let me see. "),
                ("final_answer", "It rains."),
                ("final_answer", "Take care."),
            ]

    asking(scenario, rounds)


def test_a_tool_of_the_client_makes_a_round_trip_with_every_phase_as_it_was() -> None:
    first = [GeneratedText("One moment.", "commentary"), call(), DONE]

    async def scenario(asker: Asker) -> None:
        question = {"role": "user", "content": "Weather?"}
        response = await asker.ask([question], tools=[WEATHER], tool_choice="required", parallel_tool_calls=False)
        output = {"type": "function_call_output", "call_id": "call_1", "output": "rain"}
        older = {"role": "assistant", "content": "Hello.", "phase": None}
        final = await asker.ask([older, question, *response["output"], output], tools=[WEATHER])

        asked, again = asker.mind.prompts
        assert (asked.tool_choice, asked.parallel) == ("required", False)
        assert [tool.name for tool in asked.tools] == ["get_weather"]
        assert final["output"][0]["content"][0]["text"] == "Fine."
        assert [(item.kind, item.role, item.text, item.phase, item.call_id, item.name) for item in again.items] == [
            ("message", "assistant", "Hello.", None, "", ""),
            ("message", "user", "Weather?", None, "", ""),
            ("message", "assistant", "One moment.", "commentary", "", ""),
            ("function_call", "", '{"city":"Oslo"}', None, "call_1", "get_weather"),
            ("function_call_output", "", "rain", None, "call_1", ""),
        ]

    asking(scenario, first, [GeneratedText("Fine.", "final_answer"), DONE])


def test_a_chosen_tool_goes_to_the_model_by_its_name() -> None:
    async def scenario(asker: Asker) -> None:
        choice = {"type": "function", "name": "get_weather"}
        response = await asker.ask(tools=[WEATHER], tool_choice=choice)

        assert asker.mind.prompt.tool_choice == "get_weather"
        assert response["tool_choice"] == choice
        assert response["tools"] == [WEATHER]

    asking(scenario)


def test_a_call_gets_an_id_that_the_conversation_has_not_had() -> None:
    async def scenario(asker: Asker) -> None:
        first = await asker.ask(tools=[WEATHER])
        output = {"type": "function_call_output", "call_id": "call_1", "output": "rain"}
        second = await asker.ask([output], tools=[WEATHER], previous_response_id=first["id"])

        assert first["output"][0]["call_id"] == "call_1"
        assert second["output"][0]["call_id"] not in ("call_1", "")

    asking(scenario, [call(), DONE])


def test_a_message_joins_its_parts_and_its_roles_become_the_models() -> None:
    async def scenario(asker: Asker) -> None:
        await asker.ask(
            [
                {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Be kind."}]},
                {
                    "type": "message",
                    "role": "user",
                    "content": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}],
                },
                {
                    "type": "message",
                    "role": "assistant",
                    "content": [{"type": "output_text", "text": "c"}, {"type": "refusal", "refusal": "d"}],
                },
                {"type": "reasoning", "id": "rs_1", "summary": []},
                {"role": "system", "content": "e"},
            ]
        )

        assert [(item.role, item.text) for item in asker.mind.prompt.items] == [
            ("system", "Be kind."),
            ("user", "ab"),
            ("assistant", "cd"),
            ("system", "e"),
        ]

    asking(scenario)


def test_a_model_that_stops_early_leaves_a_response_that_is_incomplete() -> None:
    rounds = [GeneratedText("It is", "final_answer"), Generated(7, 3, incomplete="max_output_tokens")]

    async def scenario(asker: Asker) -> None:
        whole, events = await asker.ask(), await asker.events()

        for response in (whole, events[-1]["response"]):
            assert response["status"] == "incomplete"
            assert response["incomplete_details"] == {"reason": "max_output_tokens"}
            assert response["output"][0]["status"] == "incomplete"
        assert kinds(events)[-1] == "incomplete"

    asking(scenario, rounds)


def test_a_model_that_fails_says_so_in_the_stream_and_by_a_status() -> None:
    rounds = [GeneratedText("It is", "final_answer"), GenerationFailed("broken", "the endpoint went away")]

    async def scenario(asker: Asker) -> None:
        error = await asker.refused(status=500)
        events = await asker.events()

        assert (error["code"], error["message"], error["type"]) == ("broken", "the endpoint went away", "server_error")
        failed = events[-1]
        assert failed["type"] == "response.failed"
        assert failed["response"]["status"] == "failed"
        assert failed["response"]["error"] == {"code": "server_error", "message": "the endpoint went away"}
        assert failed["response"]["output"][0]["status"] == "incomplete"

    asking(scenario, rounds)


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (GenerationFailed("context_length_exceeded", "too long", "input", True), 400, "invalid_prompt"),
        (GenerationFailed("rate_limit_exceeded", "slow down"), 429, "rate_limit_exceeded"),
    ],
)
def test_a_failure_has_the_status_and_the_code_that_clients_act_by(
    failure: GenerationFailed, status: int, code: str
) -> None:
    async def scenario(asker: Asker) -> None:
        error = await asker.refused(status=status)
        events = await asker.events()

        assert (error["code"], error["param"]) == (failure.code, failure.param or None)
        assert events[-1]["response"]["error"]["code"] == code

    asking(scenario, [failure])


def test_a_conversation_of_megabytes_arrives_whole() -> None:
    async def scenario(asker: Asker) -> None:
        words = "a" * 900_000
        await asker.ask([{"role": "user", "content": words} for _ in range(3)], store=False)

        assert [len(item.text) for item in asker.mind.prompt.items] == [900_000] * 3

    asking(scenario)
