"""The gateway: terminates callers' sockets; the hub and supervisor of each call."""
