"""The record of a call that another gateway had: two turns, the second answer heard only in part."""

from trunkline.proto import record as rec
from trunkline.proto.audio import CALLER_RATE_HZ
from trunkline.record import CallView, MemoryRecordStore

CALL = "rtc_07_past"
GATEWAY = "gateway-gone"
HEARD_TO = 4 * CALLER_RATE_HZ
LAST = "item_a2"  # of whose two segments the first was heard


def events(ended: str = "", *, heard_out: bool = False) -> list[rec.Event]:
    told: list[rec.Event] = [
        rec.Configured(1, "frontdesk"),
        rec.OwnerTook(2, "agent-gone", "frontdesk", "d1", attach=(1 << 20) + 2),
        rec.HubAttached(3, 1, GATEWAY),
        rec.CallerSaid(4, 1, "item_u1", "Hello.", "speech", 0, 2 * CALLER_RATE_HZ),
        rec.ResponseOpened(5, "resp_1", 1),
        rec.AssistantItem(6, "resp_1", "item_a1", "final_answer", "model"),
        rec.SegmentSaid(7, "item_a1", 0, "Hello yourself."),
        rec.ItemClosed(8, "item_a1"),
        rec.ResponseClosed(9, "resp_1", "completed"),
        rec.PlayedOut(10, "item_a1", 0, 24_000),
        rec.CallerSaid(11, 2, "item_u2", "How are you?", "speech", 2 * CALLER_RATE_HZ, HEARD_TO),
        rec.ResponseOpened(12, "resp_2", 2),
        rec.AssistantItem(13, "resp_2", LAST, "final_answer", "model"),
        rec.SegmentSaid(14, LAST, 0, "Fine. "),
        rec.SegmentSaid(15, LAST, 1, "And you?"),
        rec.ItemClosed(16, LAST),
        rec.ResponseClosed(17, "resp_2", "completed"),
        rec.PlayedOut(18, LAST, 0, 24_000),
    ]
    told += [rec.PlayedOut(19, LAST, 1, 24_000)] if heard_out else []
    return [*told, rec.Ended(20, ended)] if ended else told


async def put(store: MemoryRecordStore, call: str = CALL, ended: str = "", *, heard_out: bool = False) -> CallView:
    """Writes it as one entry, and its line in the index."""
    entry = rec.RecordEntry(rec.RECORD_VERSION, 1, 0, "entry_1", events(ended, heard_out=heard_out))
    await store.append(call, rec.encode_entry(entry), expected_seq=0, entry="entry_1")
    view = CallView(call)
    view.apply_entry(entry)
    await store.put_summary(view.summary())
    return view
