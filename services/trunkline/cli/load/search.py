"""The highest number of calls that is carried: doubles until a run fails, then halves what lies between. Pure.

What one number fails, every higher one is taken to fail: a single noisy run can end the search too low, never too high.
"""

from collections.abc import Awaitable, Callable

FINE = 0.05  # as near to each other as this, no number between is tried
LEAST_STEP = 1


async def highest(keeps: Callable[[int], Awaitable[bool]], first: int, limit: int) -> int:
    """keeps: whether a run with so many calls holds. first: where to begin. 0 when not even one call holds."""
    held, failed = 0, limit + 1
    calls = first
    while True:
        if await keeps(calls):
            held = calls
        else:
            failed = calls
        if failed - held <= max(LEAST_STEP, int(held * FINE)):
            return held
        calls = min(2 * calls, limit) if failed > limit and held < limit else (held + failed) // 2
