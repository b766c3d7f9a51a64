"""A Realtime client over WebRTC: its audio has a way of its own, and its playback is the gateway's to know."""

import msgspec

from trunkline.gateway.call import Call
from trunkline.gateway.call_events import AudioSaid, CallEvent, ItemCut, ResponseEnded, Silenced
from trunkline.gateway.dialects.realtime import events_in, events_out
from trunkline.gateway.dialects.realtime.events_in import ClientEvent
from trunkline.gateway.dialects.realtime.images_in import Images, Pictures
from trunkline.gateway.dialects.realtime.peer import Peer
from trunkline.gateway.dialects.realtime.session import Session
from trunkline.gateway.dialects.realtime.terms import Terms
from trunkline.gateway.dialects.webrtc.mouth import Mouth
from trunkline.gateway.dialects.webrtc.sounding import Sign, Sounding, Told
from trunkline.gateway.dialects.webrtc.wire import ChannelWire
from trunkline.proto.errors import BadInput

SIGNS = {
    Sign.STARTED: events_out.OutputStarted,
    Sign.STOPPED: events_out.OutputStopped,
    Sign.CLEARED: events_out.OutputCleared,
}


class RtcPeer(Peer):
    """mouth: plays what the call says."""

    def __init__(
        self, call: Call, wire: ChannelWire, pictures: Pictures, terms: Terms, session: Session, mouth: Mouth
    ) -> None:
        super().__init__(call, wire, pictures, terms, session)
        self._mouth = mouth
        self._sounding = Sounding()
        self._truncates = False  # what the last interruption cut, instead of the client

    # the call's side

    def on_event(self, event: CallEvent) -> None:
        match event:
            case AudioSaid(response=response, pcm=pcm):
                self._tell(self._sounding.said(response))
                self._mouth.say(pcm)
            case Silenced(reason=reason):
                self._mouth.hush()
                self._tell(self._sounding.cut())
                self._truncates = reason != "truncated"  # by the client, which is answered
            case ItemCut(asked=False) if self._truncates:
                super().on_event(msgspec.structs.replace(event, asked=True))
            case ResponseEnded(response=response):
                super().on_event(event)
                self._tell(self._sounding.ended(response, silent=self._mouth.silent.is_set()))
            case _:
                super().on_event(event)

    def played(self) -> None:
        """All that went to the track was."""
        self._tell(self._sounding.silent())

    def _tell(self, signs: list[Told]) -> None:
        for sign, response in signs:
            self.send(SIGNS[sign](event_id=self.next_event_id(), response_id=response))

    def too_large(self, size_bytes: int, limit_bytes: int) -> None:
        """An event that no message of the channel can carry."""
        problem = f"an event has {size_bytes} bytes and can't be sent"
        allowed = f"{limit_bytes} bytes, as this data channel was offered"
        self.send_error(BadInput("", problem, allowed, code="event_too_large"), None, kind="server_error")

    # the client's side

    def _hear(self, audio: bytes) -> None:
        raise BadInput("type", "audio comes over RTP on this line", "the microphone's track", code="not_supported")

    def _obey(self, event: ClientEvent, images: Images) -> None:
        match event:
            case events_in.ClearOutput():
                self._clear()
            case _:
                super()._obey(event, images)

    def _clear(self) -> None:
        """Answered also when nothing sounds any more, for the response that did last."""
        sounded = self._sounding.sounds
        self.call.speaking.interrupt("client_cancelled")
        if not sounded:
            self._tell([Told(Sign.CLEARED, self._sounding.last)])
