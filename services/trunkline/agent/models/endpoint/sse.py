"""Server-sent events, incrementally: bytes in as they come, the data of whole events out. Pure.

Format: WHATWG HTML, "Server-sent events". Names and ids of events aren't needed: what they are stands in their data.
"""

EVENT_LIMIT_BYTES = 8 * 1024 * 1024  # the last event of a round repeats all of it, with instructions and tools


class StreamOverlong(Exception):
    def __init__(self) -> None:
        super().__init__(f"an event is longer than {EVENT_LIMIT_BYTES} bytes")


class EventReader:
    def __init__(self) -> None:
        self._rest = bytearray()  # of a line that has not ended
        self._searched = 0  # of it, where no line end is
        self._data: list[bytes] = []
        self._size = 0
        self._after_return = False  # a \\n that follows belongs to a line end that came in two pieces
        self._first = True

    def feed(self, received: bytes) -> list[bytes]:
        """The data of every event that has ended. Raises StreamOverlong."""
        events: list[bytes] = []
        self._rest += received[1:] if self._after_return and received[:1] == b"\n" else received
        self._after_return = received.endswith(b"\r") if received else self._after_return
        *lines, rest = self._lines()
        self._rest = rest
        for line in lines:
            if (data := self._line(bytes(line))) is not None:
                events.append(data)
        if len(self._rest) + self._size > EVENT_LIMIT_BYTES:
            raise StreamOverlong
        return events

    def end(self) -> list[bytes]:
        """What the stream's end completes: some servers leave out the empty line behind the last event."""
        return self.feed(b"\n\n") if self._rest else self.feed(b"\n")

    def _lines(self) -> list[bytearray]:
        """All that has come, cut at \\r\\n, \\n and \\r; the last piece has not ended."""
        if b"\n" not in self._rest[self._searched :] and b"\r" not in self._rest[self._searched :]:
            self._searched = len(self._rest)
            return [self._rest]
        self._searched = 0
        return self._rest.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")

    def _line(self, line: bytes) -> bytes | None:
        """The event's data if this line ends one."""
        if self._first:
            line, self._first = line.removeprefix(b"\xef\xbb\xbf"), False
        if not line:
            data, self._data, self._size = self._data, [], 0
            return b"\n".join(data) if data else None
        field, _, value = line.partition(b":")
        if field == b"data":
            self._data.append(value.removeprefix(b" "))
            self._size += len(value)
            if self._size > EVENT_LIMIT_BYTES:
                raise StreamOverlong
        return None
