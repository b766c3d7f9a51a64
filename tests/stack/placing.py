"""Calls to the stack, some at a time: two cores serve three without the engines getting in each other's way."""

import asyncio
from collections.abc import Sequence

from support.running_stack import RunningStack
from trunkline.cli.call import converse, finished_record
from trunkline.cli.caller import Caller
from trunkline.cli.line import Line
from trunkline.cli.record_json import CallRecord
from trunkline.cli.report import CallReport, report

AT_A_TIME = 3


def place(stack: RunningStack, lines: Sequence[Line], agent: str = "") -> tuple[CallReport, CallRecord, Caller]:
    """One call, a turn per line, each reply heard to its end."""
    return asyncio.run(_place(stack, lines, agent))


async def _place(stack: RunningStack, lines: Sequence[Line], agent: str) -> tuple[CallReport, CallRecord, Caller]:
    caller = await converse(stack.address, lines, agent=agent, tell=lambda moment: None)
    record = await record_of(stack, caller)
    return report(caller.listener, record), record, caller


async def record_of(stack: RunningStack, caller: Caller) -> CallRecord:
    record = await finished_record(stack.address, caller.call_id)
    assert record is not None
    return record


def tools_asked(stack: RunningStack, lines: Sequence[Line], agent: str = "quick") -> list[list[tuple[str, object]]]:
    """One call per line, hung up as soon as the reply begins: the tools of each, with their arguments."""

    async def ask(said: Line, turn: asyncio.Semaphore) -> list[tuple[str, object]]:
        async with turn:
            async with Caller(stack.address, agent=agent, keep_sound=False) as caller:
                await caller.reply_heard(await caller.say(said), for_s=0.3)
            record = await record_of(stack, caller)
        return [(tool.name, lower(tool.arguments)) for tool in record.tools]

    async def ask_all() -> list[list[tuple[str, object]]]:
        turn = asyncio.Semaphore(AT_A_TIME)
        return list(await asyncio.gather(*(ask(said, turn) for said in lines)))

    return asyncio.run(ask_all())


def lower(arguments: object) -> object:
    assert isinstance(arguments, dict)
    return {name: value.lower() if isinstance(value, str) else value for name, value in arguments.items()}
