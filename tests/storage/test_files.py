"""Files that are replaced: whole or not at all, and as whoever looks after the folder expects."""

import errno
import os
import resource
import signal
import stat
import tracemalloc
from pathlib import Path

import pytest

from sknpcnn._storage import files, storage
from tests.training.checkpointed import in_a_process

pytestmark = pytest.mark.thread_unsafe(reason="the umask and the clocks of files are everybody's")

fcntl = pytest.importorskip("fcntl")


def write(path, content=b"new"):
    with files.atomic_write(Path(path)) as file:
        file.write(content)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def umask():
    before = os.umask(0o027)
    yield
    os.umask(before)


# Reading


@pytest.mark.parametrize("buffered", [b"", b"a"])
def test_no_room_is_made_for_more_than_there_is(tmp_path, buffered):
    path = tmp_path / "file"
    path.write_bytes(content := buffered + bytes(range(256)) * 1000)
    with files.open_regular(path) as file:
        assert file.read(len(buffered)) == buffered
        tracemalloc.start()
        rest = file.read(10**9)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert rest == content[len(buffered) :]
        assert peak < 2 * len(content)
        assert file.read(10**9) == b""
        file.seek(0)
        assert file.read() == file.read(-1) + content
        file.seek(10**6)
        assert file.read(10**6) == b""


# Permissions and owners


@pytest.mark.usefixtures("umask")
def test_a_new_file_follows_the_umask_and_one_that_is_replaced_keeps_its_mode(tmp_path):
    path = tmp_path / "file"
    write(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    for mode in (0o600, 0o664, 0o444, 0o777):
        path.chmod(mode)
        write(path)
        assert stat.S_IMODE(path.stat().st_mode) == mode


def test_while_it_is_written_nobody_may_read_more_than_before(tmp_path):
    path = tmp_path / "file"
    path.touch()
    path.chmod(0o600)
    with files.atomic_write(path):
        (beside,) = tmp_path.glob(".sknpcnn-*")
        assert stat.S_IMODE(beside.stat().st_mode) & 0o077 == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only the administrator may give files away")
def test_a_file_that_is_replaced_keeps_its_owner(tmp_path):
    path = tmp_path / "file"
    path.touch()
    os.chown(path, 1234, 2345)
    path.chmod(0o640)
    write(path)
    found = path.stat()
    assert (found.st_uid, found.st_gid) == (1234, 2345)
    assert stat.S_IMODE(found.st_mode) == 0o640


def test_where_the_group_cannot_be_kept_another_group_gets_no_rights(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.touch()
    path.chmod(0o664)
    group, fstat = path.stat().st_gid, os.fstat

    def of_another_group(descriptor):
        found = list(fstat(descriptor))
        found[stat.ST_GID] = group + 1
        return os.stat_result(found)

    def refused(*args):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "fstat", of_another_group)
    monkeypatch.setattr(os, "fchown", refused)
    write(path)
    monkeypatch.undo()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


# Links, and what is no file


def test_a_link_stays_a_link_and_what_it_leads_to_is_replaced(tmp_path):
    (tmp_path / "far").mkdir()
    target, link, second = tmp_path / "far" / "file", tmp_path / "link", tmp_path / "second"
    target.write_bytes(b"old")
    link.symlink_to(Path("far") / "file")
    second.symlink_to("link")
    write(second)
    assert (link.is_symlink(), second.is_symlink()) == (True, True)
    assert target.read_bytes() == b"new"
    assert not target.is_symlink()
    assert names(tmp_path / "far") == ["file"]


def test_a_link_to_nowhere_makes_the_file(tmp_path):
    (tmp_path / "link").symlink_to("file")
    write(tmp_path / "link")
    assert (tmp_path / "file").read_bytes() == b"new"
    assert (tmp_path / "link").is_symlink()


def test_a_circle_of_links_is_an_error_that_names_the_path(tmp_path):
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    with pytest.raises(OSError, match="one") as caught:
        write(tmp_path / "one")
    assert caught.value.errno == errno.ELOOP
    assert names(tmp_path) == ["one", "two"]


def test_only_files_are_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="needed: a regular file, or none"):
        write(tmp_path / "pipe")
    with pytest.raises(IsADirectoryError, match="needed: a regular file, or none"):
        write(tmp_path)
    with pytest.raises(OSError, match="needed: a regular file, or none"):
        write(os.devnull)
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


def test_an_error_names_the_file_and_not_the_one_beside_it(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        write(tmp_path / "nowhere" / "file")
    assert caught.value.filename == str(tmp_path / "nowhere" / "file")


@pytest.mark.skipif(os.geteuid() == 0, reason="the administrator may write everywhere")
def test_a_folder_without_permission_to_write_is_an_error_that_names_the_file(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError) as caught:
        write(tmp_path / "file")
    assert caught.value.filename == str(tmp_path / "file")
    tmp_path.chmod(0o700)


def test_the_longest_name_that_is_legal_is_written(tmp_path):
    for name in ("n" * 251 + ".npz", "ü" * 127):
        write(tmp_path / name)
        assert (tmp_path / name).read_bytes() == b"new"
    with pytest.raises(OSError, match="nnn") as caught:
        write(tmp_path / ("n" * 256))
    assert caught.value.errno == errno.ENAMETOOLONG


def test_a_pipe_a_device_and_a_folder_are_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    kinds = {tmp_path / "pipe": "a named pipe", Path(os.devnull): "a device"}
    for path, kind in kinds.items():
        with (
            pytest.raises(ValueError, match=f"^{path}: is {kind}; needed: a regular file.$"),
            files.open_regular(path),
        ):
            pass
    with (
        pytest.raises(IsADirectoryError, match="needed: a regular file"),
        files.open_regular(tmp_path),
    ):
        pass


def test_what_has_become_a_pipe_since_it_was_looked_at_is_not_read(tmp_path, monkeypatch):
    path, plain_open = tmp_path / "file", os.open
    path.touch()

    def late(*args):
        path.unlink()
        os.mkfifo(path)
        return plain_open(*args)

    monkeypatch.setattr(os, "open", late)
    with pytest.raises(ValueError, match="needed: a regular file"), files.open_regular(path):
        pass


# What killed processes leave


def left_behind(folder, age, name=".sknpcnn-0123456789abcdef.tmp"):
    rest = folder / name
    rest.write_bytes(b"cut sh")
    then = rest.stat().st_mtime - age
    os.utime(rest, (then, then))
    return rest


def test_what_was_left_long_ago_is_removed_and_nothing_else(tmp_path):
    day = files.STALE_AFTER
    old, new = left_behind(tmp_path, day + 60), left_behind(tmp_path, day - 60, ".sknpcnn-1.tmp")
    others = [
        left_behind(tmp_path, 10 * day, name)
        for name in ("sknpcnn.npz", ".sknpcnn-notes", ".another.tmp", ".model.npz.1234.abcd")
    ]
    files.remove_stale(tmp_path)
    assert not old.exists()
    assert new.exists()
    assert all(other.exists() for other in others)


def test_what_somebody_writes_is_never_removed_however_old(tmp_path):
    path = tmp_path / "file"
    with files.atomic_write(path) as file:
        (beside,) = tmp_path.glob(".sknpcnn-*")
        os.utime(beside, (0, 0))
        files.remove_stale(tmp_path)
        assert beside.exists()
        file.write(b"new")
    assert path.read_bytes() == b"new"


def test_a_link_that_is_named_so_is_left_alone(tmp_path):
    precious = tmp_path / "precious"
    precious.touch()
    link = tmp_path / ".sknpcnn-0.tmp"
    link.symlink_to(precious)
    os.utime(link, (0, 0), follow_symlinks=False)
    files.remove_stale(tmp_path)
    assert precious.exists()


def test_cleaning_a_folder_that_is_not_there_does_nothing(tmp_path):
    files.remove_stale(tmp_path / "nowhere")


def test_a_process_that_was_killed_while_it_wrote_leaves_what_a_later_one_removes(tmp_path):
    def killed():
        with files.atomic_write(tmp_path / "file") as file:
            file.write(b"ne")
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)

    assert os.waitpid(in_a_process(killed), 0)[1] == signal.SIGKILL
    (rest,) = tmp_path.iterdir()
    files.remove_stale(tmp_path)
    assert rest.exists()  # on another machine somebody might still be writing it
    os.utime(rest, (0, 0))
    files.remove_stale(tmp_path)
    assert not rest.exists()


# Disks and rivals


def test_on_a_full_disk_the_old_file_stays_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def full():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        write(path, bytes(999))
        for size in (1001, 10**6):  # some of it waits in a buffer until the end
            with pytest.raises(OSError, match=f"{os.strerror(errno.EFBIG)}: '{path}'"):
                write(path, bytes(size))
            assert names(tmp_path) == ["file"]

    assert os.waitpid(in_a_process(full), 0)[1] == 0
    assert path.read_bytes() == bytes(999)


def test_of_two_processes_that_write_at_once_one_wins_whole(tmp_path):
    path, rounds = tmp_path / "file", 200

    def writer(byte):
        def task():
            for _ in range(rounds):
                write(path, byte * 100_000)

        return task

    processes = [in_a_process(writer(byte)) for byte in (b"a", b"b")]
    while processes:
        ended = [os.waitpid(process, os.WNOHANG) for process in processes]
        assert all(status == 0 for _, status in ended)
        processes = [p for p, (done, _) in zip(processes, ended, strict=True) if not done]
        if path.exists():
            content = path.read_bytes()
            assert content in (b"a" * 100_000, b"b" * 100_000)
    assert names(tmp_path) == ["file"]


def test_equal_content_makes_equal_bytes(tmp_path):
    for name in ("one", "two"):
        storage.write(tmp_path / name, {"a": 1}, {})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
