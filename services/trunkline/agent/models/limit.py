"""The limit of an answer's tokens, for models that know of none: what is over it is left out, and said to be. Pure."""

import contextlib
from collections.abc import AsyncGenerator

import msgspec

from trunkline.agent.models.budget import CHARACTERS_PER_TOKEN
from trunkline.agent.models.seam import ModelEvent, ModelRequest, RoundDone, TextDelta


async def limited(events: AsyncGenerator[ModelEvent, None], request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
    """Whole words, by the estimate of `budget`; tool calls count for nothing."""
    limit = request.settings.max_output_tokens
    left = limit * CHARACTERS_PER_TOKEN if limit is not None else None
    async with contextlib.aclosing(events):
        async for event in events:
            if left is not None and isinstance(event, TextDelta):
                if len(event.text) > left:
                    if begun := event.text[:left].rpartition(" ")[0]:
                        yield msgspec.structs.replace(event, text=begun)
                    yield RoundDone(incomplete="max_output_tokens")
                    return
                left -= len(event.text)
            yield event
