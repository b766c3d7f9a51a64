"""The server `mcp-server-time` over streamable HTTP: `python clock.py PORT`."""

import sys

from mcp_server_time.server import create_server  # type: ignore[import-untyped]  # it has no stubs

create_server("UTC").run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
