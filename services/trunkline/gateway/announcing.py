"""Which of the turns' decisions a client is told of, and in which words. Pure; a call and a transcription share it."""

from trunkline.gateway.call_events import (
    AudioCommitted,
    CallEvent,
    SpeechBegan,
    SpeechEnded,
    Transcribed,
    TranscribedSoFar,
    TranscriptionFailed,
)
from trunkline.gateway.decisions import (
    AnnounceStarted,
    AnnounceStopped,
    AnnounceWords,
    CommitAudio,
    Decision,
    GiveUp,
    TakeTurn,
)
from trunkline.proto.audio import CALLER_RATE_HZ


def announcement(decision: Decision) -> CallEvent | None:
    match decision:
        case AnnounceStarted(item=item, at_sample=at_sample):
            return SpeechBegan(item, at_sample)
        case AnnounceStopped(item=item, at_sample=at_sample):
            return SpeechEnded(item, at_sample)
        case AnnounceWords(item=item, text=text):
            return TranscribedSoFar(item, text)
        case CommitAudio(item=item):
            return AudioCommitted(item)
        case GiveUp(item=item, reason=reason):
            return TranscriptionFailed(item, reason)
        case TakeTurn(source="speech", from_sample=begin, to_sample=end):
            return Transcribed(decision.item, decision.text, (end - begin) / CALLER_RATE_HZ, begin, end)
    return None
