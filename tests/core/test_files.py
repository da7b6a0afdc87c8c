from __future__ import annotations

import pytest

from diskette.core.exceptions import Stopped
from diskette.core.files import printable, private_file, remove_tree
from tests.filesystems import mounted


def test_a_private_file_is_only_its_owners(tmp_path):
    with private_file(tmp_path / "part") as stream:
        stream.write(b"secret")

    assert (tmp_path / "part").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "part").read_bytes() == b"secret"


def test_a_private_file_left_by_a_stop_is_gone(tmp_path):
    with pytest.raises(Stopped), private_file(tmp_path / "part") as stream:
        stream.write(b"half of it")
        raise Stopped

    assert list(tmp_path.iterdir()) == []


def test_a_private_file_never_writes_through_a_link(tmp_path):
    (tmp_path / "victim").write_bytes(b"precious")
    (tmp_path / "part").symlink_to(tmp_path / "victim")

    with private_file(tmp_path / "part") as stream:
        stream.write(b"new")

    assert (tmp_path / "victim").read_bytes() == b"precious"


def test_a_removed_tree_takes_nothing_that_links_point_to(tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "link").symlink_to(tmp_path / "precious")

    remove_tree(tmp_path / "tree")
    remove_tree(tmp_path / "tree")

    assert (tmp_path / "precious" / "file").exists()
    assert not (tmp_path / "tree").exists()


def test_a_removed_tree_keeps_what_is_mounted_in_it(tmp_path):
    (tmp_path / "tree").mkdir()
    with mounted(tmp_path / "tree" / "other disk") as other:
        (other / "precious").touch()

        with pytest.raises(OSError, match="another filesystem is mounted there"):
            remove_tree(tmp_path / "tree")

        assert (other / "precious").exists()


def test_a_name_that_is_no_text_or_steers_a_terminal_is_escaped():
    assert printable("Ümläut 名.jpg") == "Ümläut 名.jpg"
    assert printable("caf\udce9.jpg") == "caf\\xe9.jpg"
    assert printable("red\x1b[31m\n") == "red\\x1b[31m\\n"
