"""trunkline-stt: wires the STT stage to its process."""

from trunkline.runtime.process import Context, run
from trunkline.stt.service import SttService
from trunkline.stt.settings import SttSettings


def build(context: Context, settings: SttSettings) -> SttService:
    return SttService(context.exchange, settings)


def main() -> None:
    run("stt", SttSettings, build)


if __name__ == "__main__":
    main()
