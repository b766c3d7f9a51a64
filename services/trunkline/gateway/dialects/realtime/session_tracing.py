"""What a client wants its call's trace to say of it. Pure.

Every call is traced if the installation traces at all: a client adds names to that, or, with null, none.
"""

from typing import Literal

import msgspec

from trunkline.proto.errors import BadInput

METADATA_LIMIT_BYTES = 4_096  # as JSON


class Tracing(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    workflow_name: str | None = None
    group_id: str | None = None
    metadata: dict[str, object] | None = None


TracingChoice = Literal["auto"] | Tracing | None


def require_traceable(choice: TracingChoice) -> None:
    """Raises BadInput."""
    size = len(msgspec.json.encode(choice.metadata)) if isinstance(choice, Tracing) else 0
    if size > METADATA_LIMIT_BYTES:
        raise BadInput("session.tracing.metadata", f"has {size} bytes", f"{METADATA_LIMIT_BYTES} bytes of JSON")


def attributes_of(choice: TracingChoice) -> dict[str, str]:
    """Of a span; none if the client names nothing."""
    if not isinstance(choice, Tracing):
        return {}
    found = {"trunkline.workflow_name": choice.workflow_name, "trunkline.group_id": choice.group_id}
    if choice.metadata:
        found["trunkline.metadata"] = msgspec.json.encode(choice.metadata).decode()
    return {name: value for name, value in found.items() if value}
