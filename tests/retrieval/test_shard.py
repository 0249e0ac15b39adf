from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.shard import copy_shard

BLOCK = 1 << 16
PIECES = [b"", b"x", bytes(1), bytes(BLOCK - 1), bytes(BLOCK), bytes(2 * BLOCK), b"x" * BLOCK]


@given(pieces=st.lists(st.sampled_from(PIECES), max_size=6))
def test_a_copy_has_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]
) -> None:
    folder = tmp_path_factory.mktemp("shards")
    inner = folder / "old" / "segments"
    inner.mkdir(parents=True)
    (inner / "page").write_bytes(b"".join(pieces))
    copy_shard(folder / "old", folder / "new")
    assert (folder / "new/segments/page").read_bytes() == b"".join(pieces)


def test_holes_take_no_room_in_a_copy(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    with (tmp_path / "old/page").open("wb") as file:
        file.write(b"x")
        file.truncate(1 << 25)
    copy_shard(tmp_path / "old", tmp_path / "new")
    status = (tmp_path / "new/page").stat()
    assert status.st_size == 1 << 25
    assert status.st_blocks * 512 <= 2 * BLOCK
