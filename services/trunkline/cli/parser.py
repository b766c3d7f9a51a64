"""The command line: what can be asked for, and one line for what can't.

Parsing has no side effects; a command's module is imported only when the command runs.
"""

import argparse
import re
from collections.abc import Sequence
from typing import NoReturn

from trunkline.proto.errors import BadInput

DEFAULT_DIR = ".trunkline"
_CHOICE = re.compile(r"invalid choice: (.+) \(choose from (.+)\)")  # argparse's words
_EPILOG = "Run `trunkline COMMAND --help` for a command's options. Settings and agents: README.md."


class Parser(argparse.ArgumentParser):
    """argparse whose refusals are BadInput, each with what is allowed."""

    def error(self, message: str) -> NoReturn:
        if not message.startswith("argument "):
            raise BadInput(_name(self), message, f"see {self.prog} --help")
        param, _, problem = message.removeprefix("argument ").partition(": ")
        if choice := _CHOICE.fullmatch(problem):
            raise BadInput(param, f"there is no {choice[1]}", choice[2].replace("'", ""))
        raise BadInput(param, problem, f"see {self.prog} --help")

    @property
    def options(self) -> list[str]:
        return [option for action in self._actions for option in action.option_strings if option.startswith("--")]


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Raises BadInput; SystemExit(0) after --help and --version."""
    parser, commands = _build()
    parsed, unknown = parser.parse_known_args(arguments)
    if unknown:
        command = commands.get(_path(parsed), parser)
        stray = next((word for word in unknown if word.startswith("-")), None)
        if stray is None:
            raise BadInput(_name(command), f"unexpected {unknown[0]!r}", f"see {command.prog} --help")
        raise BadInput(_name(command), f"unknown option {stray.partition('=')[0]}", ", ".join(command.options))
    if parsed.command is None:
        raise BadInput("COMMAND", "none given", ", ".join(name for name in commands if " " not in name))
    if getattr(parsed, "action", "") is None:
        actions = [name.partition(" ")[2] for name in commands if name.startswith(f"{parsed.command} ")]
        raise BadInput(parsed.command, "no action given", ", ".join(actions))
    return parsed


def _path(parsed: argparse.Namespace) -> str:
    """The command, and its action if it has such."""
    return " ".join(filter(None, (parsed.command, getattr(parsed, "action", None))))


def _name(parser: Parser) -> str:
    """What a refusal names: the command, since the program's own name stands before every line."""
    return parser.prog.removeprefix("trunkline ") if parser.prog != "trunkline" else "COMMAND"


def _build() -> tuple[Parser, dict[str, Parser]]:
    parser = Parser(prog="trunkline", description="Voice agents for call centres.", epilog=_EPILOG, allow_abbrev=False)
    parser.add_argument("--version", action="store_true", help="print the version")
    commands: dict[str, Parser] = {}
    group = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)

    def command(name: str, summary: str) -> Parser:
        commands[name] = group.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        return commands[name]

    _up(command("up", "start NATS and every service on this machine, and keep them running"))
    _ps(command("ps", "list the workers of a running stack"))
    _call(command("call", "be a caller: play WAV files over the Realtime WebSocket and hear the replies"))
    _calls(command("calls", "list the calls on record"))
    _show(command("show", "print one call's record: transcript with phases, tools, events"))
    commands |= _approvals(command("approvals", "see what waits for a person, and decide it"))
    _backup(command("backup", "copy all that is kept (records, index, files, …) into a folder, from NATS"))
    _restore(command("restore", "bring a backup into a NATS that keeps nothing yet"))
    _chaos(
        command("chaos", "prove on this machine that calls survive: callers, faults, and a checker of what they leave")
    )
    _load(command("load", "measure on this machine what calls cost, how long callers wait, and how many are carried"))
    return parser, commands


def _up(parser: Parser) -> None:
    parser.add_argument("--agent", metavar="FILE.py[:NAME]", default="", help="agent file (default: a small one)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", default="8080", help="port to listen on, 0 for any free one (default: %(default)s)")
    parser.add_argument(
        "--workers",
        metavar="STAGE=N,…",
        default="",
        help="more than one worker of a stage: stt=2,tts=2; webrtc=0: no WebRTC",
    )
    parser.add_argument(
        "--engine", metavar="SEAM=NAME", action="append", default=[], help="stt=…, tts=… or model=…; may be repeated"
    )
    parser.add_argument(
        "--nats-nodes",
        metavar="N",
        default="1",
        help="NATS servers, 1 or 3: a cluster that keeps each record three times (default: %(default)s)",
    )
    parser.add_argument("--dir", default=DEFAULT_DIR, help="run directory: records, logs, key (default: %(default)s)")


def _find_stack(parser: Parser) -> None:
    parser.add_argument("--dir", default="", help=f"run directory of the stack (default: {DEFAULT_DIR})")
    parser.add_argument("--url", default="", help="address of a gateway instead (default: $TRUNKLINE_URL)")
    parser.add_argument("--key", default="", help="API key (default: $TRUNKLINE_KEY, or the one in the run directory)")


def _json(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON instead of text for people")


def _ps(parser: Parser) -> None:
    _find_stack(parser)
    _json(parser)


def _call(parser: Parser) -> None:
    parser.add_argument("wav", nargs="+", metavar="WAV", help="what the caller says, one turn per file; any rate")
    parser.add_argument("--out", metavar="FILE.wav", default="", help="write the agent's side, 24 kHz mono")
    parser.add_argument("--agent", default="", metavar="NAME", help="agent (or model name) to ask for")
    parser.add_argument(
        "--barge-in",
        metavar="SECONDS",
        default="",
        help="start the next WAV this long after a reply begins to be heard",
    )
    parser.add_argument("--binary", action="store_true", help="audio as binary messages instead of JSON")
    _find_stack(parser)
    _json(parser)


def _calls(parser: Parser) -> None:
    parser.add_argument(
        "--delete", metavar="CALL", default="", help="delete this call's record instead; it must be over"
    )
    _find_stack(parser)
    _json(parser)


def _show(parser: Parser) -> None:
    parser.add_argument("call", metavar="CALL", help="call id, as `trunkline calls` prints it")
    _find_stack(parser)
    _json(parser)


def _approvals(parser: Parser) -> dict[str, Parser]:
    group = parser.add_subparsers(dest="action", metavar="ACTION", parser_class=Parser)
    summaries = {
        "list": "list what waits: a tool call with its exact arguments, or an answer",
        "approve": "let it happen, exactly as shown; an answer may be edited",
        "deny": "don't let it happen",
    }
    actions: dict[str, Parser] = {}
    for name, summary in summaries.items():
        action = group.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        actions[f"approvals {name}"] = action
        _find_stack(action)
        if name == "list":
            action.add_argument("--call", metavar="CALL", default="", help="of this call only")
            _json(action)
            continue
        action.add_argument("approval", metavar="ID", help="as `trunkline approvals list` shows it")
        action.add_argument("--by", metavar="NAME", default="", help="who decides (default: the login name)")
        action.add_argument("--note", metavar="TEXT", default="", help="for the record")
        if name == "approve":
            action.add_argument("--text", metavar="TEXT", help="say this instead of the answer that was shown")
    return actions


def _backup(parser: Parser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="new, or empty; it will hold what people said")
    parser.add_argument("--dir", default="", help=f"run directory of the stack (default: {DEFAULT_DIR})")
    parser.add_argument("--nats-url", default="", metavar="URL,…", help="of NATS (default: $TRUNKLINE_NATS_URL)")
    _json(parser)


def _restore(parser: Parser) -> None:
    _backup(parser)
    parser.add_argument("--replicas", default="", metavar="N", help="1 or 3 (default: as many as there were)")
    parser.add_argument(
        "--unchecked", action="store_true", help="also a backup without a manifest: of it what is there, whole or not"
    )


def _chaos(parser: Parser) -> None:
    parser.add_argument("--calls", metavar="N", default="20", help="calls at a time (default: %(default)s)")
    parser.add_argument("--seconds", metavar="S", default="60", help="for how long they go on (default: %(default)s)")
    parser.add_argument("--seed", metavar="K", default="1", help="of the faults and the callers (default: %(default)s)")
    parser.add_argument(
        "--only", metavar="FAULT,…", default="", help="no other faults than these: 'kill stt,stop agent', or 'nothing'"
    )
    parser.add_argument(
        "--nats-nodes",
        metavar="N",
        default="",
        help="NATS servers: 1, or 3, which are hit too, one at a time (default: 1; 3 with --rolling)",
    )
    parser.add_argument(
        "--rolling",
        action="store_true",
        help="instead of faults, replace every process and node once, as a deploy does",
    )
    parser.add_argument("--dump", metavar="DIR", default="", help="keep the evidence and the logs there")
    parser.add_argument("--check", metavar="DIR", default="", help="judge what --dump kept; runs nothing")
    _json(parser)


def _load(parser: Parser) -> None:
    parser.add_argument("--calls", metavar="N", default="20", help="calls at a time (default: %(default)s)")
    parser.add_argument("--seconds", metavar="S", default="20", help="that are measured (default: %(default)s)")
    parser.add_argument("--dialect", default="realtime", help="realtime (default), or binary: audio that is no JSON")
    parser.add_argument(
        "--turns", default="commit", help="who ends a turn: commit, the caller (default); vad, the server by silence"
    )
    parser.add_argument("--ramp", metavar="S", default="3", help="over which calls begin (default: %(default)s)")
    parser.add_argument("--think", metavar="S", default="1", help="of rest between turns (default: %(default)s)")
    parser.add_argument(
        "--barge-in", metavar="SHARE", default="0", help="of replies that the caller speaks into, 0 to 1"
    )
    parser.add_argument("--wav", metavar="FILE", nargs="+", default=[], help="what callers say (default: a tone)")
    parser.add_argument("--seed", metavar="K", default="1", help="of the callers' rests (default: %(default)s)")
    parser.add_argument("--find", action="store_true", help="search the most calls that keep --target-ms, from --calls")
    parser.add_argument(
        "--target-ms", metavar="[p95=|p99=]MS", default="", help="of the first audio from the burst's end"
    )
    parser.add_argument("--engine", metavar="SEAM=NAME", action="append", default=[], help="as of up (default: null)")
    parser.add_argument("--workers", metavar="STAGE=N,…", default="", help="as of up")
    parser.add_argument("--agent", metavar="FILE.py[:NAME]", default="", help="as of up")
    parser.add_argument("--plot", metavar="FILE.svg", default="", help="latency over time; of a search, over calls")
    parser.add_argument("--out", metavar="FILE.json", default="", help="write the JSON there too")
    parser.add_argument("--dir", default="", help="run directory: of a stack that runs, or for one to start there")
    parser.add_argument("--url", default="", help="address of a gateway that runs; its processes aren't measured")
    parser.add_argument("--key", default="", help="API key (default: $TRUNKLINE_KEY)")
    _json(parser)
