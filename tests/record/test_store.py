import asyncio

import pytest

from trunkline.proto.record import CallSummary
from trunkline.record import EntryTooLarge, WrongSequence

from .conftest import OpenStore


def test_entries_come_back_in_order(open_store: OpenStore, call: str) -> None:
    async def main() -> None:
        async with open_store() as store:
            first = await store.append(call, b"one", expected_seq=0, entry=f"{call}_1")
            second = await store.append(call, b"two", expected_seq=first, entry=f"{call}_2")

            read = await store.read(call)

            assert [(first, f"{call}_1", b"one"), (second, f"{call}_2", b"two")] == [tuple(entry[:3]) for entry in read]

    asyncio.run(main())


def test_entries_are_read_on_behind_one_that_is_known(open_store: OpenStore, call: str) -> None:
    async def main() -> None:
        async with open_store() as store:
            first = await store.append(call, b"one", expected_seq=0, entry=f"{call}_1")
            second = await store.append(call, b"two", expected_seq=first, entry=f"{call}_2")
            await store.append(call.replace("rtc_07", "rtc_08"), b"other", expected_seq=0, entry=f"{call}_3")

            assert [entry.data for entry in await store.read(call, after_seq=first)] == [b"two"]
            assert await store.read(call, after_seq=second) == []

    asyncio.run(main())


def test_an_unknown_call_has_no_entries(open_store: OpenStore, call: str) -> None:
    async def main() -> None:
        async with open_store() as store:
            assert await store.read(call) == []

    asyncio.run(main())


def test_an_append_after_another_writer_is_refused_and_leaves_no_trace(open_store: OpenStore, call: str) -> None:
    async def main() -> None:
        async with open_store() as store:
            seq = await store.append(call, b"one", expected_seq=0, entry=f"{call}_1")

            with pytest.raises(WrongSequence) as refused:
                await store.append(call, b"stale", expected_seq=0, entry=f"{call}_2")

            assert (0, seq) == (refused.value.expected_seq, refused.value.found_seq)
            assert [entry.data for entry in await store.read(call)] == [b"one"]

    asyncio.run(main())


def test_an_append_behind_the_owner_is_one_like_others(open_store: OpenStore, call: str) -> None:
    async def main() -> None:
        async with open_store() as store:
            seq = await store.append(call, b"one", expected_seq=0, entry=f"{call}_1")

            with pytest.raises(WrongSequence):
                await store.append_behind_owner(call, b"stale", expected_seq=0, entry=f"{call}_2")
            behind = await store.append_behind_owner(call, b"two", expected_seq=seq, entry=f"{call}_3")
            again = await store.append_behind_owner(call, b"two", expected_seq=seq, entry=f"{call}_3")
            with pytest.raises(EntryTooLarge):
                store.append_behind_owner(call, bytes(2 * 1024 * 1024), expected_seq=behind, entry=f"{call}_4")

            assert behind == again
            assert [(entry.seq, entry.data) for entry in await store.read(call)] == [(seq, b"one"), (behind, b"two")]

    asyncio.run(main())


def test_an_entry_appended_twice_is_stored_once(open_store: OpenStore, call: str) -> None:
    async def main() -> None:
        async with open_store() as store:
            first = await store.append(call, b"one", expected_seq=0, entry=f"{call}_1")

            again = await store.append(call, b"one", expected_seq=0, entry=f"{call}_1")

            assert first == again
            assert len(await store.read(call)) == 1

    asyncio.run(main())


def test_of_writers_that_race_exactly_one_wins(open_store: OpenStore, call: str) -> None:
    async def main() -> None:
        async with open_store() as store:
            appends = [store.append(call, b"mine", expected_seq=0, entry=f"{call}_{n}") for n in range(20)]
            results = await asyncio.gather(*appends, return_exceptions=True)

            won = [result for result in results if isinstance(result, int)]
            assert len(won) == 1
            assert all(isinstance(result, WrongSequence) for result in results if not isinstance(result, int))
            assert len(await store.read(call)) == 1

    asyncio.run(main())


def test_calls_do_not_see_each_other(open_store: OpenStore, call: str) -> None:
    async def main() -> None:
        async with open_store() as store:
            other = call.replace("rtc_07", "rtc_08")
            await store.append(call, b"one", expected_seq=0, entry=f"{call}_1")
            await store.append(other, b"two", expected_seq=0, entry=f"{call}_2")

            assert [entry.data for entry in await store.read(call)] == [b"one"]
            assert [entry.data for entry in await store.read(other)] == [b"two"]

    asyncio.run(main())


def test_a_long_record_is_read_whole(open_store: OpenStore, call: str) -> None:
    async def main() -> None:
        async with open_store() as store:
            seq = 0
            for n in range(600):
                seq = await store.append(call, str(n).encode(), expected_seq=seq, entry=f"{call}_{n}")

            assert [str(n).encode() for n in range(600)] == [entry.data for entry in await store.read(call)]

    asyncio.run(main())


def test_an_entry_over_the_limit_is_refused_at_once(open_store: OpenStore, call: str) -> None:
    async def main() -> None:
        async with open_store() as store:
            with pytest.raises(EntryTooLarge):
                store.append(call, bytes(2 * 1024 * 1024), expected_seq=0, entry=f"{call}_1")

    asyncio.run(main())


def test_the_index_holds_the_last_line_of_each_call_latest_start_first(open_store: OpenStore, call: str) -> None:
    async def main() -> None:
        async with open_store() as store:
            earlier = CallSummary(call, "frontdesk", started_us=10**15)
            later = CallSummary(f"{call}b", "frontdesk", started_us=2 * 10**15)
            await store.put_summary(earlier)
            await store.put_summary(later)
            ended = CallSummary(call, "frontdesk", started_us=10**15, ended_us=3 * 10**15, turns=2, status="ended")
            await store.put_summary(ended)

            lines = [line for line in await store.summaries() if line.call.startswith(call)]

            assert [later, ended] == lines

    asyncio.run(main())
