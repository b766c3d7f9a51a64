"""How long to wait before an endpoint is asked again. Pure but for the clock and chance."""

import random
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FIRST_WAIT_S = 0.25
LONGEST_WAIT_S = 2.0
RETRY_AFTER_LIMIT_S = 5.0  # a caller waits no longer for an endpoint's own word


def wait_s(failures: int, retry_after_s: float | None) -> float | None:
    """Before the next attempt, after so many. None: not worth it.

    Half of it by chance, so that the calls of a process don't come back together.
    """
    if retry_after_s is not None:
        return retry_after_s + random.uniform(0, FIRST_WAIT_S) if retry_after_s <= RETRY_AFTER_LIMIT_S else None
    longest_s = min(FIRST_WAIT_S * 2 ** (failures - 1), LONGEST_WAIT_S)
    return random.uniform(longest_s / 2, longest_s)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Source: RFC 9110, 10.2.3 (seconds or a date); `retry-after-ms` is OpenAI's own. None where nothing is said."""
    if (milliseconds := _number(headers.get("retry-after-ms", ""))) is not None:
        return milliseconds / 1000
    text = headers.get("Retry-After", "")
    if (seconds := _number(text)) is not None:
        return seconds
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _number(text: str) -> float | None:
    text = text.strip()
    return float(text) if text.replace(".", "", 1).isdecimal() and text.isascii() else None
