"""What must not be recorded, taken out of what callers say and tools give; and how what took its place is spoken.

Of all agents of the file together: a record is the call's, whoever speaks.
"""

import msgspec

from trunkline.agent.image_places import moved
from trunkline.agents import AgentFile
from trunkline.agents.sensitive import spoken
from trunkline.proto.response import Asked, Inserted
from trunkline.vault import Vault


class Redaction:
    """Without a vault everything stays as it is; an agent file that needs one isn't served without."""

    def __init__(self, file: AgentFile, vault: Vault | None = None) -> None:
        self._vault = vault
        self._of_words = file.sensitive("input") if vault is not None else ()
        self._of_results = file.sensitive("tool_result") if vault is not None else ()

    def redact(self, call: str, text: str) -> str:
        """A caller's words."""
        return self._vault.redact(call, text, self._of_words) if self._vault is not None else text

    def redact_result(self, call: str, output: str) -> str:
        """A tool's, JSON or words."""
        return self._vault.redact_json(call, output, self._of_results) if self._vault is not None else output

    def redact_inserted(self, call: str, item: Inserted) -> Inserted:
        """What a client adds: words as the caller's, what came of a tool as a tool's."""
        text = item.text
        if self._vault is None or not text:
            return item
        if item.kind == "function_call_output":
            text = self.redact_result(call, text)
        elif item.kind == "function_call":
            text = self._vault.redact_json(call, text, self._of_words)
        else:
            text = self.redact(call, text)
        return msgspec.structs.replace(item, text=text, images=moved(item.images, item.text, text))

    def redact_asked(self, call: str, asked: Asked | None) -> Asked | None:
        """What a client puts before the model in place of the conversation."""
        if asked is None or not asked.context:
            return asked
        return msgspec.structs.replace(asked, context=tuple(self.redact_inserted(call, item) for item in asked.context))

    async def kept(self, call: str) -> None:
        """Returns when a tool can have what was taken out. Raises StoreUnavailable."""
        if self._vault is not None:
            await self._vault.kept(call)

    def spoken(self, text: str) -> str:
        return spoken(text)

    async def start(self) -> None:
        if self._vault is not None:
            await self._vault.start()

    async def stop(self) -> None:
        if self._vault is not None:
            await self._vault.close()
