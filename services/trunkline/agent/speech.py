"""The model's words of one round on their way to the caller: cut into segments, each past policy before it is said.

Rule: nothing reaches the writer, and so the record, the gateway or a voice, that wasn't looked at.
"""

from collections.abc import Awaitable, Callable

from trunkline.agent.rulings import Bench, Ruled
from trunkline.agent.writer import ResponseWriter
from trunkline.proto.response import Phase, Source
from trunkline.segments import Segmenter

HELD_CHARACTERS = 20_000  # of an answer that is seen whole

Approve = Callable[[str], Awaitable[tuple[str, Source]]]
Speakable = Callable[[str], str]


class AnswerTooLong(ValueError):
    def __init__(self) -> None:
        super().__init__(f"an answer that is to be seen whole has over {HELD_CHARACTERS} characters")


async def nobody_is_asked(text: str) -> tuple[str, Source]:
    return text, "model"


class Speech:
    """hold: answers leave only as a whole. approve: a person's word on one: what is said then, and whose words it
    is; raises Ruled. speakable: see Redaction."""

    def __init__(
        self,
        writer: ResponseWriter,
        bench: Bench,
        *,
        hold: bool = False,
        approve: Approve = nobody_is_asked,
        speakable: Speakable = str,
    ) -> None:
        self._writer = writer
        self._bench = bench
        self._hold = hold
        self._approve = approve
        self._speakable = speakable
        self._segmenter = Segmenter()
        self._phase: Phase | None = None
        self._passed = ""  # of the message
        self._held: list[str] = []
        self.said = False  # anything in this round

    async def write(self, text: str, phase: Phase | None) -> None:
        """phase: None where it isn't known yet; another one than before begins another message. Raises Ruled."""
        if phase is not None and self._phase is not None and phase != self._phase:
            await self._end(self._phase)
        if self._phase is None and phase is not None:
            self._phase = phase
            await self._release_commentary()
        if self._holds:
            self._held.append(text)
            if sum(map(len, self._held)) > HELD_CHARACTERS:
                raise AnswerTooLong
            return
        for segment in self._segmenter.feed(text):
            await self._pass(segment)

    async def end_message(self) -> None:
        """What follows is another message; of one whose phase isn't known that can't be told."""
        if self._phase is not None and not self._held:
            await self._end(self._phase)

    async def flush(self) -> None:
        """A tool is going to be called: the caller hears what is going to be done before it is done."""
        if self._phase is None and self._hold:
            self._phase = "commentary"
            await self._release_commentary()
        for segment in self._segmenter.flush():
            await self._pass(segment)

    async def end_round(self, phase: Phase) -> None:
        """phase: of a message whose own isn't known."""
        await self._end(self._phase or phase)

    async def aside(self, text: str, source: Source) -> None:
        """Words of others between the model's: a message of commentary of their own. Raises Ruled."""
        for segment in whole(self._speakable(text)):
            self._say(await self._judged(segment, "commentary", ""), "commentary", source)
        self._writer.close_item("commentary")

    @property
    def _holds(self) -> bool:
        return self._hold and self._phase != "commentary"

    async def _release_commentary(self) -> None:
        if self._phase == "commentary" and self._held:
            held, self._held = "".join(self._held), []
            for segment in self._segmenter.feed(held):
                await self._pass(segment)

    async def _end(self, phase: Phase) -> None:
        if self._held and phase == "commentary":
            self._phase = phase
            await self._release_commentary()
        elif self._held:
            await self._answer()
        for segment in self._segmenter.flush():
            await self._pass(segment)
        self._writer.close_item(phase)
        self._segmenter, self._phase, self._passed = Segmenter(), None, ""

    async def _answer(self) -> None:
        """All of it at once: policy, then a person; only then is any of it said."""
        text, self._held = self._speakable("".join(self._held)), []
        if self._bench.looks("answer"):
            text = await self._bench.judge("answer", self._writer.item_to_be, text, phase="final_answer")
        approved, source = await self._approve(text)
        for segment in whole(approved):
            self._say(segment, "final_answer", source)

    async def _pass(self, segment: str) -> None:
        passed = await self._judged(self._speakable(segment), self._phase, self._passed)
        self._passed += passed
        self._say(passed, self._phase)

    async def _judged(self, text: str, phase: Phase | None, before: str) -> str:
        if not self._bench.looks("segment"):
            return text
        subject = self._writer.item_to_be
        passed = await self._bench.judge("segment", subject, text, phase=phase, before=before)
        ends = text[len(text.rstrip()) :]  # a segment joins to the next by the space that it ends in
        return passed if passed == text or passed != passed.rstrip() else passed + ends

    def _say(self, text: str, phase: Phase | None, source: Source = "model") -> None:
        if text.strip() or (text and self._writer.in_item):
            self.said = True
            self._writer.say(text, phase, source)


def whole(text: str) -> list[str]:
    """A text that is there as a whole, in segments."""
    segmenter = Segmenter()
    return [*segmenter.feed(text), *segmenter.flush()]


__all__ = ["AnswerTooLong", "Ruled", "Speech", "whole"]
