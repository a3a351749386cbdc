"""Folders and files as they are met: links, pipes, odd names, things that change."""

from __future__ import annotations

import errno
import os
import socket
import tempfile
import time
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from image_files import gradient, noise, reason, saved

from nearsight.core.errors import InputError, PictureError
from nearsight.core.events import Skipped
from nearsight.data.images import Found, Limits, decode, read, walk
from nearsight.data.images import folders as folders_module

PICTURE = saved(gradient(), "PNG")


@pytest.fixture(autouse=True)
def _no_file_left_open() -> Iterator[None]:
    before = psutil.Process().num_fds()
    yield
    assert psutil.Process().num_fds() <= before


def found(root: Path, **options: bool) -> list[str]:
    return [str(f.path.relative_to(root)) for f in walk(root, **options) if isinstance(f, Found)]


def skipped(root: Path, **options: bool) -> dict[str, str]:
    left_out = [f for f in walk(root, **options) if isinstance(f, Skipped)]
    assert all(s.why and s.code.startswith("picture/") for s in left_out)
    return {str(Path(s.path).relative_to(root)): s.code.removeprefix("picture/") for s in left_out}


def put(path: Path, content: bytes = PICTURE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


# --- order and facts


def test_order_is_that_of_the_bytes_of_names(tmp_path: Path) -> None:
    names = ["b/x", "B", "a", "a b", "é", "z", "b/a/c", "aa", "10", "9", "\U0001f600"]
    for name in names:
        put(tmp_path / name)
    parts = [tuple(os.fsencode(part) for part in name.split("/")) for name in names]
    expected = [b"/".join(p).decode() for p in sorted(parts)]
    assert found(tmp_path) == expected == found(tmp_path)


def test_facts_of_a_file(tmp_path: Path) -> None:
    path = put(tmp_path / "a.png")
    (only,) = walk(tmp_path)
    status = path.stat()
    times = (status.st_mtime_ns, status.st_ctime_ns)
    assert only == Found(path, status.st_size, *times, status.st_dev, status.st_ino)


def test_hidden_files_and_folders_are_named_once(tmp_path: Path) -> None:
    put(tmp_path / ".git" / "objects" / "a")
    put(tmp_path / ".DS_Store")
    put(tmp_path / "a")
    assert found(tmp_path) == ["a"]
    assert skipped(tmp_path) == {".git": "hidden", ".DS_Store": "hidden"}


def test_a_root_that_is_no_folder(tmp_path: Path) -> None:
    for root in (tmp_path / "none", put(tmp_path / "file"), Path("a\0b")):
        with pytest.raises(InputError, match="cannot be listed"):
            walk(root)


def test_a_hidden_root_and_a_linked_root_are_fine(tmp_path: Path) -> None:
    put(tmp_path / ".real" / "a")
    (tmp_path / "link").symlink_to(".real")
    assert found(tmp_path / ".real") == ["a"]
    assert found(tmp_path / "link", follow_links=True) == ["a"]


# --- names


def test_odd_names(tmp_path: Path) -> None:
    names = [
        b"\xff\xfe not utf-8.png",
        b"x" * 255,
        b"line\nbreak.png",
        b"-rf",
        "‮gnp.exe".encode(),  # shown from right to left
        unicodedata.normalize("NFC", "é").encode(),
        unicodedata.normalize("NFD", "é").encode(),
        b" ",
        b"*?[a]",
        b"\\",
        b"$(reboot)",
    ]
    for name in names:
        (tmp_path / os.fsdecode(name)).write_bytes(PICTURE)
    items = [f for f in walk(tmp_path) if isinstance(f, Found)]
    assert [os.fsencode(f.path.name) for f in items] == sorted(names)
    assert all(decode(read(f.path)).size == (48, 32) for f in items)


def test_odd_names_in_errors_can_be_printed(tmp_path: Path) -> None:
    for name in (b"\xff.png", b"line\nbreak", "‮gnp.exe".encode()):
        path = tmp_path / os.fsdecode(name)
        path.write_bytes(b"no picture")
        with pytest.raises(PictureError) as caught:
            read(path)
        assert "\n" not in caught.value.message
        assert "‮" not in caught.value.message
        caught.value.message.encode("utf-8")
        assert any(part in caught.value.message for part in ("png", "break", "gnp"))


def test_a_path_longer_than_the_system_allows(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        for _ in range(20):
            os.mkdir("d" * 250, dir_fd=descriptor)
            deeper = os.open("d" * 250, os.O_RDONLY, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = deeper
    finally:
        os.close(descriptor)
    put(tmp_path / "z")
    assert found(tmp_path) == ["z"]
    (why,) = set(skipped(tmp_path).values())
    assert why in ("unreadable", "unreadable-folder")


def test_deeper_than_python_recurses(tmp_path: Path) -> None:
    folders = [tmp_path]
    for _ in range(1200):
        folders.append(folders[-1] / "d")
        folders[-1].mkdir()
    picture = put(folders[-1] / "a")
    try:
        assert len(found(tmp_path)) == 1
    finally:
        picture.unlink()
        for folder in reversed(folders[1:]):
            folder.rmdir()


# --- links


def test_links_are_left_out_and_named(tmp_path: Path) -> None:
    put(tmp_path / "real" / "a")
    (tmp_path / "file").symlink_to("real/a")
    (tmp_path / "folder").symlink_to("real")
    (tmp_path / "broken").symlink_to("nothing")
    assert found(tmp_path) == ["real/a"]
    assert skipped(tmp_path) == dict.fromkeys(("file", "folder", "broken"), "link")


def test_followed_links(tmp_path: Path) -> None:
    put(tmp_path / "real" / "a")
    (tmp_path / "file").symlink_to("real/a")
    (tmp_path / "folder").symlink_to("real")
    (tmp_path / "broken").symlink_to("nothing")
    assert found(tmp_path, follow_links=True) == ["file", "folder/a", "real/a"]
    assert skipped(tmp_path, follow_links=True) == {"broken": "vanished"}


def test_link_loops(tmp_path: Path) -> None:
    put(tmp_path / "d" / "a")
    (tmp_path / "d" / "up").symlink_to("..")
    (tmp_path / "d" / "self").symlink_to(".")
    (tmp_path / "x").symlink_to("y")
    (tmp_path / "y").symlink_to("x")
    assert found(tmp_path, follow_links=True) == ["d/a"]
    assert skipped(tmp_path, follow_links=True) == dict.fromkeys(("d/up", "d/self", "x", "y"), "link-loop")


def test_links_that_would_multiply(tmp_path: Path) -> None:
    for level in range(12):  # 2 ** 12 ways to the one file
        for name in ("a", "b"):
            path = tmp_path / f"level{level:02}" / name
            path.parent.mkdir(exist_ok=True)
            path.symlink_to(f"../level{level + 1:02}")
    put(tmp_path / "level12" / "picture")
    assert len(found(tmp_path, follow_links=True)) == 2
    assert set(skipped(tmp_path, follow_links=True).values()) == {"link-again"}


def test_links_out_of_the_root_are_refused(tmp_path: Path) -> None:
    put(tmp_path / "outside" / "secret")
    put(tmp_path / "root-but-longer" / "secret")
    root = tmp_path / "root"
    put(root / "a")
    (root / "absolute").symlink_to("/etc/hostname")
    (root / "folder").symlink_to(tmp_path / "outside")
    (root / "prefix").symlink_to(tmp_path / "root-but-longer")
    (root / "chain").symlink_to("folder/secret")
    assert found(root, follow_links=True) == ["a"]
    assert set(skipped(root, follow_links=True).items()) == {
        (name, "link-outside") for name in ("absolute", "folder", "prefix", "chain")
    }


def test_read_refuses_links_when_told_to(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(put(tmp_path / "a"))
    assert read(link) == PICTURE
    assert reason(lambda: read(link, follow_links=False)) == "link"


# --- what is no file


@pytest.fixture
def special() -> Iterator[dict[str, Path]]:
    with tempfile.TemporaryDirectory() as name:  # short: the path of a socket has 108 bytes
        folder = Path(name)
        os.mkfifo(folder / "pipe")
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(folder / "socket"))
            yield {"pipe": folder / "pipe", "socket": folder / "socket"}


@pytest.mark.timeout(20)
def test_pipes_and_sockets_are_never_opened(special: dict[str, Path]) -> None:
    assert skipped(special["pipe"].parent) == {"pipe": "not-a-file", "socket": "not-a-file"}
    for path in special.values():
        assert reason(lambda path=path: read(path)) == "not-a-file"


@pytest.mark.timeout(20)
def test_a_file_that_becomes_a_pipe_before_it_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path / "a")
    real = os.open

    def swap(name: Path, flags: int, *rest: object) -> int:
        os.unlink(path)
        os.mkfifo(path)
        return real(name, flags)

    monkeypatch.setattr(os, "open", swap)
    assert reason(lambda: read(path)) == "not-a-file"


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/tty"])
def test_devices_are_never_opened(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> int:
        raise AssertionError("opened")

    monkeypatch.setattr(os, "open", never)
    assert reason(lambda: read(Path(device))) == "not-a-file"


def test_a_linked_device(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").symlink_to("/dev/zero")
    assert skipped(tmp_path, follow_links=True) == {"a.jpg": "link-outside"}
    assert reason(lambda: read(tmp_path / "a.jpg")) == "not-a-file"


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert reason(lambda: read(tmp_path)) == "not-a-file"


# --- what cannot be read


def _denied(call: Callable[..., object], of: Path, number: int = errno.EACCES) -> Callable[..., object]:
    def denied(path: object, *rest: object, **options: object) -> object:
        if Path(os.fspath(path)) == of:  # type: ignore[call-overload]
            raise OSError(number, os.strerror(number), os.fspath(of))
        return call(path, *rest, **options)

    return denied


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ENXIO])
def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    path = put(tmp_path / "a")
    monkeypatch.setattr(os, "open", _denied(os.open, path, number))
    with pytest.raises(PictureError, match="cannot be read") as caught:
        read(path)
    assert caught.value.reason == "unreadable"
    assert caught.value.hint
    assert os.strerror(number) in caught.value.message


def test_an_error_in_the_middle_of_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    path = put(tmp_path / "a")
    monkeypatch.setattr(os, "read", broken)
    assert reason(lambda: read(path)) == "unreadable"


@pytest.mark.skipif(not hasattr(os, "seteuid") or os.geteuid() != 0, reason="becomes another user")
def test_unreadable_as_another_user(tmp_path: Path) -> None:
    import subprocess
    import sys

    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        put(root / "closed" / "a").parent.chmod(0)
        put(root / "file").chmod(0)
        code = (
            "import os, sys; from pathlib import Path; from nearsight.data.images import read, walk\n"
            "from nearsight.core.errors import PictureError\n"
            "os.setegid(65534); os.seteuid(65534)\n"
            "print([getattr(f, 'code', 'found') for f in walk(Path(sys.argv[1]))])\n"
            "try: read(Path(sys.argv[1]) / 'file')\n"
            "except PictureError as e: print(e.reason)\n"
        )
        out = subprocess.run([sys.executable, "-c", code, name], capture_output=True, text=True, timeout=60, check=True)
        assert out.stdout.split("\n")[:2] == ["['picture/unreadable-folder', 'found']", "unreadable"]


def test_unreadable_folder_is_named_and_the_rest_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a/1", "b/2", "c/3"):
        put(tmp_path / name)
    real = folders_module._entries
    monkeypatch.setattr(folders_module, "_entries", _denied(real, tmp_path / "b"))
    assert found(tmp_path) == ["a/1", "c/3"]
    assert skipped(tmp_path) == {"b": "unreadable-folder"}


# --- what changes


def test_vanished_before_it_is_read(tmp_path: Path) -> None:
    assert reason(lambda: read(tmp_path / "gone")) == "vanished"
    assert reason(lambda: read(put(tmp_path / "file") / "below")) == "vanished"
    assert reason(lambda: read(Path("nul\0"))) == "vanished"


def test_vanishes_while_the_folder_is_walked(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        put(tmp_path / name)
    put(tmp_path / "d" / "e")
    seen = walk(tmp_path)
    next(seen)
    os.unlink(tmp_path / "b")
    os.unlink(tmp_path / "d" / "e")
    os.rmdir(tmp_path / "d")
    rest = list(seen)
    assert [getattr(f, "code", "found") for f in rest] == ["picture/vanished", "found", "picture/vanished"]


def _while_reading(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    real = os.read

    def reading(descriptor: int, size: int) -> bytes:
        data = real(descriptor, size)
        monkeypatch.undo()
        act()
        return data

    monkeypatch.setattr(os, "read", reading)


def test_changes_while_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path / "a")

    def append() -> None:
        with path.open("ab") as file:
            file.write(b"more")

    def same_size() -> None:
        time.sleep(0.02)  # the clock of file systems ticks every few milliseconds
        with path.open("r+b") as file:
            file.write(b"\x89PNG")

    for act in (append, same_size, lambda: os.truncate(path, 10), lambda: os.utime(path, ns=(1, 1))):
        put(path)
        _while_reading(monkeypatch, act)
        assert reason(lambda: read(path)) == "changed"


def test_deleted_while_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path / "a")
    _while_reading(monkeypatch, path.unlink)
    assert reason(lambda: read(path)) == "vanished"


def test_shrinks_between_looking_and_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path / "a")
    real = os.fstat

    def stat(descriptor: int) -> os.stat_result:
        status = real(descriptor)
        monkeypatch.undo()
        os.truncate(path, 0)
        return status

    monkeypatch.setattr(os, "fstat", stat)
    assert reason(lambda: read(path)) == "changed"


def test_empty_and_too_large(tmp_path: Path) -> None:
    assert reason(lambda: read(put(tmp_path / "empty", b""))) == "empty"
    path = put(tmp_path / "a")
    assert read(path, Limits(max_bytes=len(PICTURE))) == PICTURE
    assert reason(lambda: read(path, Limits(max_bytes=len(PICTURE) - 1))) == "too-many-bytes"


def test_a_huge_file_is_refused_without_reading_it(tmp_path: Path) -> None:
    with (tmp_path / "video").open("wb") as file:
        file.truncate(1 << 40)
    assert reason(lambda: read(tmp_path / "video")) == "too-many-bytes"


def test_large_files_are_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nearsight.data.images import files

    monkeypatch.setattr(files, "_PIECE", 100)
    content = saved(noise(60, 60), "PNG")
    assert read(put(tmp_path / "a", content)) == content


# --- many


def _many(root: Path, count: int) -> None:
    for folder in range(count // 1000):
        os.mkdir(root / f"{folder:03}")
        descriptor = os.open(root / f"{folder:03}", os.O_RDONLY)
        for i in range(1000):
            os.close(os.open(f"{i:04}.jpg", os.O_CREAT | os.O_WRONLY, dir_fd=descriptor))
        os.close(descriptor)


@pytest.mark.parametrize("count", [20_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_many_files_stream(tmp_path: Path, count: int) -> None:
    _many(tmp_path, count)
    process = psutil.Process()
    before = process.memory_info().rss
    start = time.process_time()
    last, seen = b"", 0
    for item in walk(tmp_path):
        assert isinstance(item, Found)
        assert os.fsencode(item.path) > last
        last, seen = os.fsencode(item.path), seen + 1
    assert seen == count
    assert process.memory_info().rss - before < 16 << 20
    assert time.process_time() - start < count / 5000
