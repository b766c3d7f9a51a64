"""What the local model says, in whole sentences: answers made of results, questions for what is missing, small talk.

Pure. Every sentence is a template or a tool's own words; none claims to have understood more than it did.
"""

from collections.abc import Mapping, Sequence

import msgspec

from trunkline.agent.models.local.parameters import ParameterNeed
from trunkline.agent.models.local.words import name_words, words_of
from trunkline.agent.models.seam import ToolOffer, ToolOutputItem
from trunkline.proto.image import ShownImage

COMMENTARY = "One moment, please."
HEARD_WORDS = 12  # of an utterance that fits no tool are said back
LISTED = 5  # items of a list that are read out

_SMALL_TALK: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset({"goodbye", "bye"}), "Thank you for calling. Goodbye."),
    (frozenset({"thanks", "thank"}), "You are welcome. Is there anything else I can do for you?"),
    (frozenset({"wait", "stop"}), "Of course. What would you like to know?"),
    (frozenset({"hello", "hi", "hey"}), "Hello. How can I help you?"),
)
_FORMATS = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WebP", "image/gif": "GIF"}
SMALL_TALK_WORDS = 8  # a longer utterance is about something


def small_talk(utterance: str) -> str:
    """A fitting sentence for thanks, farewells and greetings; "" for anything else."""
    said = [word.lower for word in words_of(utterance)]
    if len(said) > SMALL_TALK_WORDS:
        return ""
    return next((reply for words, reply in _SMALL_TALK if words.intersection(said)), "")


def question_for(need: ParameterNeed) -> str:
    wanted = " ".join(name_words(need.name))
    if need.kind == "boolean":
        return f"Would you say yes or no to this: {wanted}?"
    if need.values and len(need.values) <= LISTED:
        return f"Which {wanted} would you like: {_either([str(value) for value in need.values])}?"
    return f"Which {wanted} is it, please?"


def shown_pictures(images: Sequence[ShownImage]) -> str:
    """What is known of them without looking; "" for none."""
    if not images:
        return ""
    parts = [
        f"a {_FORMATS.get(image.media_type, 'strange')} picture of {image.width} by {image.height} pixels, "
        f"at {image.detail} detail"
        for image in images
    ]
    if len(parts) == 1:
        return f"You showed me {parts[0]}. I can't see pictures."
    more = f"; and {len(parts) - LISTED} more" if len(parts) > LISTED else ""
    return f"You showed me {len(parts)} pictures: {'; '.join(parts[:LISTED])}{more}. I can't see pictures."


def no_tool_fits(utterance: str, tools: Sequence[ToolOffer]) -> str:
    can = [" ".join(name_words(tool.name)) for tool in tools]
    offer = f"I can help with this: {_either(can)}." if can else "I can only take note of it."
    said = words_of(utterance)
    if not said:
        return f"I did not hear any words. {offer}"
    end = said[min(len(said), HEARD_WORDS) - 1].end
    more = " and so on" if len(said) > HEARD_WORDS else ""
    return f"I heard: {utterance[said[0].start : end]}{more}. I am not able to help with that. {offer}"


def answer_for(outputs: Sequence[ToolOutputItem]) -> str:
    return " ".join(_answer(output) for output in outputs)


def _answer(output: ToolOutputItem) -> str:
    match output.status:
        case "ok":
            return spoken_json(output.output)
        case None | "unknown":
            return f"I am sorry, I can't say yet how that ended. {spoken_json(output.output)}"
        case "timeout":
            return f"I am sorry, that is taking too long, so I could not get an answer. {spoken_json(output.output)}"
        case _:
            return f"I am sorry, that did not work. {spoken_json(output.output)}"


def spoken_json(text: str) -> str:
    """JSON in words: text as it is, an object as "Name: value" parts, a list read out in part."""
    try:
        value: object = msgspec.json.decode(text)
    except msgspec.MsgspecError:
        return _sentence(text)
    if value is None:
        return "That is done."
    return _sentence(_words(value))


def _words(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return "yes" if value else "no"
        case str() | int() | float():
            return str(value)
        case Mapping():
            return ", ".join(f"{' '.join(name_words(str(key)))}: {_words(part)}" for key, part in value.items())
        case Sequence():
            return _list_words([_words(part) for part in value])
        case _:
            return str(value)


def _list_words(parts: Sequence[str]) -> str:
    if not parts:
        return "there is nothing"
    if len(parts) > LISTED:
        return f"{', '.join(parts[:LISTED])} and {len(parts) - LISTED} more"
    return _joined(parts, "and")


def _either(parts: Sequence[str]) -> str:
    return _joined(parts, "or")


def _joined(parts: Sequence[str], word: str) -> str:
    return f"{', '.join(parts[:-1])} {word} {parts[-1]}" if len(parts) > 1 else "".join(parts)


def _sentence(text: str) -> str:
    stripped = text.strip()
    if not stripped:
        return ""
    closed = stripped if stripped.endswith((".", "!", "?")) else stripped + "."
    return closed[0].upper() + closed[1:]
