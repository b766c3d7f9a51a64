"""Clients that come back to a call of another gateway, over real sockets: what is refused and what goes on."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.past_call import CALL, GATEWAY, HEARD_TO, LAST, put
from gateway.scene import Session, settle
from gateway.socket_scene import KEY, Caller, Event, Server
from support.virtual import run_over_sockets
from trunkline.gateway.casting import Casting
from trunkline.gateway.dialects.realtime.events_in import MAX_TEXT
from trunkline.gateway.dialects.realtime.settled import LOOK_BYTES
from trunkline.gateway.resume_token import ResumeTokens
from trunkline.proto import response as r
from trunkline.proto import speech as s
from trunkline.proto.audio import CALLER_RATE_HZ
from trunkline.proto.envelope import hub_of
from trunkline.record import CallView, FileFacts

TOKEN = ResumeTokens("", [KEY, "sk-other"]).issue(CALL)
MS = CALLER_RATE_HZ // 1000
HEARD_TO_MS = HEARD_TO // MS
CHUNK = bytes(960)  # 20 ms
RESUME = {"settled_ms": HEARD_TO_MS, "kept_from_ms": HEARD_TO_MS, "end_ms": HEARD_TO_MS + 1000}
Scenario = Callable[[Server, Caller], Awaitable[None]]


def stock(scenario: Scenario) -> None:
    """A client that knows nothing but its token."""

    async def main() -> None:
        async with Server() as server:
            await put(server.store)
            async with server.connect(token=TOKEN) as caller:
                await scenario(server, caller)
            await settle(0.1)
            assert server.service.load()[0] == 0

    run_over_sockets(main())


def ours(scenario: Scenario, *, heard_out: bool = False, **told: object) -> None:
    """A client that says where it stands."""

    async def main() -> None:
        async with Server() as server:
            await put(server.store, heard_out=heard_out)
            async with server.connect(token=TOKEN, ours=True) as caller:
                await caller.send(type="trunkline.resume", **{**RESUME, **told})
                await scenario(server, caller)
            await settle(0.1)
            assert server.service.load()[0] == 0

    run_over_sockets(main())


def agent(server: Server) -> Session:
    return server.scene.agent.sessions[-1]


def stt(server: Server) -> Session:
    return server.scene.stt.sessions[-1]


def kinds(caller: Caller) -> list[str]:
    return [str(event["type"]) for event in caller.seen]


def says_again(server: Server) -> None:
    """What an agent says to a gateway that is new to the call."""
    for message in (
        r.ResponseStarted("resp_2", 2),
        r.ItemStarted("resp_2", LAST, "final_answer"),
        r.Say("resp_2", LAST, 1, "And you?"),
        r.ItemFinished("resp_2", LAST, "Fine. And you?", "final_answer"),
        r.ResponseFinished("resp_2", "completed"),
    ):
        agent(server).say(message)


# what is refused


@pytest.mark.parametrize(
    ("token", "ended", "status", "code"),
    [
        ("rtk_rtc_07_past.00", "", 401, "invalid_resume_token"),
        (ResumeTokens("", [KEY, "sk-other"]).issue("rtc_07_unknown"), "", 404, "call_not_found"),
        (TOKEN, "caller_hung_up", 410, "call_over"),
    ],
)
def test_a_token_that_leads_nowhere_is_refused_before_the_upgrade(
    token: str, ended: str, status: int, code: str
) -> None:
    async def main() -> None:
        async with Server() as server:
            await put(server.store, ended=ended)
            found, body, _ = await server.refused(token=token)

            assert (found, body["error"]["code"]) == (status, code)
            assert server.scene.agent.sessions == []

    run_over_sockets(main())


@pytest.mark.parametrize(
    ("token", "ended", "code"),
    [
        (ResumeTokens("", [KEY, "sk-other"]).issue("rtc_07_unknown"), "", "call_not_found"),
        (TOKEN, "caller_hung_up", "call_over"),
    ],
)
def test_a_client_of_ours_is_told_on_its_socket_that_its_token_leads_nowhere(token: str, ended: str, code: str) -> None:
    async def main() -> None:
        async with Server() as server:
            await put(server.store, ended=ended)
            async with server.connect(token=token, ours=True) as caller:
                await caller.send(type="trunkline.resume", **RESUME)
                error = await caller.error()
                closed = await caller.closed()

            assert (error["code"], closed) == (code, 4000)
            assert server.scene.agent.sessions == []

    run_over_sockets(main())


def test_a_token_lets_nobody_in_without_a_key() -> None:
    async def main() -> None:
        async with Server() as server:
            await put(server.store)
            status, body, _ = await server.refused(key="sk-wrong", token=TOKEN)

            assert (status, body["error"]["code"]) == (401, "invalid_api_key")

    run_over_sockets(main())


def test_a_first_word_that_is_no_resume_is_told_so_and_touches_no_call() -> None:
    async def main() -> None:
        async with Server() as server:
            await put(server.store)
            async with server.connect(token=TOKEN, ours=True) as caller:
                await caller.send(type="response.create")
                error = await caller.error()
                code = await caller.closed()

            assert "trunkline.resume" in error["message"]
            assert code == 4000
            assert server.scene.agent.sessions == []

    run_over_sockets(main())


def test_a_call_that_no_agent_takes_can_be_asked_for_again() -> None:
    async def main() -> None:
        async with Server() as server:
            await put(server.store)
            await server.scene.agent.stop()
            await settle(0.6)
            async with server.connect(token=TOKEN, ours=True) as caller:
                await caller.send(type="trunkline.resume", **RESUME)
                error = await caller.error()
                code = await caller.closed()

            assert error["code"] == "not_resumed"
            assert code == 1013
            assert server.service.load()[0] == 0

    run_over_sockets(main())


# what a stock client finds


def test_a_bug_in_taking_a_call_up_leaves_no_call_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(casting: Casting, view: CallView) -> None:
        raise RuntimeError("a bug")

    async def main() -> None:
        async with Server() as server:
            await put(server.store)
            monkeypatch.setattr(Casting, "go_on", fail)
            async with server.connect(token=TOKEN) as caller:
                await caller.closed()

            assert server.service.load()[0] == 0

    run_over_sockets(main())


def test_a_stock_client_finds_its_conversation_and_the_record_says_what_was_lost() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        created = await caller.until("session.created")
        for _ in range(6):
            await caller.next()
        await settle()

        assert created["session"]["id"] == CALL
        assert created["trunkline"]["resume_token"] == TOKEN
        assert kinds(caller)[1:] == ["conversation.item.added", "conversation.item.done"] * 3
        told = [event["item"] for event in caller.seen if event["type"] == "conversation.item.done"]
        assert [(item["id"], item["content"][0]["transcript"]) for item in told] == [
            ("item_u1", "Hello."),
            ("item_a1", "Hello yourself."),
            ("item_u2", "How are you?"),
        ]
        order = agent(server).order
        assert isinstance(order, r.Converse)
        assert order.reason == f"{GATEWAY}: the caller came back"
        assert order.hub > 1
        assert hub_of(agent(server).link.attach) == order.hub
        assert agent(server).all(r.Recall) == [r.Recall((), (), True, 0)]
        assert agent(server).all(r.CallerLost) == [r.CallerLost(HEARD_TO)]
        listen = stt(server).order
        assert isinstance(listen, s.Listen)
        assert listen.from_sample == HEARD_TO

    stock(scenario)


def test_what_was_not_heard_is_said_again_in_its_place() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await caller.until("session.created")
        await settle()
        says_again(server)
        done = await caller.until("response.done")
        await caller.send(type="conversation.item.retrieve", item_id=LAST)
        got = await caller.until("conversation.item.retrieved")

        words = [e["delta"] for e in caller.seen if e["type"] == "response.output_audio_transcript.delta"]
        assert words == ["And you?"]
        assert done["response"]["output"][0]["content"][0]["transcript"] == "Fine. And you?"
        assert got["item"]["content"][0]["transcript"] == "Fine. And you?"

    stock(scenario)


def test_turns_go_on_behind_those_on_record() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await caller.until("session.created")
        await settle()
        for _ in range(5):
            await caller.append(CHUNK)
        await settle()
        stt(server).say(s.SpeechStarted(1, HEARD_TO + 100))
        stt(server).say(s.SpeechStopped(1, HEARD_TO + 900))
        stt(server).say(s.Final(1, "Well.", HEARD_TO, HEARD_TO + 1000))
        stopped = await caller.until("input_audio_buffer.speech_stopped")
        committed = await caller.until("input_audio_buffer.committed")
        await caller.until("response.done")

        turns = agent(server).all(r.Turn)
        assert [(t.turn, t.text, t.from_sample) for t in turns if isinstance(t, r.Turn)] == [(3, "Well.", HEARD_TO)]
        assert stopped["audio_end_ms"] == (HEARD_TO + 900) // MS
        assert committed["previous_item_id"] == LAST

    stock(scenario)


# what a client of ours finds


def test_audio_goes_on_where_it_is_needed() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        resumed = await caller.until("trunkline.resumed")
        await settle()

        assert kinds(caller) == ["session.created", "trunkline.resumed"]
        assert resumed["audio_from_ms"] == HEARD_TO_MS + 500
        listen = stt(server).order
        assert isinstance(listen, s.Listen)
        assert listen.from_sample == HEARD_TO + 500 * MS
        assert agent(server).all(r.CallerLost) == []

    ours(scenario, settled_ms=HEARD_TO_MS + 500)


def test_what_a_turn_on_record_has_is_not_wanted_again() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        resumed = await caller.until("trunkline.resumed")

        assert resumed["audio_from_ms"] == HEARD_TO_MS

    ours(scenario, settled_ms=0, kept_from_ms=0)


def test_what_became_a_turn_while_the_client_asked_is_not_wanted_again() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        resumed = await caller.until("trunkline.resumed")
        await settle()

        assert resumed["audio_from_ms"] == HEARD_TO_MS
        listen = stt(server).order
        assert isinstance(listen, s.Listen)
        assert listen.from_sample == HEARD_TO
        assert agent(server).all(r.CallerLost) == []

    ours(scenario, settled_ms=0, kept_from_ms=0, end_ms=HEARD_TO_MS - 400)


def test_no_audio_is_settled_that_the_client_has_not_said() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        resumed = await caller.until("trunkline.resumed")

        assert resumed["audio_from_ms"] == HEARD_TO_MS + 1000

    ours(scenario, settled_ms=HEARD_TO_MS + 9000)


def test_audio_that_the_client_no_longer_has_is_lost_and_recorded_so() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        resumed = await caller.until("trunkline.resumed")
        await settle()

        assert resumed["audio_from_ms"] == HEARD_TO_MS + 300
        assert agent(server).all(r.CallerLost) == [r.CallerLost(HEARD_TO)]

    ours(scenario, kept_from_ms=HEARD_TO_MS + 300)


def test_only_the_rest_of_a_segment_is_sent() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await caller.until("trunkline.resumed")
        await settle()
        says_again(server)
        await caller.until("response.done")

        deltas = [e for e in caller.seen if e["type"] == "response.output_audio.delta"]
        assert (deltas[0]["segment"], deltas[0]["position"]) == (1, 3_000)
        assert sum(delta["samples"] for delta in deltas) == len("And you?") * 1_200 - 3_000

    ours(scenario, received=[{"item_id": LAST, "segment": 1, "samples": 3_000}])


def test_a_segment_that_the_client_has_whole_counts_as_heard() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await caller.until("trunkline.resumed")
        await settle()
        says_again(server)
        await caller.until("response.done")
        await settle(0.1)

        assert "response.output_audio.delta" not in kinds(caller)
        [played] = agent(server).all(r.Played)
        assert isinstance(played, r.Played)
        assert (played.heard.item, played.heard.index, played.heard.heard_samples) == (LAST, 1, len("And you?") * 1_200)

    ours(scenario, received=[{"item_id": LAST, "segment": 1, "samples": len("And you?") * 1_200}])


def test_what_the_gateway_before_took_for_heard_and_the_client_never_got_is_said() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await caller.until("trunkline.resumed")
        await settle()
        assert agent(server).all(r.Recall) == [r.Recall((), (), True, 0, r.SegmentHeard(LAST, 0, 24_000, 0))]
        says_again(server)
        delta = await caller.until("response.output_audio.delta")
        await caller.until("response.done")

        assert (delta["item_id"], delta["segment"], delta.get("position", 0)) == (LAST, 1, 0)
        assert kinds(caller).count("response.done") == 1

    ours(
        scenario,
        heard_out=True,
        received=[{"item_id": LAST, "segment": 0, "samples": 24_000}],
        responses=["resp_2"],
    )


def test_a_client_that_got_nothing_is_said_what_the_gateway_before_took_for_heard() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await caller.until("trunkline.resumed")
        await settle()

        assert agent(server).all(r.Recall) == [r.Recall((), (), True, 0, r.SegmentHeard("", 0, 0, 0))]

    ours(scenario, heard_out=True)


def test_a_response_that_the_client_saw_cancelled_is_not_said_again() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await caller.until("trunkline.resumed")
        await settle()

        [recall, interrupt, *_] = agent(server).got
        assert isinstance(recall, r.Recall)
        assert recall.inputs == 1
        assert isinstance(interrupt, r.Interrupt)
        assert (interrupt.response, interrupt.reason) == ("resp_2", "turn_detected")
        assert (LAST, 1, 700) in [(h.item, h.index, h.heard_samples) for h in interrupt.heard]

    ours(
        scenario,
        cancelled=[{"response_id": "resp_2", "reason": "turn_detected"}],
        received=[{"item_id": LAST, "segment": 1, "samples": 700}],
    )


def test_an_utterance_that_was_announced_keeps_its_item() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await caller.until("trunkline.resumed")
        for _ in range(50):
            await caller.append(CHUNK)
        await settle(0.1)
        stt(server).say(s.SpeechStarted(1, HEARD_TO + 210 * MS))
        stt(server).say(s.SpeechStopped(1, HEARD_TO + 700 * MS))
        stt(server).say(s.Final(1, "Well.", HEARD_TO, HEARD_TO + 800 * MS))
        committed = await caller.until("input_audio_buffer.committed")
        await caller.until("response.done")

        assert committed["item_id"] == "item_mine"
        assert "input_audio_buffer.speech_started" not in kinds(caller)

    ours(scenario, begun=[{"item_id": "item_mine", "start_ms": HEARD_TO_MS + 200}])


def test_the_end_that_a_client_missed_is_told() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await caller.until("trunkline.resumed")
        first = await caller.until("response.done")
        second = await caller.until("response.done")

        assert (first["response"]["id"], first["response"]["status"]) == ("resp_1", "completed")
        assert [item["id"] for item in first["response"]["output"]] == ["item_a1"]
        assert (second["response"]["id"], second["response"]["status"]) == ("resp_unknown", "incomplete")

    ours(scenario, responses=["resp_1", "resp_unknown"], received=[{"item_id": LAST, "segment": 0, "samples": 24_000}])


def test_words_that_a_client_missed_are_told() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await caller.until("trunkline.resumed")
        committed = await caller.until("input_audio_buffer.committed")
        told = await caller.until("conversation.item.input_audio_transcription.completed")

        assert committed["item_id"] == told["item_id"] == "item_u2"
        assert told["transcript"] == "How are you?"

    ours(scenario, begun=[{"item_id": "item_u2", "start_ms": 2000}])


@pytest.mark.parametrize("heard_out", [True, False])
def test_a_text_and_an_order_to_respond_are_made_up_for(heard_out: bool) -> None:
    """An answer that is said again is the one that was ordered."""

    async def scenario(server: Server, caller: Caller) -> None:
        await caller.until("trunkline.resumed")
        await settle(0.1)

        assert [turn.item for turn in agent(server).all(r.Turn) if isinstance(turn, r.Turn)] == ["item_t"]
        assert len(agent(server).all(r.Respond)) == int(heard_out)

    typed = [{"item_id": "item_t", "text": "Hi"}, {"item_id": "item_u1", "text": "Hello."}]
    received = [{"item_id": LAST, "segment": 1 if heard_out else 0, "samples": 24_000}]
    ours(scenario, heard_out=heard_out, received=received, typed=typed, respond="Be brief.")


def test_an_order_to_respond_that_has_a_name_is_told_from_an_answer_that_is_said_again() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await caller.until("trunkline.resumed")
        await settle(0.1)

        assert agent(server).all(r.Respond) == [r.Respond("Be brief.", "resp_mine")]

    ours(scenario, respond="Be brief.", respond_id="resp_mine")


def test_an_order_to_respond_that_is_on_record_is_not_given_again() -> None:
    """It has had its end, which the client missed."""

    async def scenario(server: Server, caller: Caller) -> None:
        await caller.until("trunkline.resumed")
        done = await caller.until("response.done")
        await settle(0.1)

        assert done["response"]["id"] == "resp_1"
        assert agent(server).all(r.Respond) == []

    received = [{"item_id": LAST, "segment": 0, "samples": 24_000}]
    ours(scenario, received=received, respond="", respond_id="resp_1")


def test_an_order_to_respond_gives_the_response_its_name_once() -> None:
    async def main() -> None:
        async with Server() as server, server.connect(ours=True) as caller, server.connect() as other:
            for each in (caller, other):
                await each.until("session.created")
                for _ in range(2):
                    await each.send(type="response.create", event_id="resp_mine")
                    await each.until("response.done")

            mine, others = (
                [event["response"]["id"] for event in each.seen if event["type"] == "response.created"]
                for each in (caller, other)
            )
            assert mine[0] == "resp_mine"
            assert "resp_mine" not in [mine[1], *others]

    asyncio.run(asyncio.wait_for(main(), 15))


@pytest.mark.parametrize(("opened", "refusals"), [([], 0), (["resp_2"], 1)])
def test_an_order_to_respond_waits_for_what_is_said_again_to_a_client_that_has_it(
    opened: list[str], refusals: int
) -> None:
    """For who has seen its end, no response is active."""

    async def scenario(server: Server, caller: Caller) -> None:
        await caller.until("trunkline.resumed")
        await settle()
        says_again(server)
        await settle()
        await caller.send(type="response.create")
        if refusals:
            refused = await caller.until("error")
            assert refused["error"]["code"] == "conversation_already_has_active_response"
        await caller.until("response.done")
        await settle(0.1)

        assert len(agent(server).all(r.Respond)) == 1 - refusals
        assert kinds(caller).count("error") == refusals

    ours(scenario, received=[{"item_id": LAST, "segment": 0, "samples": 24_000}], responses=opened)


def test_who_comes_back_only_to_hang_up_has_heard_what_he_says_he_has() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await caller.until("trunkline.resumed")
        await caller.socket.close()
        await settle(0.1)

        assert agent(server).all(r.Interrupt) == [
            r.Interrupt("resp_2", "client_cancelled", (r.SegmentHeard(LAST, 1, 6_000, 0),))
        ]

    heard = [(0, 24_000), (1, 6_000)]
    ours(scenario, received=[{"item_id": LAST, "segment": at, "samples": samples} for at, samples in heard])


def test_the_session_is_as_the_client_had_configured_it() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        created = await caller.until("session.created")
        await caller.until("trunkline.resumed")
        await settle()

        assert created["session"]["audio"]["input"]["format"] == {"type": "audio/pcmu"}
        listen = stt(server).order
        assert isinstance(listen, s.Listen)
        assert listen.rules.automatic is False

    session: Event = {"audio": {"input": {"format": {"type": "audio/pcmu"}, "turn_detection": None}}}
    ours(scenario, session=session)


@pytest.mark.parametrize("session", [{"tools": [{}]}, {"audio": {"output": {"speed": 9}}}, {"nonsense": 1}, "nonsense"])
def test_a_session_that_is_refused_leaves_the_call_to_go_on_with_its_own(session: object) -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        created = await caller.until("session.created")
        await caller.until("trunkline.resumed")
        await settle(0.1)

        assert created["session"]["audio"]["input"]["format"]["type"] == "audio/pcm"
        assert created["session"]["audio"]["output"]["speed"] == 1.0
        assert isinstance(stt(server).order, s.Listen)
        assert server.service.load()[0] == 1

    ours(scenario, session=session)


def test_updates_that_the_gateway_before_did_not_answer_are_answered_in_order() -> None:
    """One that is refused leaves the others, and the session, as they are."""

    async def scenario(server: Server, caller: Caller) -> None:
        await caller.until("trunkline.resumed")
        for _ in range(2):
            await caller.until("session.updated")

        answers = [event for event in caller.seen if event["type"] in ("session.updated", "error")]
        assert [answer["type"] for answer in answers] == ["session.updated", "error", "error", "session.updated"]
        assert [answers[1]["error"]["event_id"], answers[2]["error"]["event_id"]] == ["evt_2", "evt_3"]
        session = answers[3]["session"]
        assert (session["audio"]["input"]["format"]["type"], session["audio"]["output"]["speed"]) == ("audio/pcmu", 1.2)
        assert session["instructions"] == "Rhyme."
        assert server.service.load()[0] == 1

    sessions: list[dict[str, object]] = [
        {"instructions": "Rhyme."},
        {"audio": {"output": {"speed": 9}}},
        {"nonsense": 1},
        {"audio": {"output": {"speed": 1.2}}},
    ]
    unanswered = [
        {"type": "session.update", "event_id": f"evt_{n}", "session": {"type": "realtime"} | one}
        for n, one in enumerate(sessions, 1)
    ]
    ours(scenario, session={"audio": {"input": {"format": {"type": "audio/pcmu"}}}}, unanswered=unanswered)


def test_a_picture_is_made_up_for_and_what_follows_it_comes_behind_it() -> None:
    async def main() -> None:
        async with Server() as server:
            await put(server.store, heard_out=True)
            facts = FileFacts("file_a", "", "vision", "image/png", 300, 1, width=40, height=30)
            await server.files.put(facts, bytes(300))
            shown = [{"type": "input_text", "text": "Look:"}, {"type": "input_image", "file_id": "file_a"}]
            typed = [{"item_id": "item_t", "text": "", "content": shown}, {"item_id": "item_v", "text": "Well?"}]
            async with server.connect(token=TOKEN, ours=True) as caller:
                received = [{"item_id": LAST, "segment": 1, "samples": 24_000}]
                asks = {"typed": typed, "respond": "Be brief.", "received": received}
                await caller.send(type="trunkline.resume", **RESUME, **asks)
                await caller.until("trunkline.resumed")
                await settle(0.3)

                made_up = [m for m in agent(server).got if isinstance(m, r.Turn | r.Respond)]
                assert [getattr(m, "item", "") for m in made_up] == ["item_t", "item_v", ""]
                assert [image.file for image in made_up[0].images] == ["file_a"]  # type: ignore[union-attr]  # a Turn

    run_over_sockets(main())


@pytest.mark.parametrize("text", ["", " ", "x" * (MAX_TEXT + 1)])
def test_a_text_that_would_be_refused_is_refused_when_it_is_made_up_for(text: str) -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        error = await caller.error()
        await settle(0.1)

        assert (error["param"], error["event_id"]) == ("item.content", "evt_1")
        assert agent(server).all(r.Turn) == []

    ours(scenario, heard_out=True, typed=[{"item_id": "item_t", "text": text, "event_id": "evt_1"}])


# a call that this gateway still has


def test_who_comes_back_to_the_same_gateway_takes_the_call_from_his_old_line() -> None:
    async def main() -> None:
        async with Server() as server, server.connect(ours=True) as first:
            created = await first.until("session.created")
            call, token = created["session"]["id"], created["trunkline"]["resume_token"]
            await put(server.store, call)  # what its agent would have written
            async with server.connect(token=token, ours=True) as second:
                await second.send(type="trunkline.resume", **RESUME)
                await second.until("trunkline.resumed")
                code = await first.closed()
                await settle()

                assert code == 4000
                assert [session.closed for session in server.scene.agent.sessions] == ["superseded", ""]
                assert [session.closed for session in server.scene.stt.sessions] == ["moved", ""]
                assert server.service.load()[0] == 1

    run_over_sockets(main())


def test_a_client_is_told_what_it_need_not_keep_and_not_what_is_unrecorded() -> None:
    more = bytes(LOOK_BYTES)

    async def main() -> None:
        async with Server() as server, server.connect(ours=True) as caller:
            await caller.until("session.created")
            for _ in range(60):
                await caller.append(CHUNK)
            await settle()
            stt(server).say(s.Silent(3_200))
            await settle(0.05)
            await caller.append(more)
            first = await caller.until("trunkline.settled")
            stt(server).say(s.SpeechStarted(1, 8_000))
            stt(server).say(s.SpeechStopped(1, 14_000))
            stt(server).say(s.Final(1, "Hello", 8_000, 16_000))
            await caller.until("response.done")
            await settle(0.5)
            await caller.append(more)
            unrecorded = await caller.until("trunkline.settled")
            agent(server).say(r.Stored(agent(server).link.state.received, 0))
            await settle(0.6)
            await caller.append(more)
            recorded = await caller.until("trunkline.settled")

            told = [event["audio_end_ms"] for event in (first, unrecorded, recorded)]
            assert told == [200, 500, 1000]

    run_over_sockets(main())


def test_a_gateway_that_drains_asks_a_client_of_ours_to_move_and_no_other() -> None:
    async def main() -> None:
        async with Server() as server, server.connect(ours=True) as mine, server.connect() as other:
            await mine.until("session.created")
            await other.until("session.created")
            draining = asyncio.create_task(server.service.drain(0.3))
            move = await mine.until("trunkline.move")
            await draining

            assert move["reason"] == "draining"
            assert await mine.closed() == 1001
            assert "error" not in kinds(mine)
            assert (await other.error())["code"] == "draining"
            assert await other.closed() == 1011
            ends = [session.closed for session in server.scene.agent.sessions]
            assert ends == ["moved", "failed: gateway draining"]
            assert [session.closed for session in server.scene.stt.sessions] == ends

    run_over_sockets(main())


def test_a_gateway_that_drains_lets_go_of_a_call_whose_client_is_away() -> None:
    """A stock client too can come back to it, elsewhere, with its session's token."""

    async def main() -> None:
        async with Server() as server:
            async with server.connect() as caller:
                await caller.until("session.created")
                caller.breaks()
                await settle(0.1)
                assert server.service.load()[0] == 1
            await server.service.drain(0.1)

            assert agent(server).closed == stt(server).closed == "moved"
            assert server.service.load()[0] == 0

    run_over_sockets(main())
