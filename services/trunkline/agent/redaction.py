"""What must not be recorded, taken out of what callers say and tools give; and how what took its place is spoken."""


class Redaction:
    def redact(self, call: str, text: str) -> str:
        return text

    def spoken(self, text: str) -> str:
        return text
