"""What can be told of words that may still change, to a client that can only append. Pure.

Rule: what was told is never taken back, so only words on which two hearings in a row agree are told; what the
transcript finally says always stands.
"""

from itertools import takewhile

ENDINGS = ".,;:?!"  # behind the last word they come and go as the sentence goes on


class StableWords:
    """Of one item. told: so far."""

    def __init__(self) -> None:
        self.told = ""
        self._last: list[str] = []

    def heard(self, text: str) -> str:
        """text: all words so far. Returns what is told now, behind what was told; mostly nothing or a few words."""
        before, self._last = self._last, text.split()
        pairs = zip(before, self._last, strict=False)
        agreed = [word for _, word in takewhile(lambda pair: _bare(pair[0]) == _bare(pair[1]), pairs)]
        return self._tell(" ".join(agreed).rstrip(ENDINGS))

    def ended(self, text: str) -> str:
        """text: the transcript. Returns what of it wasn't told; nothing where it begins otherwise."""
        return self._tell(text)

    def _tell(self, text: str) -> str:
        if not text.startswith(self.told):
            return ""
        fresh, self.told = text[len(self.told) :], text
        return fresh


def _bare(word: str) -> str:
    return word.rstrip(ENDINGS)
