"""An agent's lifecycle hooks: told behind what happens, each contained in itself."""

import asyncio
from collections.abc import Awaitable, Callable

from prometheus_client import Counter

from trunkline.agent.conversation import Conversation
from trunkline.agent.errands import Keep
from trunkline.agents.hooks import HOOK_S, Hook
from trunkline.proto import record
from trunkline.proto.record import Event
from trunkline.runtime.threads import in_thread
from trunkline.telemetry import logs

log = logs.get(__name__)
_failed = Counter("trunkline_agent_hook_failures_total", "Hooks that raised or took too long", ["hook"])


class CallHooks:
    """Of one call; the hooks are those of whoever speaks. keep: holds a task until it is done."""

    def __init__(self, conversation: Conversation, keep: Keep) -> None:
        self._conversation = conversation
        self._keep = keep

    def on_start(self) -> None:
        """Of the call's first owner."""
        self._tell("on_start", self._conversation.agent.hooks.on_start)

    def observe(self, event: Event) -> None:
        """Each event that this owner of the call appends."""
        hooks, view = self._conversation.agent.hooks, self._conversation.view
        match event:
            case record.CallerSaid(text=text):
                self._tell("on_turn", hooks.on_turn, text)
            case record.ToolFinished(tool_call=key) if key in view.tools:
                self._tell("on_tool", hooks.on_tool, view.tools[key].name, event.status, event.output)
            case record.HandedOff(to=after):
                before = view.handoffs[-2].event.to if len(view.handoffs) > 1 else view.agent
                self._tell("on_handoff", hooks.on_handoff, before, after)
            case record.VerdictGiven(action=action) if action != "allow":
                self._tell("on_verdict", hooks.on_verdict, event.point, action, event.guardrail, event.reason)
            case record.Ended(reason=reason):
                self._tell("on_end", hooks.on_end, reason)
            case _:
                pass

    def _tell(self, name: str, hook: Hook | None, *said: str) -> None:
        if hook is not None:
            self._keep(self._run(name, hook, *said))

    async def _run(self, name: str, hook: Hook, *said: str) -> None:
        """The task of one hook: what it tells is durable before."""
        call, context = self._conversation.log.call, self._conversation.context()
        try:
            await self._conversation.log.durable()
            async with asyncio.timeout(HOOK_S):
                if asyncio.iscoroutinefunction(hook):
                    await hook(context, *said)
                elif (error := await in_thread(lambda: _called(hook, context, *said), f"hook-{name}")) is not None:
                    raise error
        except Exception as error:  # a rim: a hook is anybody's code
            _failed.labels(name).inc()
            log.warning("hook failed", call_id=call, hook=name, error=repr(error))


def _called(hook: Callable[..., Awaitable[None] | None], *given: object) -> Exception | None:
    try:
        hook(*given)
    except Exception as error:  # a rim, as above
        return error
    return None
