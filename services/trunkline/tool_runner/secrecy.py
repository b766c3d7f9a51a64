"""What a tool may know and nobody else: values in place of tokens before it runs, tokens in place of values after it.

Orders, claims, results and spans hold tokens only.
"""

from collections.abc import Collection
from dataclasses import replace

import msgspec

from trunkline.agents.sensitive import Kind
from trunkline.proto.errors import TrunklineError
from trunkline.proto.tool import RunTool
from trunkline.telemetry import logs
from trunkline.tool_runner.outcome import Outcome
from trunkline.vault import Vault, has_tokens

log = logs.get(__name__)


class Secrecy:
    """kinds: that are taken out of what tools give. Without a vault everything stays as it is."""

    def __init__(self, vault: Vault | None = None, kinds: Collection[Kind] = ()) -> None:
        self._vault = vault
        self._kinds = kinds if vault is not None else ()

    async def revealed(self, call: str, order: RunTool) -> RunTool:
        """With the values in its arguments and state. Raises NoLongerKept, StoreUnavailable."""
        if self._vault is None or not (has_tokens(order.arguments) or has_tokens(order.state)):
            return order
        arguments = await self._vault.resolve(call, order.arguments)
        return msgspec.structs.replace(order, arguments=arguments, state=await self._vault.resolve(call, order.state))

    async def covered(self, call: str, outcome: Outcome) -> Outcome:
        """With tokens in its output and state, whose values are in the store; one that can't be written is lost."""
        if self._vault is None or not self._kinds:
            return outcome
        output = self._vault.redact_json(call, outcome.output, self._kinds)
        patch = self._vault.redact_json(call, outcome.state_patch, self._kinds)
        if (output, patch) == (outcome.output, outcome.state_patch):
            return outcome
        try:
            await self._vault.kept(call)
        except TrunklineError as error:
            log.warning("a tool's sensitive values could not be kept", call_id=call, error=str(error))
        return replace(outcome, output=output, state_patch=patch)

    def covered_words(self, call: str, text: str) -> str:
        return self._vault.redact(call, text, self._kinds) if self._vault is not None else text

    async def start(self) -> None:
        if self._vault is not None:
            await self._vault.start()

    async def stop(self) -> None:
        if self._vault is not None:
            await self._vault.close()
