"""Every NATS subject and stream name of Trunkline; none is spelt anywhere else.

Token positions are fixed, so `tl.v1.*.*.<call>` hears what one call says and decides, and permissions
can be written per stage.
"""

from typing import Literal

from trunkline.proto.ids import SHARDS, is_id, shard_of

Stage = Literal["gateway", "stt", "agent", "tool_runner", "tts"]
STAGES: tuple[Stage, ...] = ("gateway", "stt", "agent", "tool_runner", "tts")

ROOT = "tl.v1"
AUDIO = "audio"  # stands where a call id would; call ids start with rtc_, so it is never one
NO_CALL = "no-call"  # stands where a call id would, in what is of no call; no call id either
TOOLS_QUEUE = "tool_runners"
ALL_TOOLS = f"{ROOT}.tools.*.*"
ALL_DESCRIBE = f"{ROOT}.describe.any.*"
ALL_APPROVALS = f"{ROOT}.approvals.any.*"
ALL_BEATS = f"{ROOT}.beat.*.*"
GATEWAY_BEATS = f"{ROOT}.beat.gateway.*"
DEPARTED = f"{ROOT}.departed"  # the server's advisories of closed connections, where it is configured to share them
UNHEARD = "unheard"  # begins the last token of a reply subject: nobody listens at the peer that follows
ALL_DEAD = f"{ROOT}.dead.*"
INDEX_BUCKET = "CALLS_INDEX"  # key-value bucket: call id -> CallSummary
VAULT_BUCKET = "CALLS_VAULT"  # key-value bucket: call id.token -> sealed value, for a while
RESPONSES_BUCKET = "RESPONSES"  # key-value bucket: response id -> what it was asked and answered, for a while
FILES_BUCKET = "FILES"  # object store: file id -> its bytes, with what it is as its description
SESSIONS_BUCKET = "CALLS_SESSIONS"  # key-value bucket: id of an ephemeral key -> the session bound to it, for a while


def _token(text: str) -> str:
    if not is_id(text):
        raise ValueError(f"not a subject token ([A-Za-z0-9_-], 1 to 128 characters): {text[:80]!r}")
    return text


def inbox(stage: str, worker: str, call: str) -> str:
    """Text and control for one call at one worker."""
    return f"{ROOT}.{_token(stage)}.{_token(worker)}.{_token(call)}"


def inbox_of(sender: str, call: str) -> str:
    """sender: an Envelope's `<stage>.<worker>`; where its answer goes."""
    stage, _, worker = sender.partition(".")
    return inbox(stage, worker, call)


def unheard(stage: str, worker: str, peer: str) -> str:
    """Reply subject of what a worker sends to peer (`<stage>.<worker>`): the server answers there if nobody listens."""
    peer_stage, _, peer_worker = peer.partition(".")
    return f"{ROOT}.{_token(stage)}.{_token(worker)}.{UNHEARD}-{_token(peer_stage)}-{_token(peer_worker)}"


def peer_unheard(token: str) -> str:
    """`<stage>.<worker>` in the last token of an `unheard` subject, empty for any other token."""
    mark, _, peer = token.partition("-")
    stage, _, worker = peer.partition("-")
    return f"{stage}.{worker}" if mark == UNHEARD and worker else ""


def audio(stage: str, worker: str) -> str:
    """Audio batches for one worker, the chunks of many calls in one message."""
    return f"{ROOT}.{_token(stage)}.{_token(worker)}.{AUDIO}"


def worker_inboxes(stage: str, worker: str) -> str:
    """The one wildcard a worker subscribes: its text, control and audio, in one order."""
    return f"{ROOT}.{_token(stage)}.{_token(worker)}.*"


def live_tap(call: str) -> str:
    return f"{ROOT}.*.*.{_token(call)}"


def tool(name: str, call: str) -> str:
    return f"{ROOT}.tools.{_token(name)}.{_token(call)}"


def describe(server: str) -> str:
    """What tools has this tool server: to all tool runners; those of the asker's agent file answer."""
    return f"{ROOT}.describe.any.{_token(server)}"


def approvals(call: str) -> str:
    """Decisions of people over one call, to all agents; the one that owns the call answers."""
    return f"{ROOT}.approvals.any.{_token(call)}"


def beat(stage: str, worker: str) -> str:
    return f"{ROOT}.beat.{_token(stage)}.{_token(worker)}"


def dead(stage: str) -> str:
    """Undecodable bytes, with the reason."""
    return f"{ROOT}.dead.{_token(stage)}"


def last_token(subject: str) -> str:
    return subject.rpartition(".")[2]


def stream(shard: int) -> str:
    if not 0 <= shard < SHARDS:
        raise ValueError(f"shard must be 0 to {SHARDS - 1}, not {shard}")
    return f"CALLS_{shard:02d}"


def stream_subjects(shard: int) -> list[str]:
    return [f"calls.{shard:02d}.*", f"claims.{shard:02d}.*.*"]


def record(call: str) -> str:
    """A call's durable events."""
    return f"calls.{shard_of(call):02d}.{_token(call)}"


def claims(call: str) -> str:
    """All claims of a call."""
    return f"claims.{shard_of(call):02d}.{_token(call)}.*"


def claim(call: str, key: str, attempt: int = 1) -> str:
    """A tool runner's claim of one attempt, beside the call's events."""
    tail = key if attempt == 1 else f"{key}-{attempt}"
    return f"claims.{shard_of(call):02d}.{_token(call)}.{_token(tail)}"
