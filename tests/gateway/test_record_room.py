"""New calls stay away from shards that are nearly full; where all are, they are refused, and nobody else."""

import pytest

from gateway.past_call import put
from gateway.scene import Scene, settle
from gateway.socket_scene import KEY, WALL_S, Server
from support.virtual import run_over_sockets, run_virtual
from trunkline.gateway.record_room import LOOK_S, RecordRoom
from trunkline.proto.errors import StageUnavailable
from trunkline.proto.ids import SHARDS, shard_of
from trunkline.record import MemoryRecordStore, ShardRoom, StoreUnavailable

LIMIT_BYTES = 1000


class Limited(MemoryRecordStore):
    """taken: of each shard's limit. away: it can't tell."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = dict.fromkeys(range(SHARDS), 0)
        self.away = False

    async def room(self) -> list[ShardRoom]:
        if self.away:
            raise StoreUnavailable("room", 1.0)
        return [ShardRoom(shard, taken, LIMIT_BYTES) for shard, taken in self.taken.items()]


class Watched(Scene):
    """`async with Watched() as scene`: its gateway looks at the record's room."""

    def __init__(self) -> None:
        super().__init__()
        self.store = Limited()
        self.room = RecordRoom(self.store, self.calls._shards.avoid)

    async def __aenter__(self) -> "Watched":
        await super().__aenter__()
        self.room.start()
        await settle()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.room.stop()
        await super().__aexit__(*error)

    def fill(self, *shards: int, taken: int = 900) -> None:
        self.store.taken |= dict.fromkeys(shards, taken)


def test_new_calls_go_to_shards_that_have_room() -> None:
    async def main() -> None:
        async with Watched() as scene:
            scene.fill(*range(1, SHARDS))
            await settle(LOOK_S + 1)
            calls = [(await scene.call())[0] for _ in range(4)]

            assert {shard_of(call.call_id) for call in calls} == {0}

    run_virtual(main())


def test_nine_tenths_is_full_and_less_is_not() -> None:
    async def main() -> None:
        async with Watched() as scene:
            scene.fill(*range(SHARDS), taken=899)
            await settle(LOOK_S + 1)
            await scene.call()
            scene.fill(*range(SHARDS), taken=900)
            await settle(LOOK_S + 1)

            with pytest.raises(StageUnavailable, match="no room"):
                await scene.call()

    run_virtual(main())


def test_a_call_that_goes_on_stays_and_new_ones_are_let_in_once_there_is_room() -> None:
    async def main() -> None:
        async with Watched() as scene:
            call, _ = await scene.call()
            scene.fill(*range(SHARDS))
            await settle(LOOK_S + 1)
            with pytest.raises(StageUnavailable):
                await scene.call()
            assert not call.ended
            scene.fill(3, taken=100)
            await settle(LOOK_S + 1)

            assert shard_of((await scene.call())[0].call_id) == 3

    run_virtual(main())


def test_what_is_known_stands_while_the_store_cant_tell() -> None:
    async def main() -> None:
        async with Watched() as scene:
            scene.fill(*range(1, SHARDS))
            await settle(LOOK_S + 1)
            scene.store.away = True
            await settle(3 * LOOK_S)

            assert shard_of((await scene.call())[0].call_id) == 0

    run_virtual(main())


def test_a_client_is_told_503_and_when_to_come_again() -> None:
    async def main() -> None:
        server = Server()
        server.store = store = Limited()
        store.taken = dict.fromkeys(range(SHARDS), LIMIT_BYTES)
        async with server:
            await settle(0.2)
            status, body, retry_after = await server.refused()

            assert (status, body["error"]["code"], retry_after) == (503, "overloaded", "30")
            assert "no room" in body["error"]["message"]

    run_over_sockets(main())


async def delete(server: Server, call: str) -> tuple[int, dict[str, object]]:
    async with server.client.delete(f"/v1/calls/{call}", headers={"Authorization": f"Bearer {KEY}"}) as answer:
        return answer.status, await answer.json()


def test_a_record_is_deleted_once_its_call_is_over() -> None:
    async def main() -> None:
        async with Server() as server:
            await put(server.store, "rtc_07_over", "lost")
            await put(server.store, "rtc_07_live")
            status, body = await delete(server, "rtc_07_live")
            assert (status, body["error"]["code"]) == (409, "call_is_live")  # type: ignore[index]  # JSON
            assert await delete(server, "rtc_07_over") == (200, {"call_id": "rtc_07_over", "deleted": True})

            assert (await delete(server, "rtc_07_over"))[0] == 404
            assert (await server.get("/v1/calls/rtc_07_over"))[0] == 404
            assert [line["call_id"] for line in (await server.get("/v1/calls"))[1]] == ["rtc_07_live"]

    run_over_sockets(main())


def test_a_gateway_forgets_calls_for_their_age_where_it_is_told_to() -> None:
    async def main() -> None:
        server = Server(record_kept_s=60.0)
        await put(server.store, "rtc_07_old", "lost")  # it ended in 1970
        async with server:
            assert server.wall_s == WALL_S
            await settle(7.0)

            assert (await server.get("/v1/calls"))[1] == []

    run_over_sockets(main())
