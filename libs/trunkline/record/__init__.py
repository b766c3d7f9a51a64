"""The durable record of calls: one writer per call, fenced by the log itself; one fold for all who read it."""

from trunkline.record.bucket import Bucket
from trunkline.record.call_log import CallLog
from trunkline.record.claims import Attempt, ClaimStore, StoredClaim
from trunkline.record.durability import Durability
from trunkline.record.files import FILES_KEPT_S, FileFacts, FileStore, Purpose
from trunkline.record.fold import Reading, RecordedEvent, accepted, events_of, fold, read_call
from trunkline.record.heard import Heard, heard_of
from trunkline.record.limits import RESPONSE_BYTES, checked_kept_s, checked_response_bytes, checked_store_bytes
from trunkline.record.memory_bucket import MemoryBucket
from trunkline.record.memory_claims import MemoryClaimStore
from trunkline.record.memory_files import MemoryFileStore
from trunkline.record.memory_store import MemoryRecordStore
from trunkline.record.nats_bucket import NatsBucket
from trunkline.record.nats_claims import NatsClaimStore
from trunkline.record.nats_files import NatsFileStore
from trunkline.record.nats_snapshots import (
    DATA_FILE,
    META_FILE,
    NatsSnapshots,
    SnapshotFailed,
    StreamState,
    kept_streams,
)
from trunkline.record.nats_store import NatsRecordStore
from trunkline.record.parts import ApprovalView, HandoffView, ItemStatus, ItemView, ResponseView, ToolView
from trunkline.record.reached import never_reached
from trunkline.record.recorder import Outranked, Recorder
from trunkline.record.show import approval_to_json, open_approval_to_json, summary_to_json, to_json
from trunkline.record.standing import standing
from trunkline.record.store import (
    BrokenRecord,
    EntryTooLarge,
    LimitRefused,
    RecordStore,
    ShardRoom,
    StoredEntry,
    StoreFull,
    StoreUnavailable,
    WrongSequence,
)
from trunkline.record.view import ENDS, CallView, given_subject

__all__ = [
    "DATA_FILE",
    "ENDS",
    "FILES_KEPT_S",
    "META_FILE",
    "RESPONSE_BYTES",
    "ApprovalView",
    "Attempt",
    "BrokenRecord",
    "Bucket",
    "CallLog",
    "CallView",
    "ClaimStore",
    "Durability",
    "EntryTooLarge",
    "FileFacts",
    "FileStore",
    "HandoffView",
    "Heard",
    "ItemStatus",
    "ItemView",
    "LimitRefused",
    "MemoryBucket",
    "MemoryClaimStore",
    "MemoryFileStore",
    "MemoryRecordStore",
    "NatsBucket",
    "NatsClaimStore",
    "NatsFileStore",
    "NatsRecordStore",
    "NatsSnapshots",
    "Outranked",
    "Purpose",
    "Reading",
    "RecordStore",
    "RecordedEvent",
    "Recorder",
    "ResponseView",
    "ShardRoom",
    "SnapshotFailed",
    "StoreFull",
    "StoreUnavailable",
    "StoredClaim",
    "StoredEntry",
    "StreamState",
    "ToolView",
    "WrongSequence",
    "accepted",
    "approval_to_json",
    "checked_kept_s",
    "checked_response_bytes",
    "checked_store_bytes",
    "events_of",
    "fold",
    "given_subject",
    "heard_of",
    "kept_streams",
    "never_reached",
    "open_approval_to_json",
    "read_call",
    "standing",
    "summary_to_json",
    "to_json",
]
