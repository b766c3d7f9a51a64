"""Error codes of JSON-RPC that our own transports answer with, where no server could: what became of a request."""

NOT_SENT = 32801  # it never reached the server
LOST = 32802  # it was sent, and nobody knows how far the server got
TOO_LONG = 32803  # it was answered, at such length that the answer wasn't read
ANSWER_BYTES = 1024 * 1024  # of one message of a server; what of it may reach a model is less
