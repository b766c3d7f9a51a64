"""Keeps what callers tell in confidence: a token stands for it wherever something is written down.

The token is there at once, so that nothing waits; the value's way to the store is waited for by `kept`, before anybody
needs it.
"""

import asyncio
from collections.abc import Collection

from trunkline.agents.sensitive import TOKEN, Kind, Span, find_sensitive, replaced
from trunkline.proto.errors import TrunklineError
from trunkline.record import Bucket
from trunkline.telemetry import logs
from trunkline.vault import json_text
from trunkline.vault.sealing import Seal

WRITES_LIMIT = 64  # at a time
LEAST_CHARACTERS = 6  # of a value: a@b.de
PASSES = 4  # what is left beside a token may be a value by itself
WHAT = {"card": "card number", "phone": "phone number", "email": "e-mail address"}

log = logs.get(__name__)


class NoLongerKept(TrunklineError):
    def __init__(self, token: str) -> None:
        what = WHAT.get(token.partition("_")[0], "value")
        super().__init__(f"the {what} {token} is no longer kept; ask the caller again")
        self.token = token


class Vault:
    """key: of sealing.KEY_BYTES, the same in all processes. values: where they are kept for a while, sealed.

    Needs a running loop from the first value on.
    """

    def __init__(self, key: bytes, values: Bucket) -> None:
        self._seal = Seal(key)
        self._values = values
        self._writes: dict[str, set[asyncio.Task[None]]] = {}
        self._room = asyncio.Semaphore(WRITES_LIMIT)

    async def start(self) -> None:
        """Raises StoreUnavailable."""
        await self._values.ensure()

    async def close(self) -> None:
        """What has not been written by then isn't."""
        tasks = [task for of_call in self._writes.values() for task in of_call]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._values.close()

    # taking values out

    def keep(self, call: str, kind: Kind, value: str) -> str:
        """The value's token, the same each time within the call; its writing begins."""
        token = self._seal.token(call, kind, value)
        sealed = self._seal.close(call, token, value)
        task = asyncio.get_running_loop().create_task(self._write(call, token, sealed), name="vault-write")
        self._writes.setdefault(call, set()).add(task)
        task.add_done_callback(lambda done: self._written(call, done))
        return token

    def redact(self, call: str, text: str, kinds: Collection[Kind], *, before: str = "") -> str:
        """text with each value of these kinds replaced by `[token]`. before: see find_sensitive."""

        def token(span: Span) -> str:
            return f"[{self.keep(call, span.kind, span.value)}]"

        if not kinds or len(text) < LEAST_CHARACTERS:
            return text
        for _ in range(PASSES):
            spans = find_sensitive(text, kinds, before=before)
            if not spans:
                break
            text = replaced(text, spans, token)
        return text

    def redact_json(self, call: str, text: str, kinds: Collection[Kind]) -> str:
        """The same within JSON: in strings, and whole numbers; what is no JSON is taken as words."""
        if not kinds:
            return text
        if not json_text.is_json(text):
            return self.redact(call, text, kinds)
        return json_text.changed(
            text, lambda value, key: self.redact(call, value, kinds, before=f"{key}: "), numbers=True
        )

    async def kept(self, call: str) -> None:
        """Returns when all of the call's values that were taken out are in the store. Raises StoreUnavailable."""
        if tasks := self._writes.get(call):
            done, _ = await asyncio.wait(set(tasks))
            for task in done:
                task.result()

    # putting them back

    async def resolve(self, call: str, arguments: str) -> str:
        """arguments: JSON; in its strings each token is replaced by its value.

        Raises NoLongerKept for a token of no value, as one of a model's own making; StoreUnavailable.
        """
        tokens = sorted({match.group(1) for match in TOKEN.finditer(arguments)})
        found = await asyncio.gather(*(self._value(call, token) for token in tokens))
        values = dict(zip(tokens, found, strict=True))
        return json_text.changed(arguments, lambda text, _: TOKEN.sub(lambda match: values[match.group(1)], text))

    async def _value(self, call: str, token: str) -> str:
        sealed = await self._values.get(_key(call, token))
        value = self._seal.open(call, token, sealed) if sealed is not None else None
        if value is None:
            raise NoLongerKept(token)
        return value

    # writing

    async def _write(self, call: str, token: str, sealed: bytes) -> None:
        async with self._room:
            await self._values.put(_key(call, token), sealed)

    def _written(self, call: str, task: asyncio.Task[None]) -> None:
        of_call = self._writes[call]
        of_call.discard(task)
        if not of_call:
            del self._writes[call]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("a sensitive value could not be kept", call_id=call, error=str(error))


def _key(call: str, token: str) -> str:
    return f"{call}.{token}"
