from __future__ import annotations

import hashlib
import io
import os
import subprocess
import threading
from itertools import accumulate

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from diskette.core.checksum import Tally
from diskette.core.exceptions import ArchiveError, Stopped
from diskette.core.frames import FrameReader, FrameWriter, MendingFrames, ThreadedFrameWriter
from diskette.core.relay import Aside
from tests import servers

DENSE = os.urandom(300_000)
PLAIN = b"the same words again and again " * 10_000


def written(*chunks: bytes) -> bytes:
    stream = io.BytesIO()
    writer = FrameWriter(Tally(stream))
    for chunk in chunks:
        writer.write(chunk)
    digest = writer.close()
    raw = stream.getvalue()
    assert (digest.size, digest.hex) == (len(raw), hashlib.sha256(raw).hexdigest())
    return raw


def reader(raw: bytes) -> FrameReader:
    return FrameReader(io.BytesIO(raw), archive="shop.tar", member="storages/media.tar.zst")


def read(raw: bytes) -> bytes:
    frames = reader(raw)
    return b"".join(iter(lambda: frames.read(100_000), b""))


@given(st.lists(st.one_of(st.binary(max_size=5000), st.sampled_from([DENSE, PLAIN])), max_size=6))
def test_what_is_read_is_what_was_written(chunks):
    assert read(written(*chunks)) == b"".join(chunks)


@pytest.mark.parametrize("chunks", [[], [b""], [DENSE], [PLAIN, DENSE, b"x", DENSE, PLAIN]])
def test_the_zstd_program_reads_it(chunks):
    zstd = servers.program("zstd")
    found = subprocess.run([zstd, "-d"], input=written(*chunks), check=True, capture_output=True)

    assert found.stdout == b"".join(chunks)


def test_plain_bytes_are_squeezed_and_dense_ones_take_no_more_than_they_are():
    assert len(written(PLAIN)) < len(PLAIN) / 50
    assert len(written(DENSE)) < len(DENSE) * 1.0001


def test_damage_is_an_archive_error_that_names_the_member():
    with pytest.raises(ArchiveError, match=r"shop\.tar: storages/media\.tar\.zst is damaged"):
        read(written(PLAIN) + b"garbage")


def test_a_frame_that_asks_for_a_gigabyte_of_memory_is_refused():
    greedy = zstandard.ZstdCompressionParameters(window_log=30, enable_ldm=True)
    compressor = zstandard.ZstdCompressor(compression_params=greedy).compressobj()
    bomb = compressor.compress(b"a" * 100) + compressor.flush()

    with pytest.raises(ArchiveError, match="requires too much memory"):
        read(bomb)


def test_a_bomb_is_not_unpacked_beyond_what_is_asked_for():
    bomb = zstandard.ZstdCompressor().compress(bytes(1 << 30))

    assert len(reader(bomb).read(1000)) == 1000


def test_lines_come_whole_across_frames():
    lines = [b'{"path": "%d"}' % number for number in range(50_000)]

    found = list(reader(written(*(line + b"\n" for line in lines))).lines(longest=100))

    assert found == lines


def test_a_line_longer_than_any_should_be_is_refused_before_it_fills_the_memory():
    bomb = zstandard.ZstdCompressor().compress(b"x" * (1 << 28))

    with pytest.raises(ArchiveError, match="a line too long"):
        list(reader(bomb).lines(longest=1000))


def test_a_last_line_that_is_cut_off_is_refused():
    with pytest.raises(ArchiveError, match="its last line is cut off"):
        list(reader(written(b"one\ntwo")).lines(longest=100))


def written_in_a_thread(target, *chunks: bytes) -> None:
    with Aside() as aside:
        writer = ThreadedFrameWriter(Tally(target), aside)
        for chunk in chunks:
            writer.write(chunk)
        writer.close()


def test_a_thread_writes_the_same():
    # More than the thread can squeeze meanwhile, so that the caller takes part.
    chunks = [PLAIN, DENSE, b"x", DENSE, PLAIN, *[b"word " * 20] * 9000] * 30
    stream = io.BytesIO()

    written_in_a_thread(stream, *chunks)

    assert stream.getvalue() == written(*chunks)


def test_a_disk_that_is_full_while_a_thread_squeezes_is_told_to_the_caller(small_disk):
    with (
        pytest.raises(OSError, match="No space left"),
        (small_disk / "video").open("wb", buffering=0) as stream,
    ):
        written_in_a_thread(stream, *[DENSE] * 50)


def test_no_thread_is_left_when_the_caller_stops():
    before = threading.active_count()

    with pytest.raises(Stopped), Aside() as aside:
        writer = ThreadedFrameWriter(Tally(io.BytesIO()), aside)
        for _ in range(10):
            writer.write(DENSE)
        raise Stopped

    assert threading.active_count() == before


def mended(raw: bytes) -> bytes:
    frames = MendingFrames(io.BytesIO(raw))
    return b"".join(iter(lambda: frames.read(100_000), b""))


def differing(one: bytes, other: bytes) -> range:
    """Where two contents of the same length begin and cease to differ."""
    assert len(one) == len(other)
    places = [place for place in range(len(one)) if one[place] != other[place]]
    return range(places[0], places[-1] + 1) if places else range(0)


def head_bytes(frame: bytes) -> int:
    """Of what says how long the content is: beyond it, the rest is found again.

    A stored frame's first block says it, in three bytes (RFC 8878, section 3.1.1.2).
    """
    size = zstandard.get_frame_parameters(frame).content_size
    is_stored = size == zstandard.CONTENTSIZE_UNKNOWN
    return zstandard.frame_header_size(frame) + (3 if is_stored else 0)


CHUNKS = [PLAIN * 5, DENSE, os.urandom(5000), PLAIN * 5, DENSE]


@given(st.lists(st.one_of(st.binary(max_size=5000), st.sampled_from([DENSE, PLAIN])), max_size=6))
def test_what_is_whole_needs_no_mending(chunks):
    assert mended(written(*chunks)) == b"".join(chunks)


@given(st.data())
def test_a_flipped_byte_costs_one_frame_or_what_comes_after_its_beginning(data):
    frames, content = [written(each) for each in CHUNKS], b"".join(CHUNKS)
    raw = bytearray(b"".join(frames))
    assert bytes(raw) == written(*CHUNKS)
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    ends = list(accumulate(map(len, frames)))
    hit = next(number for number, end in enumerate(ends) if place < end)
    before, after = b"".join(CHUNKS[:hit]), b"".join(CHUNKS[hit + 1 :])

    found = mended(bytes(raw))

    assert found.startswith(before)
    is_head = place - (ends[hit] - len(frames[hit])) < head_bytes(frames[hit])
    assert is_head or (len(found) == len(content) and found.endswith(after))


@pytest.mark.parametrize("place", [6, 7, 8, 131_081])
def test_a_stored_frame_whose_blocks_are_destroyed_is_passed_over(place):
    raw = bytearray(written(DENSE, PLAIN, DENSE))
    raw[place] ^= 0xFF

    found = mended(bytes(raw))

    assert len(found) == len(DENSE + PLAIN + DENSE)
    assert found.endswith(PLAIN + DENSE)


def test_zeros_in_place_of_a_part_cost_what_they_hide():
    first, second, third = (written(each) for each in (PLAIN, DENSE, PLAIN))
    raw = first + bytes(len(second)) + third

    assert mended(raw) == PLAIN

    first, second, third = second, first, second
    hole = len(first) // 2
    raw = first[:hole] + bytes(4096) + first[hole + 4096 :] + second + third
    found = mended(raw)
    assert found.endswith(PLAIN + DENSE)
    assert len(differing(found, DENSE + PLAIN + DENSE)) <= 4096


@pytest.mark.parametrize("raw", [b"", b"garbage" * 1000, bytes(100_000), b"\x28\xb5\x2f\xfd" * 9])
def test_what_has_no_frame_has_no_content(raw):
    assert mended(raw) == b""


def test_a_frame_that_claims_to_hold_a_terabyte_is_not_believed():
    bomb = zstandard.ZstdCompressor().compress(bytes(50 << 20))
    assert mended(bomb + written(PLAIN)) == b""
