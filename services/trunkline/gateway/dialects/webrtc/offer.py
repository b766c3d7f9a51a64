"""What a caller offers: an SDP is checked before anything is opened for it. Pure.

Rule: nothing that an offer names is ever sent to. Its candidates are left out: who calls reaches the gateway, and is
answered where its own checks come from (RFC 8445, 7.3.1.3), so an offer can't turn the gateway against other hosts.
"""

import msgspec

from trunkline.proto.errors import BadInput

PATH = "/v1/realtime/calls"  # where offers are posted
OPUS = "opus/48000/2"  # RFC 7587: always told like this, mono or not
DIGESTS = ("sha-256", "sha-384", "sha-512")  # of a certificate
SECTIONS = 8
LINE_CHARACTERS = 4_096
MESSAGE_BYTES = 65_536  # that a data channel takes whose offer doesn't say (RFC 8841, 6.1)
BUNDLE = "a=group:BUNDLE"
_ADDRESSES = ("a=candidate:", "a=end-of-candidates", "a=remote-candidates:")


class Offer(msgspec.Struct, frozen=True):
    """sdp: without addresses. channel: whether a data channel is offered. message_bytes: the most that a message of it
    may have, 0 for no limit."""

    sdp: str
    channel: bool
    message_bytes: int


def read_offer(body: bytes) -> Offer:
    """Raises BadInput."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise _bad("is not text", "an SDP offer in UTF-8") from error
    lines = text.splitlines()
    if not lines or lines[0].strip() != "v=0":
        raise _bad("is not an SDP", "an offer as a browser makes it, beginning with v=0")
    if max(map(len, lines)) > LINE_CHARACTERS:
        raise _bad("has a line that is too long", f"up to {LINE_CHARACTERS} characters")
    session, *sections = _sections([line for line in lines if not line.startswith(_ADDRESSES)])
    if len(sections) > SECTIONS:
        raise _bad(f"has {len(sections)} media sections", f"up to {SECTIONS}")
    kinds = [section[0].partition(" ")[0] for section in sections]
    if kinds.count("m=audio") != 1 or kinds.count("m=application") > 1:
        raise _bad(f"has {kinds.count('m=audio')} audio sections", "one audio section, and one data channel beside it")
    for kind, section in zip(kinds, sections, strict=True):
        if kind not in ("m=audio", "m=application"):
            raise _bad(
                f"has a section {kind[2:42]!r}, which is not supported", "audio and a data channel", unserved=True
            )
        _require_secure(session + section)
    _require_names(session, sections)
    _require_opus(sections[kinds.index("m=audio")])
    channel = "m=application" in kinds
    limit = _message_bytes(sections[kinds.index("m=application")]) if channel else 0
    return Offer("\r\n".join([*session, *(line for section in sections for line in section)]) + "\r\n", channel, limit)


def _sections(lines: list[str]) -> list[list[str]]:
    """The session's lines, then each medium's."""
    sections: list[list[str]] = [[]]
    for line in lines:
        if line.startswith("m="):
            sections.append([])
        if line:
            sections[-1].append(line)
    return sections


def _require_secure(lines: list[str]) -> None:
    digests = [line.partition(":")[2].partition(" ")[0].lower() for line in lines if line.startswith("a=fingerprint:")]
    if not any(digest in DIGESTS for digest in digests):
        raise _bad("has no fingerprint of a DTLS certificate", f"a=fingerprint with {', '.join(DIGESTS)}")
    for name in ("ice-ufrag", "ice-pwd"):
        if not any(line.startswith(f"a={name}:") for line in lines):
            raise _bad(f"has no {name}", "ICE, as a browser offers it")
    if not any(line.strip() in ("a=setup:actpass", "a=setup:active", "a=setup:passive") for line in lines):
        raise _bad("has no usable a=setup", "actpass, active or passive")


def _require_names(session: list[str], sections: list[list[str]]) -> None:
    """Each section has one of its own, and what shares a transport is named by it (RFC 9143)."""
    names = [
        line.removeprefix("a=mid:").strip() for section in sections for line in section if line.startswith("a=mid:")
    ]
    if len(names) != len(sections) or len(set(names)) != len(names) or not all(names):
        raise _bad("has a section without a name of its own", "a=mid in each")
    groups = [line.split()[1:] for line in session if line.startswith(BUNDLE)]
    if any(not group or group[0] not in names for group in groups):
        raise _bad("has a bad a=group:BUNDLE", f"one that begins with {' or '.join(names)}")


def _require_opus(audio: list[str]) -> None:
    formats = audio[0].split()[3:]
    maps = [line.removeprefix("a=rtpmap:").split() for line in audio if line.startswith("a=rtpmap:")]
    if not any(len(one) == 2 and one[0] in formats and one[1].lower() == OPUS for one in maps):
        raise _bad("offers no Opus", f"audio as {OPUS}")
    if "a=inactive" in audio or "a=sendonly" in audio:
        raise _bad("offers no audio towards the caller", "sendrecv or recvonly", unserved=True)


def _message_bytes(application: list[str]) -> int:
    given = [line.partition(":")[2].strip() for line in application if line.startswith("a=max-message-size:")]
    if not given:
        return MESSAGE_BYTES
    if not given[0].isdecimal():
        raise _bad("has a bad a=max-message-size", "a number of bytes")
    return int(given[0])


def _bad(problem: str, allowed: str, *, unserved: bool = False) -> BadInput:
    return BadInput("sdp", problem, allowed, code="not_supported" if unserved else "invalid_offer")
