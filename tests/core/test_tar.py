from __future__ import annotations

import io
import subprocess
import tarfile
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diskette.core.exceptions import ForeignArchive
from diskette.core.tar import END, Header, Kind, TarReader, padding

names = st.text(
    st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=300
)
headers = st.builds(
    Header,
    name=names,
    kind=st.sampled_from([Kind.FILE]),
    size=st.integers(0, 2000),
    mode=st.integers(0, 0o7777),
    mtime=st.integers(-(2**62), 2**62),
    uid=st.integers(0, 2**40),
    gid=st.integers(0, 2**40),
    user=st.from_regex("[a-z]{0,31}", fullmatch=True),
    group=st.from_regex("[a-z]{0,31}", fullmatch=True),
    link=st.one_of(st.just(""), names),
)


def tar(*members: tuple[Header, bytes]) -> bytes:
    parts = [header.to_bytes() + content + padding(len(content)) for header, content in members]
    return b"".join(parts) + END


def read(raw: bytes) -> list[tuple[Header, bytes]]:
    reader = TarReader(io.BytesIO(raw), "a.tar", sparse=True)
    return [(header, reader.read(header.size)) for header in reader]


@given(st.lists(headers, max_size=4))
def test_what_is_read_is_what_was_written(found):
    members = [(header, b"x" * header.size) for header in found]

    assert read(tar(*members)) == members


def test_content_that_nobody_reads_is_passed_over():
    raw = tar((Header(name="a", size=3), b"abc"), (Header(name="b", size=2), b"de"))

    assert [header.name for header in TarReader(io.BytesIO(raw), "a.tar")] == ["a", "b"]


@st.composite
def sparse_headers(draw):
    end, extents = 0, []
    for hole, length in draw(
        st.lists(st.tuples(st.integers(0, 9), st.integers(1, 3)), max_size=60)
    ):
        extents.append((end + 512 * hole, 512 * length))
        end = sum(extents[-1])
    size = sum(length for _, length in extents)
    real_size = end + draw(st.integers(0, 2**40))
    kind = Kind.SPARSE
    return Header(name="a", kind=kind, size=size, extents=tuple(extents), real_size=real_size)


@given(sparse_headers())
def test_a_sparse_files_map_is_read_as_it_was_written(header):
    content = b"x" * header.size

    assert read(tar((header, content))) == [(header, content)]
    with tarfile.open(fileobj=io.BytesIO(tar((header, content)))) as other:
        assert other.getmember("a").size == header.real_size


@pytest.mark.parametrize(
    ("extents", "size", "real_size"),
    [
        (((0, 512), (0, 512)), 1024, 4096),
        (((512, 512),), 512, 1000),
        (((0, 512),), 1024, 4096),
        (((0, 0), (512, 512)), 512, 4096),
        (tuple((1024 * n, 512) for n in range(1001)), 512 * 1001, 1 << 30),
    ],
    ids=["overlap", "beyond the end", "another size", "an empty one", "too many"],
)
def test_a_sparse_file_that_contradicts_itself_is_damaged(extents, size, real_size):
    header = Header(name="a", kind=Kind.SPARSE, size=size, extents=extents, real_size=real_size)

    with pytest.raises(ForeignArchive, match="a sparse file"):
        read(tar((header, b"x" * size)))


def test_tar_makes_the_holes_of_a_sparse_file(tmp_path):
    extents = tuple((8192 * number, 4096) for number in range(30))
    header = Header(
        name="a", kind=Kind.SPARSE, size=30 * 4096, mode=0o644, extents=extents, real_size=20 << 30
    )
    (tmp_path / "a.tar").write_bytes(tar((header, b"x" * header.size)))

    subprocess.run(["tar", "xf", "a.tar"], cwd=tmp_path, check=True)

    found = (tmp_path / "a").stat()
    assert found.st_size == 20 << 30
    assert found.st_blocks * 512 <= 31 * 4096
    with (tmp_path / "a").open("rb") as file:
        assert file.read(30 * 8192) == (b"x" * 4096 + bytes(4096)) * 30


def test_other_programs_read_the_same(tmp_path):
    long = "long/" * 40 + "n\udce4me"
    members = [
        (Header(name="d/", kind=Kind.DIRECTORY, mode=0o755), b""),
        (Header(name=long, size=4, mtime=-1), b"text"),
        (Header(name="link", kind=Kind.LINK, link="to/" * 50), b""),
        (Header(name="hard", kind=Kind.HARD_LINK, link=long), b""),
    ]
    path = tmp_path / "a.tar"
    path.write_bytes(tar(*members))

    with tarfile.open(path, encoding="utf-8", errors="surrogateescape") as found:
        assert [member.name for member in found] == ["d", long, "link", "hard"]
        assert found.getmembers()[2].linkname == "to/" * 50
        assert found.getmembers()[1].mtime == -1
    subprocess.run(["tar", "xf", path, "-C", tmp_path], check=True)
    assert (tmp_path / long).read_bytes() == b"text"
    assert (tmp_path / long).samefile(tmp_path / "hard")


def test_a_content_of_many_gigabytes_has_its_size(tmp_path):
    size = 10**13
    header = Header(name="video", size=size).to_bytes()

    (found,) = [next(iter(TarReader(io.BytesIO(header), "a.tar")))]

    assert found.size == size
    assert tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape").size == size


def test_what_tar_writes_is_read_whatever_its_format(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    for style in ("gnu", "ustar"):
        raw = subprocess.run(
            ["tar", "c", f"--format={style}", "-C", tmp_path, "file"],
            check=True,
            capture_output=True,
        ).stdout

        ((header, content),) = read(raw)

        assert (header.name, header.kind, content) == ("file", Kind.FILE, b"content")


def test_pax_headers_are_named_never_obeyed(tmp_path):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as made:
        info = tarfile.TarInfo("harmless")
        info.pax_headers = {"path": "../../etc/passwd"}
        made.addfile(info)

    kinds = [header.kind_name for header, _ in read(stream.getvalue())]
    assert kinds[0] == "a pax header"
    assert Header(name="a", kind="S").kind_name == "a sparse file"


@pytest.mark.parametrize("length", range(0, 2560, 37))
def test_a_tar_file_that_is_cut_off_is_refused(length):
    raw = tar((Header(name="a", size=700), b"x" * 700))
    assert len(raw) == 512 + 1024 + 1024

    with pytest.raises(ForeignArchive, match=rf"a\.tar: it is cut off: it ends after {length:,} "):
        read(raw[:length])


def damaged(**changes: bytes) -> bytes:
    """A header with some of its fields overwritten and its checksum right."""
    fields = {"name": 0, "size": 124, "kind": 156, "magic": 257}
    block = bytearray(Header(name="a").to_bytes())
    for field, value in changes.items():
        block[fields[field] : fields[field] + len(value)] = value
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize(
    ("raw", "cause"),
    [
        (b"x" * 512, "a wrong checksum"),
        (b"\xff" * 512, "a wrong checksum"),
        (damaged(magic=b"\0" * 8), "a header of an unknown format"),
        (damaged(name=b"\0" * 100), "a member without a name"),
        (damaged(size=b"-0000000001\0"), "a number that is none"),
        (damaged(size=b"\xff" * 12), "of an impossible size"),
        (damaged(size=b"\x80" + b"\xff" * 11), "of an impossible size"),
        (damaged(kind=b"2", size=b"00000000001\0"), "a symbolic link that has a content"),
        (damaged(kind=b"L", size=b"77777777777\0"), "a name of an impossible length"),
        (damaged(kind=b"L", size=b"00000000000\0"), "a name of an impossible length"),
        (tar((Header(name="x" * 200), b""))[:1024] + END, "a long name without its member"),
        (tar((Header(name="x" * 200), b""))[:1024] * 2 + END, "a name of an impossible length"),
        (END[:512] + damaged() + END, "a member after the end"),
        (END + b"garbage", "more bytes after the end"),
        (END + bytes(10240), "more bytes after the end"),
    ],
)
def test_a_damaged_tar_file_is_refused_with_its_cause(raw, cause):
    with pytest.raises(ForeignArchive, match=cause):
        read(raw)


@given(st.binary(max_size=3000), st.integers(0, 1000))
def test_no_bytes_whatever_end_otherwise_than_in_an_archive_error(noise, offset):
    raw = bytearray(tar((Header(name="x" * 150, size=300), b"y" * 300), (Header(name="b"), b"")))
    raw[offset : offset + len(noise)] = noise

    with suppress(ForeignArchive):
        read(bytes(raw))
