"""Identifiers: every id carries a prefix that says what it names.

A call id holds its record's shard: `rtc_<shard, two digits>_<random>`.
"""

import re
import secrets

SHARDS = 16
WORKER_ID_CHARACTERS = 64  # so that a token can name a stage and a worker
ID_PATTERN = re.compile(r"[A-Za-z0-9_-]{1,128}")
CALL_PATTERN = re.compile(r"rtc_(\d{2})_[A-Za-z0-9_-]{1,100}")
EPHEMERAL_KEY_PREFIX = "ek_"
_ALPHABET = b"abcdefghijkmnpqrstuvwxyz23456789"  # no look-alikes: ids are read aloud in incidents
_CHARACTERS = _ALPHABET * (256 // len(_ALPHABET))  # by a byte's value; each of the 32 as often


def _random(length: int) -> str:
    return secrets.token_bytes(length).translate(_CHARACTERS).decode()


def new_call_id(shard: int) -> str:
    """shard: 0 to SHARDS - 1, of the stream that keeps this call's record."""
    if not 0 <= shard < SHARDS:
        raise ValueError(f"shard must be 0 to {SHARDS - 1}, not {shard}")
    return f"rtc_{shard:02d}_{_random(18)}"


def new_item_id() -> str:
    return f"item_{_random(18)}"


def item_of_tool_call(tool_call: str) -> str:
    """The item by which a client is asked to carry it out: the same at every gateway."""
    return f"item_{tool_call}"


def new_response_id() -> str:
    return f"resp_{_random(18)}"


def new_tool_call_id() -> str:
    return f"call_{_random(18)}"


def new_approval_id(call: str) -> str:
    """Holds the call's own id, so that whoever has an approval's id finds its record."""
    return f"appr_{call.removeprefix('rtc_')}_{_random(8)}"


def call_of_approval(approval: str) -> str:
    """The call in an approval's id; empty for what is no such id."""
    prefix, _, rest = approval.partition("_")
    call = f"rtc_{rest.rpartition('_')[0]}"
    return call if prefix == "appr" and is_id(approval) and is_call_id(call) else ""


def new_order_id() -> str:
    """Of one decision of one person."""
    return f"order_{_random(18)}"


def new_request_id() -> str:
    """One request of the HTTP APIs at the stage that serves it; stands where a call id would."""
    return f"req_{_random(18)}"


def is_request_id(text: str) -> bool:
    return text.startswith("req_")


def new_message_id() -> str:
    """A message in the output of a Responses request."""
    return f"msg_{_random(18)}"


def new_file_id() -> str:
    """Not to be guessed: of what is kept of a call."""
    return f"file_{_random(24)}"


def new_event_id() -> str:
    """An event sent to a Realtime client."""
    return f"event_{_random(18)}"


def new_ephemeral_key_id() -> str:
    """Names an ephemeral key and is its first part, no secret by itself."""
    return f"{EPHEMERAL_KEY_PREFIX}{_random(18)}"


def new_worker_id(stage: str) -> str:
    """A process of this boot: the nonce makes a restarted process a different worker."""
    return f"{stage}-{_random(8)}"


def is_id(text: str) -> bool:
    """Whether text may stand as one token of a subject."""
    return ID_PATTERN.fullmatch(text) is not None


def is_worker_id(text: str) -> bool:
    return is_id(text) and len(text) <= WORKER_ID_CHARACTERS


def is_call_id(text: str) -> bool:
    match = CALL_PATTERN.fullmatch(text)
    return match is not None and int(match[1]) < SHARDS


def shard_of(call: str) -> int:
    """The shard in a call id. Raises ValueError for anything that is not a call id."""
    match = CALL_PATTERN.fullmatch(call)
    if match is None or int(match[1]) >= SHARDS:
        raise ValueError(f"not a call id: {call[:80]!r}")
    return int(match[1])
