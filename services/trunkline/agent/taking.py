"""Taking a call: its record becomes this process's, and with it all that a session works on."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import NamedTuple

import msgspec

from trunkline.agent.conversation import ToolsOf
from trunkline.agent.models.seam import Model
from trunkline.agent.redaction import Redaction
from trunkline.agent.rulings import Policies
from trunkline.agents import Agent, AgentFile
from trunkline.bus.exchange import Exchange, Link
from trunkline.proto import record
from trunkline.proto.response import Converse
from trunkline.record import CallLog, ClaimStore, Recorder


class Staff(NamedTuple):
    """What all calls of the process share. fail, drop: end one placement, with and without a word of the failure.
    keep: holds a task until it is done. tools_of: what an agent may use at present.
    """

    worker: str
    file: AgentFile
    model: Model
    recorder: Recorder
    claims: ClaimStore
    exchange: Exchange
    wall_us: Callable[[], int]
    fail: Callable[[Link, BaseException], None]
    drop: Callable[[Link, str], None]
    keep: Callable[[Coroutine[None, None, None]], asyncio.Task[None]]
    policies: Policies
    redaction: Redaction
    tools_of: ToolsOf

    @property
    def digest(self) -> str:
        return self.file.digest


async def take(link: Link, order: Converse, agent: Agent, staff: Staff) -> CallLog:
    """Raises Outranked, Fenced, StoreUnavailable."""
    now_us = staff.wall_us()
    settings = msgspec.json.encode({"instructions": order.instructions, "modality": order.modality}).decode()
    return await staff.recorder.take(
        link.call,
        staff.worker,
        agent.name,
        staff.digest,
        record.Configured(now_us, agent.name, settings),
        record.HubAttached(now_us, order.hub, order.gateway),
        attach=link.attach,
        reason=order.reason,
    )
