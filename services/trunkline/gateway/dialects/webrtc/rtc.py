"""One peer connection: the offer's answer, and what comes and goes over it.

aiortc speaks ICE, DTLS, SCTP and RTP. Reached into are its ICE sockets, which bind and tell what the settings say, the
buffer that a caller's packets go through, which would hold back each for 80 ms and, after one loss, for 320, and what
it keeps of a message that isn't whole, which would have no bound. All of that is in `_tap`, `_widen`,
`_hold_to_window` and `gathering`; a test of each fails when a release of aiortc has them elsewhere.
"""

from collections.abc import Callable

from aiortc import (
    RTCConfiguration,
    RTCDataChannel,
    RTCIceTransport,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCSctpTransport,
    RTCSessionDescription,
)
from aiortc.rtcrtpparameters import RTCRtpCodecCapability
from aiortc.rtcsctptransport import DataChunk, RTCSctpCapabilities
from aiortc.rtp import RtpPacket

from trunkline.gateway.dialects.webrtc import gathering
from trunkline.gateway.dialects.webrtc.addresses import Reach
from trunkline.gateway.dialects.webrtc.arrivals import RTP_RATE_HZ, Packet
from trunkline.gateway.dialects.webrtc.mouth import Mouth
from trunkline.gateway.dialects.webrtc.offer import Offer
from trunkline.proto.errors import BadInput, StageUnavailable
from trunkline.telemetry import logs

CHANNELS = 1  # that are listened to: further ones are closed
MESSAGE_BYTES = 1_048_576  # of the caller's, at most, as the answer tells: a picture's event; Chrome sends 262,144
WINDOW_BYTES = 2 * MESSAGE_BYTES  # of what isn't whole yet
OPUS = RTCRtpCodecCapability(mimeType="audio/opus", clockRate=RTP_RATE_HZ, channels=2)

log = logs.get(__name__)


class Rtc:
    """on_packet: gets each of the caller's packets. on_connected: media flow. on_channel: the data channel is open.
    on_gone: once, the connection is over; orderly: the caller closed it."""

    def __init__(
        self,
        mouth: Mouth,
        *,
        on_packet: Callable[[Packet], None],
        on_connected: Callable[[], None],
        on_channel: Callable[[RTCDataChannel], None],
        on_gone: Callable[[bool], None],
    ) -> None:
        self._pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._mouth = mouth
        self._on_packet = on_packet
        self._on_connected = on_connected
        self._on_channel = on_channel
        self._on_gone = on_gone
        self._ice: RTCIceTransport | None = None
        self._channels = 0
        self._gone = False
        self._pc.on("datachannel", self._channel_came)
        self._pc.on("connectionstatechange", self._state_changed)

    async def answer(self, offer: Offer, reach: Reach) -> str:
        """The SDP to answer with. Raises BadInput, StageUnavailable when no port is free."""
        transceiver = self._pc.addTransceiver(self._mouth, direction="sendrecv")
        transceiver.setCodecPreferences([OPUS])
        try:
            await self._pc.setRemoteDescription(RTCSessionDescription(offer.sdp, "offer"))
            _tap(transceiver.receiver, self._on_packet)
            self._ice = transceiver.receiver.transport.transport
            transports = {self._ice}
            if self._pc.sctp is not None:
                _widen(self._pc.sctp)
                _hold_to_window(self._pc.sctp, self._flooded)
                transports.add(self._pc.sctp.transport.transport)
            for transport in transports:
                gathering.redirect(transport, reach)
            await self._pc.setLocalDescription(await self._pc.createAnswer())
        except StageUnavailable:
            raise
        except Exception as error:  # a parser of others, at what anybody may send: it raises whatever it stumbles over
            log.info("offer not understood", reason=repr(error)[:200])
            raise BadInput(
                "sdp", "can't be understood", "an offer as a browser makes it", code="invalid_offer"
            ) from error
        return self._pc.localDescription.sdp

    async def close(self) -> None:
        """The caller sees its connection end."""
        self._gone = True
        try:
            await self._pc.close()
        except Exception as error:  # aiortc's, of what it has set up by half: that has no sockets yet
            log.info("connection not closed in order", reason=repr(error)[:200])

    async def vanish(self) -> None:
        """As `close`, without a word, which the caller's side would take for the end of the call: its line breaks."""
        self._gone = True
        if self._ice is not None:
            await self._ice.stop()
        if self._pc.sctp is not None:
            await self._pc.sctp.transport.transport.stop()  # the same, where the offer bundles them
        await self.close()

    def _channel_came(self, channel: RTCDataChannel) -> None:
        self._channels += 1
        if self._channels > CHANNELS:
            channel.close()
            return
        channel.on("close", self._went)
        self._on_channel(channel)

    def _state_changed(self) -> None:
        state = self._pc.connectionState
        log.debug("connection", state=state)
        if state == "connected":
            self._on_connected()
        elif state in ("failed", "closed"):
            self._went()

    def _went(self) -> None:
        if not self._gone:
            self._gone = True
            lost = self._pc.connectionState == "failed" or (self._ice is not None and gathering.is_lost(self._ice))
            self._on_gone(not lost)

    def _flooded(self) -> None:
        if not self._gone:
            self._gone = True
            log.warning("caller sends more than it may")
            self._on_gone(False)


class _Tap:
    """Stands where aiortc keeps packets until they are decoded in a thread of its own: none gets there."""

    def __init__(self, on_packet: Callable[[Packet], None]) -> None:
        self._on_packet = on_packet

    def add(self, packet: RtpPacket) -> tuple[bool, None]:
        self._on_packet(Packet(packet.sequence_number, packet.timestamp, packet.payload))
        return False, None


def _tap(receiver: RTCRtpReceiver, on_packet: Callable[[Packet], None]) -> None:
    buffer = "_RTCRtpReceiver__jitter_buffer"
    assert hasattr(receiver, buffer), "this release of aiortc keeps its packets elsewhere"
    setattr(receiver, buffer, _Tap(on_packet))


def _widen(sctp: RTCSctpTransport) -> None:
    """aiortc takes messages of 256 KiB; before the answer is made."""
    assert sctp._advertised_rwnd == 1_048_576, "this release of aiortc has another window"
    sctp._advertised_rwnd = WINDOW_BYTES
    sctp.getCapabilities = lambda: RTCSctpCapabilities(maxMessageSize=MESSAGE_BYTES)  # type: ignore[method-assign]  # of this one connection


def _hold_to_window(sctp: RTCSctpTransport, on_flood: Callable[[], None]) -> None:
    """aiortc tells a caller how much it takes, and takes more: a message without an end would grow for ever."""
    receive = sctp._receive_data_chunk

    async def take(chunk: DataChunk) -> None:
        if sctp._advertised_rwnd <= 0:
            on_flood()
        elif chunk.user_data:  # empty ones, which no sender has a use for, would cost the window nothing
            await receive(chunk)

    sctp._receive_data_chunk = take  # type: ignore[method-assign]  # of this one connection
