"""The `trunkline` command: parses, dispatches and turns errors into one line and an exit status.

0: done. 1: it couldn't be done. 2: what was asked for is unusable.
"""

import argparse
import importlib.metadata
import sys
from collections.abc import Sequence

from trunkline.cli import parser
from trunkline.cli.errors import CommandFailed
from trunkline.proto import WIRE
from trunkline.proto.errors import BadInput


def main() -> None:
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    try:
        if list(arguments) == ["--version"]:
            print(f"trunkline {importlib.metadata.version('trunkline')}, wire {WIRE}")
            return 0
        return _dispatch(parser.parse(arguments))
    except BadInput as error:
        return _refuse(error, 2)
    except CommandFailed as error:
        return _refuse(error, 1)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output went away, as in `trunkline calls | head`
        sys.stderr.close()
        return 0


def _refuse(error: Exception, status: int) -> int:
    print("trunkline:", " ".join(str(error).split()), file=sys.stderr)
    return status


def _dispatch(options: argparse.Namespace) -> int:
    # imported here: `trunkline ps` needs no numpy, and `trunkline --help` nothing at all
    match options.command:
        case "up":
            from trunkline.cli.up import up

            return up(options)
        case "call":
            from trunkline.cli.call import call

            return call(options)
        case "chaos":
            from trunkline.cli.chaos.command import chaos

            return chaos(options)
        case "load":
            from trunkline.cli.load.command import load

            return load(options)
        case "ps":
            from trunkline.cli.listing import ps

            return ps(options)
        case "calls":
            from trunkline.cli.listing import calls

            return calls(options)
        case "approvals":
            from trunkline.cli.approvals import approvals

            return approvals(options)
        case "backup":
            from trunkline.cli.backup import backup

            return backup(options)
        case "restore":
            from trunkline.cli.backup import restore

            return restore(options)
        case _:
            from trunkline.cli.show import show

            return show(options)


if __name__ == "__main__":
    main()
