"""Where tool calls stand among a call's messages: behind which one, and in which order. Pure.

Rule: a call that the client can't see stays with the message that it was called behind, whatever is put between.
"""

from collections.abc import Callable, Sequence


class Places:
    """Messages and tool calls by their ids; "" is the beginning, before any message."""

    def __init__(self) -> None:
        self._behind: dict[str, list[str]] = {}
        self._message: dict[str, str] = {}  # by tool call
        self._gone: dict[str, str] = {}  # messages that were deleted -> the one that stood before

    def behind(self, message: str) -> Sequence[str]:
        """The tool calls between this message and the next, in order."""
        return self._behind.get(message, ())

    def message_of(self, tool_call: str) -> str:
        return self._message[tool_call]

    def standing(self, message: str) -> str:
        """The message itself, or the one that stands where it stood."""
        while message in self._gone:
            message = self._gone[message]
        return message

    def call(self, tool_call: str, message: str) -> None:
        """As the last behind this message."""
        self._put(message, [*self.behind(message), tool_call])

    def put(self, tool_call: str, message: str, previous: str, moves: Callable[[str], bool]) -> None:
        """Behind the tool call previous of this message, "" for right behind the message; see `part`."""
        stay, move = self._parted(message, previous, moves)
        self._put(message, [*stay, tool_call, *move])

    def part(self, message: str, previous: str, new: str, moves: Callable[[str], bool]) -> None:
        """The message new came behind message and its tool call previous, "" for none: what follows stands behind new.

        moves: whether a tool call may.
        """
        self._gone.pop(new, None)
        stay, move = self._parted(message, previous, moves)
        self._put(message, stay)
        self._put(new, move)

    def close(self, message: str, before: str) -> None:
        """The message was deleted; before: the one before it."""
        self._gone[message] = before
        self._put(before, [*self.behind(before), *self._behind.pop(message, ())])

    def take(self, tool_call: str) -> None:
        """It stands nowhere until it is put again."""
        self._behind[self._message.pop(tool_call)].remove(tool_call)

    def _parted(self, message: str, previous: str, moves: Callable[[str], bool]) -> tuple[list[str], list[str]]:
        tools = self.behind(message)
        first = tools.index(previous) + 1 if previous else 0
        tail = tools[first:]
        return [*tools[:first], *(one for one in tail if not moves(one))], [one for one in tail if moves(one)]

    def _put(self, message: str, tool_calls: list[str]) -> None:
        self._behind[message] = tool_calls
        for one in tool_calls:
            self._message[one] = message
