"""Models behind an OpenAI-compatible HTTP endpoint: `responses` and `chat`."""
