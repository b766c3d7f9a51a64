"""Answers of an endpoint as the vendor's API streams them; `test_referee` holds them against the vendor's own types."""

from collections.abc import Sequence
from typing import Any

import msgspec

Event = dict[str, Any]
MODEL = "gpt-5.5"


def sse(events: Sequence[Event], *, named: bool = True) -> bytes:
    """As bytes on the wire. named: with an `event:` line, as Responses are sent."""
    return b"".join(
        (f"event: {event['type']}\n".encode() if named else b"") + b"data: " + msgspec.json.encode(event) + b"\n\n"
        for event in events
    )


# Responses


class Answer:
    """Builds a stream event by event: `Answer().message("Hm.", "commentary").call("lookup", "{}").completed()`."""

    def __init__(self, number: int = 1) -> None:
        self.id = f"resp_{number:04d}"
        self.output: list[Event] = []
        self.events: list[Event] = []
        self._add("response.created", response=self._response("in_progress"))
        self._add("response.in_progress", response=self._response("in_progress"))

    def reasoning(self) -> "Answer":
        item = {"id": f"rs_{len(self.output)}", "type": "reasoning", "summary": []}
        self._item(item, item)
        return self

    def message(self, text: str, phase: str | None = None, *, refusal: bool = False, late: bool = False) -> "Answer":
        """In a delta a word. late: the phase stands only on the item that is done."""
        index, item = len(self.output), f"msg_{self.id}_{len(self.output)}"
        part: Event = {"type": "refusal", "refusal": text}
        if not refusal:
            part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        done: Event = {"id": item, "type": "message", "status": "completed", "role": "assistant", "content": [part]}
        if phase is not None:
            done["phase"] = phase
        added = {**done, "status": "in_progress", "content": []}
        if late:
            del added["phase"]
        self._add("response.output_item.added", output_index=index, item=added)
        place = {"item_id": item, "output_index": index, "content_index": 0}
        empty = {**part, "refusal" if refusal else "text": ""}
        self._add("response.content_part.added", **place, part=empty)
        for delta in text.replace(" ", "| ").split("|"):
            logprobs: Event = {} if refusal else {"logprobs": []}
            name = "response.refusal.delta" if refusal else "response.output_text.delta"
            self._add(name, **place, delta=delta, **logprobs)
        if refusal:
            self._add("response.refusal.done", **place, refusal=text)
        else:
            self._add("response.output_text.done", **place, text=text, logprobs=[])
        self._add("response.content_part.done", **place, part=part)
        self._add("response.output_item.done", output_index=index, item=done)
        self.output.append(done)
        return self

    def call(self, name: str, arguments: str, call_id: str = "call_1", status: str = "completed") -> "Answer":
        index, item = len(self.output), f"fc_{self.id}_{len(self.output)}"
        done = {"id": item, "type": "function_call", "status": status, "call_id": call_id, "name": name}
        place = {"item_id": item, "output_index": index}
        self._add(
            "response.output_item.added",
            output_index=index,
            item={**done, "status": "in_progress", "arguments": ""},
        )
        self._add("response.function_call_arguments.delta", **place, delta=arguments)
        self._add("response.function_call_arguments.done", **place, arguments=arguments)
        self._add("response.output_item.done", output_index=index, item={**done, "arguments": arguments})
        self.output.append({**done, "arguments": arguments})
        return self

    def completed(self) -> list[Event]:
        return self._add("response.completed", response=self._response("completed"))

    def incomplete(self, reason: str) -> list[Event]:
        response = {**self._response("incomplete"), "incomplete_details": {"reason": reason}}
        return self._add("response.incomplete", response=response)

    def failed(self, code: str, message: str) -> list[Event]:
        response = {**self._response("failed"), "error": {"code": code, "message": message}}
        return self._add("response.failed", response=response)

    def error(self, code: str, message: str) -> list[Event]:
        return self._add("error", code=code, message=message, param=None)

    def _item(self, added: Event, done: Event) -> None:
        index = len(self.output)
        self._add("response.output_item.added", output_index=index, item=added)
        self._add("response.output_item.done", output_index=index, item=done)
        self.output.append(done)

    def _response(self, status: str) -> Event:
        usage = {
            "input_tokens": 75,
            "input_tokens_details": {"cached_tokens": 64, "cache_write_tokens": 0},
            "output_tokens": 12,
            "output_tokens_details": {"reasoning_tokens": 4},
            "total_tokens": 87,
        }
        return {
            "id": self.id,
            "object": "response",
            "created_at": 1_790_000_000,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "metadata": {},
            "model": MODEL,
            "output": list(self.output) if status != "in_progress" else [],
            "parallel_tool_calls": True,
            "temperature": 1.0,
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
            "usage": None if status == "in_progress" else usage,
        }

    def _add(self, type: str, **fields: Any) -> list[Event]:
        self.events.append({"type": type, "sequence_number": len(self.events), **fields})
        return self.events


# Chat completions


def chunk(delta: Event, finish: str | None = None) -> Event:
    return _chunk([{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}])


def usage() -> Event:
    counts = {
        "prompt_tokens": 75,
        "completion_tokens": 12,
        "total_tokens": 87,
        "prompt_tokens_details": {"cached_tokens": 64, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 4, "audio_tokens": 0},
    }
    return {**_chunk([]), "usage": counts}


def chat(text: str, *pieces: Event, finish: str = "") -> list[Event]:
    """A word in a chunk, then the pieces of tool calls."""
    words = text.replace(" ", "| ").split("|") if text else []
    return [
        chunk({"role": "assistant", "content": "", "refusal": None}),
        *(chunk({"content": word}) for word in words),
        *(chunk({"tool_calls": [piece]}) for piece in pieces),
        chunk({}, finish or ("tool_calls" if pieces else "stop")),
        usage(),
    ]


def piece(index: int, arguments: str, id: str = "", name: str = "") -> Event:
    """Of a tool's call; the first has id and name."""
    function = {"name": name, "arguments": arguments} if name else {"arguments": arguments}
    return {"index": index, "function": function} | ({"id": id, "type": "function"} if id else {})


def chat_sse(events: Sequence[Event]) -> bytes:
    return sse(events, named=False) + b"data: [DONE]\n\n"


def _chunk(choices: list[Event]) -> Event:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_790_000_000,
        "model": MODEL,
        "service_tier": "default",
        "system_fingerprint": "fp_1",
        "choices": choices,
        "usage": None,
    }
