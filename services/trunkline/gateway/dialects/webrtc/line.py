"""One call over WebRTC, from the answered offer to its end: joins the call, its peer and the connection.

A connection that is lost has lost its call, unless the client takes it up over a WebSocket before that is noticed here.
One that is too slow is cut, and its call waits for that.
"""

import asyncio
import contextlib
from collections.abc import Callable

from aiortc import RTCDataChannel

from trunkline.audio import pcm
from trunkline.audio.pcm import Samples
from trunkline.gateway.call import Call
from trunkline.gateway.dialects.realtime.images_in import Pictures
from trunkline.gateway.dialects.realtime.limits import Limits
from trunkline.gateway.dialects.realtime.opening import Opened
from trunkline.gateway.dialects.realtime.terms import Terms
from trunkline.gateway.dialects.webrtc.addresses import Reach
from trunkline.gateway.dialects.webrtc.ear import RtpEar
from trunkline.gateway.dialects.webrtc.mouth import Mouth
from trunkline.gateway.dialects.webrtc.offer import Offer
from trunkline.gateway.dialects.webrtc.peer import RtcPeer
from trunkline.gateway.dialects.webrtc.rtc import Rtc
from trunkline.gateway.dialects.webrtc.wire import ChannelWire
from trunkline.proto.errors import BadInput
from trunkline.telemetry import logs

CONNECT_LIMIT_S = 20.0  # from the answer to a connection
FINISH_LIMIT_S = 3.0  # to play and to send what waits, once the call is over
LINGER_S = 0.25  # that the caller's side still plays what it has

log = logs.get(__name__)


class Line:
    """First `answer`, then `serve`."""

    def __init__(self, offer: Offer) -> None:
        self._offer = offer
        self._peer: RtcPeer | None = None
        self._begun = asyncio.Event()  # the caller is there, or won't come
        self._over = asyncio.Event()
        self._cut = False
        self._ear = RtpEar(self._hear, asyncio.get_running_loop().time)
        self._mouth = Mouth(self._ear.beat, self._played)
        self._rtc = Rtc(
            self._mouth,
            on_packet=self._ear.take,
            on_connected=self._media_flow,
            on_channel=self._channel_opens,
            on_gone=self._gone,
        )
        self._wire = ChannelWire(
            offer.message_bytes, on_too_large=self._too_large, on_finished=self._finished, on_slow=self._too_slow
        )

    async def answer(self, reach: Reach) -> str:
        """The SDP. Raises BadInput, StageUnavailable; then the line is closed."""
        try:
            return await self._rtc.answer(self._offer, reach)
        except BaseException:
            await self._rtc.close()
            raise

    async def close(self) -> None:
        """Of a line that doesn't serve."""
        await self._rtc.close()

    async def serve(
        self, opened: Opened, pictures: Pictures, limits: Limits, token: str, wait_for_client: Callable[[Call], None]
    ) -> None:
        """Until either side ends it. The call has ended then, waits for its client, or goes on elsewhere.

        token: to take it up with.
        """
        call = opened.call
        terms = Terms(opened.model, token, limits, aliases=opened.aliases, bound=opened.bound)
        self._peer = peer = RtcPeer(call, self._wire, pictures, terms, opened.session, self._mouth)
        call.belong(peer)
        try:
            async with asyncio.timeout(CONNECT_LIMIT_S):
                await self._begun.wait()
            await self._over.wait()
            if not self._cut:
                await self._finish()
        except TimeoutError:
            log.info("caller never connected", call_id=call.call_id)
        finally:
            peer.leave()
            if self._cut:
                wait_for_client(call)
                await self._rtc.vanish()
            else:
                call.end("lost")
                await self._rtc.close()

    async def _finish(self) -> None:
        """What the call has said is played, what it has told is sent."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FINISH_LIMIT_S):
                await self._mouth.silent.wait()
                await self._wire.sent()
                await asyncio.sleep(LINGER_S)  # nothing tells what the caller's side has played

    # the connection's word

    def _media_flow(self) -> None:
        if not self._offer.channel:
            self._begin()

    def _channel_opens(self, channel: RTCDataChannel) -> None:
        self._wire.open(channel)
        channel.on("message", self._take)
        self._begin()

    def _begin(self) -> None:
        peer = self._peer
        assert peer is not None, "nobody connects before the answer is told"
        self._begun.set()
        peer.greet()
        peer.enter()

    def _take(self, message: str | bytes) -> None:
        peer = self._peer
        if peer is None or peer.call.ended:
            return
        if isinstance(message, str):
            peer.take(message.encode())
        else:
            peer.send_error(BadInput("", "a binary message is no event", "JSON as text"), None)

    def _hear(self, samples: Samples) -> None:
        if self._peer is not None and self._begun.is_set():
            self._peer.call.hear(pcm.to_bytes(samples))

    def _played(self) -> None:
        if self._peer is not None:
            self._peer.played()

    def _too_large(self, size_bytes: int) -> None:
        if self._peer is not None:
            self._peer.too_large(size_bytes, self._offer.message_bytes)

    def _too_slow(self) -> None:
        self._cut = True
        self._finished()

    def _gone(self, orderly: bool) -> None:
        if self._peer is not None:
            self._peer.call.end("caller_hung_up" if orderly else "lost")
        self._finished()

    def _finished(self) -> None:
        self._begun.set()
        self._over.set()
