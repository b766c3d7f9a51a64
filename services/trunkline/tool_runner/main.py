"""The tool runner's process."""

from typing import NoReturn

from trunkline.runtime.process import run
from trunkline.tool_runner.service import ToolRunnerService, ToolRunnerSettings


def main() -> NoReturn:
    run("tool_runner", ToolRunnerSettings, ToolRunnerService)


if __name__ == "__main__":
    main()
