"""All messages of a subject in a stream, read without a consumer: pages of a batch get, each checked for holes."""

import asyncio

import msgspec

from trunkline.record.nats_writes import NatsWrites, backoff
from trunkline.record.replies import Answer
from trunkline.record.store import StoredEntry, StoreUnavailable

PAGE_ENTRIES = 256
DIRECT_GET = "$JS.API.DIRECT.GET"  # NATS ADR-31: direct and batch get


async def read_subject(
    writes: NatsWrites,
    stream: str,
    subject: str,
    *,
    after_seq: int = 0,
    limit_s: float,
    page_entries: int = PAGE_ENTRIES,
) -> list[StoredEntry]:
    """What is behind after_seq, in order; a page with a hole in it is asked for again. A replica that lags behind may
    answer. subject: may have wildcards. limit_s: of trouble. Raises StoreUnavailable."""
    entries: list[StoredEntry] = []
    for wait_s in backoff(limit_s):
        while True:
            page = _Page()
            begin = (entries[-1].seq if entries else after_seq) + 1
            request = msgspec.json.encode({"seq": begin, "next_by_subj": subject, "batch": page_entries})
            answered = await writes.replies.ask(
                f"{DIRECT_GET}.{stream}", request, page.take, limit_s=writes.ack_limit_s
            )
            if not (answered and page.whole):
                break
            entries += page.entries
            if not page.pending:
                return entries
        await asyncio.sleep(wait_s)
    raise StoreUnavailable(subject, limit_s)


class _Page:
    """The answer to one batch get: messages, then an end mark (204) or that there are none (404).

    Each names the sequence before it in this answer, 0 for the first, so a hole shows. Source: NATS ADR-31.
    """

    def __init__(self) -> None:
        self.entries: list[StoredEntry] = []
        self.pending = 0
        self.whole = False

    def take(self, answer: Answer) -> bool:
        """Whether that was the end."""
        if answer.status == "404":
            self.whole = True
            return True
        if answer.status not in ("", "204"):
            return True
        headers = answer.headers
        if int(headers["Nats-Last-Sequence"]) != (self.entries[-1].seq if self.entries else 0):
            return True
        if answer.status:
            self.whole = True
            self.pending = int(headers["Nats-Num-Pending"])
            return True
        entry, stored_at = headers.get("Nats-Msg-Id", ""), headers.get("Nats-Time-Stamp", "")
        self.entries.append(StoredEntry(int(headers["Nats-Sequence"]), entry, answer.data, stored_at))
        return False
