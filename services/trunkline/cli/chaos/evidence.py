"""What a run of calls leaves behind, as Structs that the checker reads: nothing here is decided, only told.

Every `_s` is in seconds on the one clock of the run, which is the record's at_us too (virtual in a simulation).
"""

from pathlib import Path
from typing import Literal

import msgspec

from trunkline.cli.stack import ALONE
from trunkline.proto.approval import Choice, Decision
from trunkline.proto.errors import BadInput
from trunkline.proto.record import Claim, RecordEntry
from trunkline.proto.subjects import Stage

FaultKind = Literal["kill", "stop", "term"]
Target = Stage | Literal["nats"]
RUN_FILE = "run.json"
CALLS_FOLDER, VISITS_FOLDER = "calls", "visits"

# how a caller's end of the call came about: by himself, by the server's word, not at all as far as he knows, or by the
# loss of his machine: then nobody knows what he heard last
Ending = Literal["hung_up", "closed", "unaware", "vanished"]


class Recorded(msgspec.Struct, frozen=True):
    """One log message as stored, whether readers accept it or not. stored_s: by the store's clock, 0 if unknown."""

    seq: int
    entry: RecordEntry
    stored_s: float = 0.0


class Claimed(msgspec.Struct, frozen=True):
    key: str
    attempt: int
    claim: Claim


class Said(msgspec.Struct, frozen=True):
    """A turn of the caller, in his words.

    began_s, ended_s: his first and last voiced sample. answered_s: the reply was over (heard, or interrupted by him),
    0 if it never was.
    reply: what the whole reply must read, its items joined with one space; empty where any will do.
    timed: nobody is waited for, so that how long it takes tells something.
    """

    words: str
    ended_s: float
    answered_s: float = 0.0
    reply: str = ""
    kind: str = ""
    began_s: float = 0.0
    timed: bool = True


class Piece(msgspec.Struct, frozen=True):
    """A run of the agent's audio as the caller got it.

    segment: its index in the item, -1 where the client isn't told. position: of its first sample in the segment.
    """

    item: str
    segment: int
    position: int
    samples: int
    at_s: float


class Account(msgspec.Struct, frozen=True):
    """A call as its caller tells it. transcripts: of his turns, as told to him, in order.

    said: by one who vanished, what was answered; there may have been more.
    interruptions_s: when he spoke over the agent. resumed: how often his client came back to a gateway, and
    resume_gaps_s: for how long nothing was heard of one then. leaks: of the events that he was sent, those that have a
    forbidden word in them (Run.forbidden). dialled_s: when he first dialled for this call, let_in_s: when his session
    was there; 0 where nobody looked.
    """

    said: list[Said] = []
    transcripts: list[str] = []
    heard: list[Piece] = []
    interruptions_s: list[float] = []
    end: Ending = "unaware"
    ended_s: float = 0.0
    resumed: int = 0
    resume_gaps_s: list[float] = []
    problem: str = ""
    leaks: list[str] = []
    dialled_s: float = 0.0
    let_in_s: float = 0.0


class CallOutcome(msgspec.Struct):
    call: str
    account: Account


class CallEvidence(msgspec.Struct, frozen=True):
    """claims: None where nobody collected them."""

    call: str
    entries: list[Recorded]
    account: Account
    claims: list[Claimed] | None = None


class Effect(msgspec.Struct, frozen=True):
    """Something that a tool did outside. repeatable: the tool said that doing it twice is harmless."""

    key: str
    arguments: str
    at_s: float
    repeatable: bool = False


class Moved(msgspec.Struct, frozen=True):
    """A process that used a NATS node when that was hit. at_s: when it was connected to one again; 0 if it wasn't seen
    to be."""

    worker: str
    at_s: float


class Fault(msgspec.Struct, frozen=True):
    """until_s: a stopped process went on. held: calls that the process served; mid_turn: those of them in mid-turn;
    waiting: those in which something waited for a person.

    Of a node of a cluster: held: calls that it carried a process of; led: calls whose shard it led; moved: who used it.
    led_s: when every shard had a leader again. Of a node, and in a rolling restart: ended_s: the process had ended, or
    went on; ready_s: what came after it was ready (for a node: the cluster was whole). 0 for what wasn't seen.
    """

    kind: FaultKind
    stage: Target
    worker: str
    pid: int
    at_s: float
    until_s: float = 0.0
    held: list[str] = []
    mid_turn: list[str] = []
    waiting: list[str] = []
    led: list[str] = []
    moved: list[Moved] = []
    led_s: float = 0.0
    ended_s: float = 0.0
    ready_s: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.kind} {self.stage}"

    @property
    def of_cluster(self) -> bool:
        return self.stage == "nats" and self.worker != ALONE

    @property
    def election_over_s(self) -> float:
        """Of a node of a cluster; without end where the run was over before."""
        return self.led_s or float("inf")


class Resting(msgspec.Struct, frozen=True):
    """A figure of one process when no call was there, before the calls and after them, such as `rss_kb` or `tasks`."""

    worker: str
    figure: str
    before: float
    after: float


class Decided(msgspec.Struct, frozen=True):
    """What a person who decided over an approval was told came of it.

    by, choice: who, and what he wanted. decision, decided_by: what stands, by whom: his own or another's. at_s: when
    he was told.
    """

    approval: str
    by: str
    choice: Choice
    decision: Decision
    decided_by: str
    at_s: float


class Run(msgspec.Struct, frozen=True):
    """All but the calls. refused: why callers weren't let in, which is no fault of a call; visits_refused: visitors.

    forbidden: words that policy lets nobody hear or see. to_replace: workers and nodes that were there when a rolling
    restart began.
    """

    faults: list[Fault] = []
    effects: list[Effect] = []
    resting: list[Resting] = []
    refused: list[str] = []
    decided: list[Decided] = []
    forbidden: list[str] = []
    to_replace: list[str] = []
    visits_refused: list[str] = []


class Evidence(msgspec.Struct, frozen=True):
    """visits: calls in which nothing was said, dialled only to see how long it takes to be let in."""

    calls: list[CallEvidence]
    run: Run = Run()
    visits: list[CallEvidence] = []


def dump(evidence: Evidence, directory: Path) -> None:
    """One JSON file for the run and one for each call and visit. Raises BadInput."""
    try:
        for name, calls in ((CALLS_FOLDER, evidence.calls), (VISITS_FOLDER, evidence.visits)):
            folder = directory / name
            folder.mkdir(parents=True, exist_ok=True)
            for call in calls:
                (folder / f"{call.call}.json").write_bytes(msgspec.json.encode(call))
        (directory / RUN_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(evidence.run)))
    except OSError as error:
        raise BadInput("--dump", f"{directory}: {error.strerror}", "a directory that can be written") from error


def load(directory: Path) -> Evidence:
    """What dump wrote. Raises BadInput."""
    try:
        run = msgspec.json.decode((directory / RUN_FILE).read_bytes(), type=Run)
        return Evidence(_load_calls(directory / CALLS_FOLDER), run, _load_calls(directory / VISITS_FOLDER))
    except (OSError, msgspec.MsgspecError) as error:
        raise BadInput("--check", f"{directory}: {error}", "a directory that --dump wrote") from error


def _load_calls(folder: Path) -> list[CallEvidence]:
    """None where there is no such folder: a dump of before had no visits."""
    return [msgspec.json.decode(file.read_bytes(), type=CallEvidence) for file in sorted(folder.glob("*.json"))]
