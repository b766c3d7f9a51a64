"""Why a call of this client ends, each in one line that can be shown to a person.

TrunklineError
└── ClientError
    ├── Unreachable      nobody answered at any of the addresses
    ├── Refused          a gateway answered the upgrade with a refusal: status, message
    ├── CallLost         the gateway ended the call for a fault, or nobody took it up again within the window
    └── NotAnEvent       something came that is no event of the protocol
"""

from trunkline.proto.errors import TrunklineError


class ClientError(TrunklineError):
    pass


class Unreachable(ClientError):
    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"nothing answers at {url} ({reason})")
        self.url, self.reason = url, reason


class Refused(ClientError):
    def __init__(self, url: str, status: int, message: str) -> None:
        super().__init__(f"{url} refused with status {status}: {message}")
        self.url, self.status, self.message = url, status, message


class CallLost(ClientError):
    """code: of the closing handshake, 0 where there was none."""

    def __init__(self, reason: str, code: int = 0) -> None:
        super().__init__(f"the call was lost: {reason}")
        self.reason, self.code = reason, code


class NotAnEvent(ClientError):
    def __init__(self, problem: str) -> None:
        super().__init__(f"an event that is no Realtime event: {problem}")
        self.problem = problem
