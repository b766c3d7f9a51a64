"""Console script trunkline-tts: joins the parts, nothing else."""

from trunkline.runtime.process import Context, run
from trunkline.tts.registry import open_engine
from trunkline.tts.service import TtsService
from trunkline.tts.settings import TtsSettings, check


def build(context: Context, settings: TtsSettings) -> TtsService:
    check(settings)
    return TtsService(context.exchange, settings, open_engine(settings))


def main() -> None:
    run("tts", TtsSettings, build)


if __name__ == "__main__":
    main()
