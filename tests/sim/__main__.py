"""`python -m sim --from N --seeds N`: histories in several processes; a failing seed is printed with how to replay it.

One seed alone is told in full: what was planned, what was violated, and the call's record.
"""

import argparse
import os
import subprocess
import sys
import time

from sim.history import FAULTY, plan
from trunkline.proto.subjects import Stage

ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}  # of numpy: threads that wait for more work burn what they wait for

UNSERVED = 0.02  # of callers; a promise to somebody who never had a call is kept by whatever happens


def main() -> int:
    parser = argparse.ArgumentParser(prog="sim")
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--stages", type=_stages, default=FAULTY, help="in which faults happen, such as agent,stt")
    parser.add_argument("--slice", default="", help="of a worker process: its number")
    wanted = parser.parse_args()
    if wanted.seeds == 1:
        return _tell(wanted.first, wanted.stages)
    if wanted.slice:
        seeds = range(wanted.first + int(wanted.slice), wanted.first + wanted.seeds, wanted.processes)
        return _work(seeds, wanted.stages)
    return _share(wanted)


def replay(seed: int, stages: tuple[Stage, ...]) -> str:
    """The command that tells this history."""
    return f"make sim SEEDS=1 FROM={seed}" + ("" if stages == FAULTY else f" STAGES={','.join(stages)}")


def _stages(given: str) -> tuple[Stage, ...]:
    """In the order given: a seed chooses among them by it."""
    names = given.split(",")
    stages = tuple(stage for name in names for stage in FAULTY if stage == name)
    if len(stages) < len(names):
        raise argparse.ArgumentTypeError(f"{given}: not of {','.join(FAULTY)}")
    return stages


def _share(wanted: argparse.Namespace) -> int:
    begun_s = time.monotonic()
    command = [sys.executable, "-m", "sim", "--from", str(wanted.first), "--seeds", str(wanted.seeds)]
    command += ["--stages", ",".join(wanted.stages)]
    command += ["--processes", str(wanted.processes), "--slice"]
    working = [
        subprocess.Popen([*command, str(number)], env={**os.environ, **ONE_THREAD})
        for number in range(wanted.processes)
    ]
    failed = sum(process.wait() != 0 for process in working)
    result = "violations" if failed else "no violation"
    print(f"{wanted.seeds} histories from seed {wanted.first}: {result}, {time.monotonic() - begun_s:.0f} s")
    return 1 if failed else 0


def _work(seeds: range, stages: tuple[Stage, ...]) -> int:
    from sim.run import at_ease, simulate

    failed = unserved = 0
    with at_ease():
        for seed in seeds:
            outcome = simulate(plan(seed, stages))
            unserved += bool(outcome.evidence.run.refused)
            if outcome.violations:
                failed += 1
                first = outcome.violations[0]
                print(f"{replay(seed, stages)}: {first.invariant}: {first.detail[:200]}", flush=True)
    if unserved > 1 + UNSERVED * len(seeds):
        print(f"{unserved} of {len(seeds)} callers were served by nobody: what they prove is worth nothing", flush=True)
    return 1 if failed or unserved > 1 + UNSERVED * len(seeds) else 0


def _tell(seed: int, stages: tuple[Stage, ...]) -> int:
    from sim.run import simulate
    from sim.told import tell

    outcome = simulate(plan(seed, stages))
    print(tell(outcome))
    return 1 if outcome.violations else 0


if __name__ == "__main__":
    sys.exit(main())
