"""Whatever a gateway tells a Realtime client in these tests is judged by the vendor's types."""

from collections.abc import Iterator

import pytest

from support.realtime_referee import refereed


@pytest.fixture(autouse=True)
def every_event_is_the_vendor_s() -> Iterator[None]:
    with refereed():
        yield
