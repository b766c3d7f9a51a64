"""Why a command ends with exit status 1: each is one line on stderr.

TrunklineError
├── BadInput             (of proto) an option, file or name that can't be used: exit status 2
└── CommandFailed        exit status 1
    ├── GatewaySilent    nothing answers at the address
    ├── Refused          the gateway answered, but not with what was asked for
    ├── NotDecided       an approval isn't decided by this: unknown, decided before, or nobody answers
    ├── DirectoryTaken   another stack lives in the directory
    ├── PortTaken        another program listens on the port
    ├── StartFailed      a process of the stack didn't come up
    ├── ProcessEnded     a process that was being measured is gone
    ├── NoReply          the agent said nothing in time
    └── CallLost         the gateway ended the call, or reported an error
"""

from pathlib import Path

from trunkline.proto.errors import TrunklineError


class CommandFailed(TrunklineError):
    pass


class GatewaySilent(CommandFailed):
    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"nothing answers at {url} ({reason}); is a stack running? start one with: trunkline up")
        self.url = url


class Refused(CommandFailed):
    def __init__(self, url: str, status: int, message: str) -> None:
        super().__init__(f"{url} refused with status {status}: {message}")
        self.status, self.message = status, message


class NotDecided(CommandFailed):
    def __init__(self, approval: str, reason: str) -> None:
        super().__init__(f"{approval} is not decided by this: {reason}")
        self.approval = approval


class DirectoryTaken(CommandFailed):
    def __init__(self, directory: Path, pid: int) -> None:
        owner = f" (pid {pid})" if pid else ""
        super().__init__(f"directory {directory} is in use by another trunkline up{owner}; give another one with --dir")
        self.directory, self.pid = directory, pid


class PortTaken(CommandFailed):
    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(f"can't listen on {host}:{port}: {reason}; give another one with --port")
        self.host, self.port = host, port


class StartFailed(CommandFailed):
    def __init__(self, what: str, reason: str, log: Path) -> None:
        super().__init__(f"{what} didn't start: {reason} (log: {log})")
        self.what, self.log = what, log


class ProcessEnded(CommandFailed):
    def __init__(self, service: str, pid: int) -> None:
        super().__init__(f"a process of {service} (pid {pid}) ended while it was measured; its log says why")
        self.service, self.pid = service, pid


class NoReply(CommandFailed):
    def __init__(self, what: str, limit_s: float, seen: str) -> None:
        super().__init__(f"{what} within {limit_s:g} s; the last that came was {seen}")
        self.what = what


class CallLost(CommandFailed):
    def __init__(self, reason: str) -> None:
        super().__init__(f"the call was lost: {reason}")
        self.reason = reason
