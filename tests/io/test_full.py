"""A full disk: nothing half written is left, and it is said what."""

import errno
from pathlib import Path

import pytest

from xray2xray.core.errors import InputError, is_full
from xray2xray.io.files import atomic_path, whole
from xray2xray.parallel.usable import each


def full() -> OSError:
    return OSError(errno.ENOSPC, "No space left on device")


def write(path: Path, error: Exception) -> None:
    path.write_text("half")
    raise error


def test_a_file_that_did_not_fit_is_named_and_gone(tmp_path: Path) -> None:
    def half() -> None:
        with atomic_path(tmp_path / "a.txt") as part:
            write(part, full())

    with pytest.raises(OSError, match=r"the disk is full: .*a\.txt is not written"):
        half()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [full(), InputError("another")])
def test_only_a_full_disk_removes_a_folder(error: Exception, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    folder.mkdir()

    def half() -> None:
        with whole(folder):
            write(folder / "a.txt", error)

    with pytest.raises(type(error), match="study was incomplete and is removed" if is_full(error) else "another"):
        half()
    assert folder.exists() != is_full(error)


def test_a_batch_ends_where_the_disk_is_full() -> None:
    tried = []

    def work(item: int) -> None:
        tried.append(item)
        raise full()

    with pytest.raises(OSError) as found:
        each([1, 2, 3], work)
    assert is_full(found.value)
    assert tried == [1]
