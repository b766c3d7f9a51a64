"""A tool server as a child process, spoken to by lines of JSON over its standard input and output.

The child ends with this process however that ends (`leash`), and nothing that it says makes this process wait or grow.
"""

import asyncio
import contextlib
import os
import re
import shutil
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client._transport import TransportStreams  # what transports yield; no public module names it
from mcp.shared.message import SessionMessage
from mcp_types import PARSE_ERROR, ErrorData, JSONRPCError, jsonrpc_message_adapter

from trunkline.tool_runner.servers import leash
from trunkline.tool_runner.servers.chatter import Chatter
from trunkline.tool_runner.servers.codes import ANSWER_BYTES, TOO_LONG
from trunkline.tool_runner.servers.lines import Line, Lines
from trunkline.tool_runner.servers.place import Place

READ_BYTES = 64 * 1024
GOODBYE_S = 0.5  # to end by itself once its standard input is closed
KILLED_S = 2.0  # until a killed process is gone
_ANSWER_TO = re.compile(rb'\s*\{\s*"jsonrpc"\s*:\s*"2\.0"\s*,\s*"id"\s*:\s*(\d{1,9})\s*,\s*"(?:result|error)"')

Said = SessionMessage | Exception


@asynccontextmanager
async def stdio(server: str, place: Place, on_end: Callable[[], None]) -> AsyncGenerator[TransportStreams, None]:
    """on_end: the child says no more. Raises OSError where the command can't be started."""
    if shutil.which(place.command[0], path=place.environment.get("PATH")) is None:
        raise FileNotFoundError(f"there is no command {place.command[0]!r}")
    said, heard = anyio.create_memory_object_stream[Said](0)
    outgoing, orders = anyio.create_memory_object_stream[SessionMessage](0)
    process, lifeline = await _start(place)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_read, process, said, Chatter(server, "output", place), on_end)
            tasks.start_soon(_read_errors, process, Chatter(server, "error output", place))
            tasks.start_soon(_write, process, orders, on_end)
            try:
                yield heard, outgoing
            finally:
                with anyio.CancelScope(shield=True):
                    await _end(process, lifeline)
                tasks.cancel_scope.cancel()
    finally:
        for stream in (said, heard, outgoing, orders):
            stream.close()


async def _start(place: Place) -> tuple[asyncio.subprocess.Process, int]:
    """The child, and the end of the pipe that it hangs on."""
    held, lifeline = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(Path(leash.__file__)), str(held), *place.command),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(place.environment),
            pass_fds=(held,),
            start_new_session=True,  # an interrupt at the terminal is the runner's to handle
        )
    except BaseException:
        os.close(lifeline)
        raise
    finally:
        os.close(held)
    return process, lifeline


async def _end(process: asyncio.subprocess.Process, lifeline: int) -> None:
    """Asks the child to end, then makes it."""
    assert process.stdin is not None
    try:
        process.stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), GOODBYE_S)
    finally:
        os.close(lifeline)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), KILLED_S)


async def _read(
    process: asyncio.subprocess.Process,
    said: MemoryObjectSendStream[Said],
    garbage: Chatter,
    on_end: Callable[[], None],
) -> None:
    assert process.stdout is not None
    lines = Lines(ANSWER_BYTES)
    try:
        while chunk := await process.stdout.read(READ_BYTES):
            for line in lines.feed(chunk):
                if (message := _message(line)) is not None:
                    await said.send(message)
                elif line.data.strip():
                    garbage.hear(line.data)
            await asyncio.sleep(0)  # a child that says much takes turns with all else
    except (anyio.ClosedResourceError, anyio.BrokenResourceError, ConnectionError):
        pass  # nobody listens any more
    finally:
        said.close()  # whoever waits for an answer hears that there will be none
        on_end()


def _message(line: Line) -> SessionMessage | None:
    """None for what is none; what seems to be an answer that can't be read is one that says so."""
    problem = ErrorData(code=TOO_LONG, message=f"the answer is over the limit of {ANSWER_BYTES} bytes")
    if not line.cut:
        try:
            return SessionMessage(jsonrpc_message_adapter.validate_json(line.data, by_name=False))
        except ValueError:
            problem = ErrorData(code=PARSE_ERROR, message="its answer can't be read")
    answer = _ANSWER_TO.match(line.data)
    return SessionMessage(JSONRPCError(jsonrpc="2.0", id=int(answer[1]), error=problem)) if answer else None


async def _read_errors(process: asyncio.subprocess.Process, chatter: Chatter) -> None:
    assert process.stderr is not None
    lines = Lines(READ_BYTES)
    while chunk := await process.stderr.read(READ_BYTES):
        for line in lines.feed(chunk):
            if line.data.strip():
                chatter.hear(line.data)
        await asyncio.sleep(0)


async def _write(
    process: asyncio.subprocess.Process, orders: MemoryObjectReceiveStream[SessionMessage], on_end: Callable[[], None]
) -> None:
    assert process.stdin is not None
    try:
        async for order in orders:
            process.stdin.write(order.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n")
            await process.stdin.drain()
    except (ConnectionError, RuntimeError, anyio.ClosedResourceError):
        on_end()  # it reads no more
