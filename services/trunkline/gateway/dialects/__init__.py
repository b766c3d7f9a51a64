"""Protocols that callers speak, each a folder: translates between a client's events and the call's, decides nothing."""
