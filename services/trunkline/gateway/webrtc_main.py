"""Wires a gateway that serves WebRTC; nothing else. It is a program of its own, for what aiortc brings is partly GPL.

No other program may import the endpoint: a test holds the gateway to that.
"""

from trunkline.gateway import main as ordinary
from trunkline.gateway.service import GatewayService
from trunkline.gateway.settings import GatewaySettings
from trunkline.proto.errors import BadInput
from trunkline.runtime.process import Context, run


def build(context: Context, settings: GatewaySettings) -> GatewayService:
    """Raises BadInput where the extra isn't installed."""
    try:
        from trunkline.gateway.dialects.webrtc.endpoint import WebrtcEndpoint
    except ImportError as error:
        raise BadInput(error.name or "aiortc", "is not installed", "install trunkline[webrtc]") from error
    return ordinary.build(context, settings, WebrtcEndpoint)


def main() -> None:
    run("gateway", GatewaySettings, build, name="webrtc")


if __name__ == "__main__":
    main()
