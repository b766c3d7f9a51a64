"""The cases of Autobahn's WebSocket suite against a server, as kosoku drives them; in a process of its own, since
kosoku puts modules of other packages' names into its path.

`python -m hostile.autobahn PORT AT_ONCE [CASES…]` prints a JSON list of [case, behaviour, behaviour at the close,
result].
"""

import asyncio
import json
import os
import sys

import kosoku


async def main(port: int, at_once: int, cases: list[str]) -> None:
    try:
        results = await kosoku.run_fuzzingclient(f"ws://127.0.0.1:{port}/", cases or None, concurrency=at_once)
    except kosoku.FailureError as failure:
        results = failure.results
    told = [(one.case_id, one.behavior.value, one.behavior_close.value, one.result) for one in results]
    print(json.dumps(told), flush=True)
    os._exit(0)  # kosoku's threads don't always end with the interpreter


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
