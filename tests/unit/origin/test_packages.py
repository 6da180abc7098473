"""A package is hostile until it is read: what is wrong is told with its place, and nothing outside the folder is touched."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from origin.packages import kinds, package
from origin.packages.package import Package, PackageError, Strict, digest, read

GOOD = 'format = 1\nkind = "patch"\nname = "Ava"\nlicense = "CC0-1.0"\n[model]\nfile = "net.onnx"\n'


class Model(Strict):
    file: str
    threads: int = 1


class Tables(Strict):
    model: Model


def made(folder: Path, text: str | bytes) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "avatar.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def told(folder: Path) -> str:
    with pytest.raises(PackageError) as caught:
        read(folder)
    return str(caught.value)


def test_a_sound_sheet_is_read_and_its_kind_gets_its_own_tables(tmp_path: Path) -> None:
    found = read(made(tmp_path / "ava", GOOD))
    assert (found.kind, found.name, found.license, found.credit) == ("patch", "Ava", "CC0-1.0", "")
    assert found.sheet(Tables).model.file == "net.onnx"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"\xff\xfe", "no text in UTF-8"),
        ("format = [", "no TOML"),
        ("x = " + "[" * 9000, "no TOML"),
        (GOOD.replace("format = 1", "format = true"), "format: it is True"),
        (GOOD.replace('"patch"', "7"), 'write kind = "..."'),
        (GOOD.replace("CC0-1.0", "x" * 65), "license: it is"),
        (GOOD.replace("Ava", "a\\u0000b"), "name: it is"),
        ("#" * 70_000, "larger than 65536 bytes"),
        ("", "license: it is None"),
    ],
)
def test_a_broken_sheet_says_where_and_what_to_do(tmp_path: Path, text: str | bytes, words: str) -> None:
    assert words in told(made(tmp_path / "bad", text))


def test_each_wrong_value_of_a_kinds_tables_is_told(tmp_path: Path) -> None:
    text = GOOD + 'threads = "two"\nbatch = 4\n[extra]\nx = 1\n'
    with pytest.raises(PackageError) as caught:
        read(made(tmp_path / "bad", text)).sheet(Tables)
    assert {fault.where for fault in caught.value.faults} == {"model.threads", "model.batch", "extra"}
    assert all(fault.what for fault in caught.value.faults)


@pytest.mark.parametrize(
    "name", ["../secret.onnx", "/etc/passwd.onnx", "a//b.onnx", ".hidden.onnx", "a\\b.onnx", "x" * 200]
)
def test_a_file_lies_in_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.onnx").write_bytes(b"x")
    found = read(made(tmp_path / "ava", GOOD))
    with pytest.raises(PackageError, match=r"model\.file: .*no file name"):
        found.file("model.file", name, suffixes=(".onnx",), most_bytes=100)


def test_links_folders_large_empty_and_changed_files_are_refused(tmp_path: Path) -> None:
    found = read(made(tmp_path / "ava", GOOD))
    (tmp_path / "secret.onnx").write_bytes(b"x")
    (found.folder / "link.onnx").symlink_to(tmp_path / "secret.onnx")
    (found.folder / "away").symlink_to(tmp_path)
    (found.folder / "folder.onnx").mkdir()
    (found.folder / "empty.onnx").touch()
    (found.folder / "large.onnx").write_bytes(b"x" * 101)
    (found.folder / "net.onnx").write_bytes(b"net")

    def refusal(name: str, sha256: str | None = None) -> str:
        with pytest.raises(PackageError) as caught:
            found.file("model.file", name, suffixes=(".onnx",), most_bytes=100, sha256=sha256)
        return str(caught.value)

    assert "is a link" in refusal("link.onnx")
    assert "is a link" in refusal("away/secret.onnx")
    assert "no plain file" in refusal("folder.onnx")
    assert "0 bytes" in refusal("empty.onnx") and "101 bytes" in refusal("large.onnx")
    assert "add the file" in refusal("missing.onnx")
    assert "is not one of .onnx" in refusal("avatar.toml")
    assert "sha256" in refusal("net.onnx", "0" * 64)
    good = digest(found.folder / "net.onnx")
    assert found.file("model.file", "net.onnx", suffixes=(".onnx",), most_bytes=100, sha256=good).is_file()


def test_a_folder_that_holds_too_much_is_refused_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made(tmp_path / "ava", GOOD)
    with (folder / "huge").open("wb") as file:
        file.truncate(package.MOST_BYTES + 1)  # sparse: takes no disk
    assert "holds more than" in told(folder)
    (folder / "huge").unlink()
    monkeypatch.setattr(package, "MOST_FILES", 3)
    for number in range(3):
        (folder / str(number)).touch()
    assert "holds more than 3 files" in told(folder)


def test_an_unknown_kind_names_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="there is no kind 'hologram'"):
        kinds.open_package(made(tmp_path / "x", GOOD.replace("patch", "hologram")))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.one_of(st.binary(max_size=300), st.text(max_size=200).map(lambda t: (GOOD + t).encode())))
def test_any_bytes_give_a_package_or_an_error_that_says_why(tmp_path: Path, data: bytes) -> None:
    folder = made(tmp_path / "fuzz", data)
    try:
        assert isinstance(read(folder), Package)
    except PackageError as error:
        assert error.faults and all(fault.where and fault.what for fault in error.faults)
