"""A short call as its events, for the tests of fold, log and JSON."""

from trunkline.proto.record import (
    AssistantItem,
    CallerSaid,
    Configured,
    Ended,
    Event,
    HubAttached,
    ItemClosed,
    ItemPhaseSettled,
    ItemTruncated,
    PlayedOut,
    ResponseClosed,
    ResponseOpened,
    SegmentSaid,
    ToolFinished,
    ToolIntended,
)

BEGAN_US = 1_790_000_000_000_000


def weather_call() -> list[Event]:
    """A greeting, a turn with commentary, tool and an answer that is interrupted, and the end."""
    at = iter(range(BEGAN_US, BEGAN_US + 1_000_000, 1_000))
    return [
        Configured(next(at), "frontdesk"),
        HubAttached(next(at), 1, "gateway-a"),
        ResponseOpened(next(at), "resp_1", 0),
        AssistantItem(next(at), "resp_1", "item_1", "final_answer", "greeting"),
        SegmentSaid(next(at), "item_1", 0, "Hello."),
        ItemClosed(next(at), "item_1"),
        ResponseClosed(next(at), "resp_1", "completed"),
        PlayedOut(next(at), "item_1", 0, 12_000),
        CallerSaid(next(at), 1, "item_2", "What is the weather in Tokyo?", "speech", 100, 32_100, "item_1"),
        ResponseOpened(next(at), "resp_2", 1),
        AssistantItem(next(at), "resp_2", "item_3", None, "model"),
        SegmentSaid(next(at), "item_3", 0, "One moment."),
        ItemPhaseSettled(next(at), "item_3", "commentary"),
        ItemClosed(next(at), "item_3"),
        ToolIntended(next(at), "call_1", "resp_2", "get_weather", '{"city":"Tokyo"}', "call_1", BEGAN_US + 9),
        PlayedOut(next(at), "item_3", 0, 24_000),
        ToolFinished(next(at), "call_1", "ok", '{"sky":"sunny"}', "tool_runner-a", 2.5, '{"city":"Tokyo"}'),
        AssistantItem(next(at), "resp_2", "item_4", "final_answer", "model"),
        SegmentSaid(next(at), "item_4", 0, "It is sunny, "),
        SegmentSaid(next(at), "item_4", 1, "and it will stay so."),
        PlayedOut(next(at), "item_4", 0, 20_000),
        ItemTruncated(next(at), "item_4", "It is sunny, and", 26_000, True),
        ResponseClosed(next(at), "resp_2", "cancelled", "turn_detected"),
        Ended(next(at), "caller_hung_up"),
    ]
