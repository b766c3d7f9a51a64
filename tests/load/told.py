"""What a dialect tells of a server's messages, written down."""


class Told:
    """An Ear."""

    def __init__(self) -> None:
        self.things: list[object] = []

    def set_up(self) -> None:
        self.things.append("set up")

    def may_speak(self) -> None:
        self.things.append("may speak")

    def reply_began(self) -> None:
        self.things.append("reply began")

    def audio(self, seconds: float) -> None:
        self.things.append(round(seconds, 6))

    def reply_over(self) -> None:
        self.things.append("reply over")

    def noticed(self) -> None:
        self.things.append("noticed")

    def failed(self, reason: str) -> None:
        self.things.append(reason)
