"""When a process that isn't a child of ours has ended. Linux: a pidfd becomes readable then."""

import asyncio
import os


async def ended(pid: int) -> None:
    """Returns at once for one that is gone."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    gone = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(handle, gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)
