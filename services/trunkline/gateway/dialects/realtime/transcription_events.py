"""What a client of a transcription session may say; what belongs to conversations is refused by name."""

import msgspec

from trunkline.gateway.dialects.realtime import events_in
from trunkline.gateway.dialects.realtime.events_in import AppendAudio, ClearAudio, CommitAudio, Reader, RetrieveItem


class UpdateSession(events_in._Event, frozen=True, tag="session.update"):
    """session: read apart, in `transcription_session`."""

    session: msgspec.Raw


TranscriptionEvent = UpdateSession | AppendAudio | CommitAudio | ClearAudio | RetrieveItem
ELSEWHERE = "belongs to a speech-to-speech session: here nobody answers"
REFUSED = dict.fromkeys(events_in.SUPPORTED, ELSEWHERE) | events_in.NOT_SERVED

reader: Reader[TranscriptionEvent] = Reader(TranscriptionEvent, REFUSED)  # type: ignore[arg-type]  # a union
decode = reader.decode
