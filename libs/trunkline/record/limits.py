"""What records may be limited to, by settings: each is checked once, where a process is wired. Pure."""

from trunkline.proto.errors import BadSettings
from trunkline.proto.ids import SHARDS

LEAST_KEPT_S = 60.0  # a call's last words are written by then, and nobody comes back to it
RECORD_BYTES = "TRUNKLINE_RECORD_STORE_BYTES"
RESPONSE_BYTES = "TRUNKLINE_RESPONSE_STORE_BYTES"
LEAST_BYTES = 16 * 1024 * 1024  # 1 MiB for each shard: a call or two


def checked_kept_s(kept_s: float) -> float:
    """0 for ever. Raises BadSettings."""
    if kept_s and not kept_s >= LEAST_KEPT_S:  # nan too
        raise BadSettings("TRUNKLINE_RECORD_KEPT_S", f"{kept_s:g}", f"0 for ever, or {LEAST_KEPT_S:g} and more")
    return kept_s


def checked_store_bytes(limit_bytes: int) -> int:
    """Of all shards; 0 for no limit. Raises BadSettings."""
    if limit_bytes and limit_bytes < LEAST_BYTES:
        allowed = f"0 for no limit, or {LEAST_BYTES} and more, for {SHARDS} streams"
        raise BadSettings(RECORD_BYTES, f"{limit_bytes}", allowed)
    return limit_bytes


def checked_response_bytes(limit_bytes: int) -> int:
    """Of all responses that are kept; 0 for no limit. Raises BadSettings."""
    if limit_bytes and limit_bytes < LEAST_BYTES:
        raise BadSettings(RESPONSE_BYTES, f"{limit_bytes}", f"0 for no limit, or {LEAST_BYTES} and more")
    return limit_bytes
