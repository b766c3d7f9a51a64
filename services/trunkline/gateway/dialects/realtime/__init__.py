"""The server's side of the OpenAI Realtime protocol (GA names) over a WebSocket."""
