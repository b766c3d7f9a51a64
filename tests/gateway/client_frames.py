"""WebSocket frames as a client sends them."""

MASK = b"\x01\x80\xff\x00"


def frame(first: int, payload: bytes, mask: bytes = MASK) -> bytes:
    """first: FIN, reserved bits and opcode."""
    size = len(payload)
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 65_536:
        length = b"\xfe" + size.to_bytes(2, "big")
    else:
        length = b"\xff" + size.to_bytes(8, "big")
    return bytes([first]) + length + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
