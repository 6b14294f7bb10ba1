"""Every way a transfer goes wrong, on real sockets: what is retried, what is reported, what is never kept."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from parlant_local.catalog import DownloadProgress, LocalModelManager, ModelState
from parlant_local.catalog.transfer import retrying
from parlant_local.errors import (
    AccessError,
    DiskSpaceError,
    HubError,
    InvalidModelError,
    ModelNotFoundError,
    ParlantLocalError,
    TransferError,
    VerificationError,
)
from parlant_local.observability import ConsoleLogger, NullLogger
from parlant_local.settings import Settings, load_settings
from tests.fakes.hub import FakeHub
from tests.fakes.transfers import Fault
from tests.support.eventually import eventually
from tests.support.small_gguf import write_gguf, write_split

MIB = 1 << 20
REF = "maker/Tiny-Llama-GGUF:Q4_K_M"


@pytest.fixture
def origin(hub: FakeHub, tmp_path: Path) -> Path:
    path = write_gguf(tmp_path / "origin" / "Tiny-Llama-Q4_K_M.gguf", payload=20 * MIB, file_type=15)
    hub.add("maker/Tiny-Llama-GGUF", {path.name: path})
    return path


def leftovers(manager: LocalModelManager) -> list[str]:
    """Partial files and journals that lie around."""
    return [path.name for path in manager.hub_cache.rglob(".*") if path.suffix in (".part", ".journal")]


async def pulled_right(manager: LocalModelManager, origin: Path) -> None:
    model = await manager.download_model(REF)
    assert model.path is not None
    assert model.path.read_bytes() == origin.read_bytes()
    assert leftovers(manager) == []


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long transfers paused before another try; nobody waits for it."""
    found: list[float] = []
    monkeypatch.setattr(retrying, "sleep_using_event", lambda _stop: found.append)
    return found


@pytest.mark.usefixtures("pauses")
@pytest.mark.parametrize("status", [429, 500, 502, 503])
async def test_busy_servers_are_asked_again(
    manager: LocalModelManager, hub: FakeHub, origin: Path, status: int
) -> None:
    hub.file_faults.append(Fault(status=status, times=2))
    hub.api_faults.append(Fault(status=status, times=1, headers={"Retry-After": "0"}))
    await pulled_right(manager, origin)


async def test_retry_after_is_honoured(
    manager: LocalModelManager, hub: FakeHub, origin: Path, pauses: list[float]
) -> None:
    hub.file_faults.append(Fault(status=429, headers={"Retry-After": "2"}, times=1))
    await pulled_right(manager, origin)
    assert pauses == [2.0]


async def test_a_retry_after_beyond_patience_is_reported_at_once(
    manager: LocalModelManager, hub: FakeHub, origin: Path, pauses: list[float]
) -> None:
    hub.file_faults.append(Fault(status=429, headers={"Retry-After": "86400"}))
    with pytest.raises(HubError) as caught:
        await manager.download_model(REF)
    assert caught.value.status == 429
    assert pauses == []


@pytest.mark.usefixtures("pauses")
async def test_a_server_that_stays_broken_is_given_up(manager: LocalModelManager, hub: FakeHub, origin: Path) -> None:
    hub.file_faults.append(Fault(status=500))
    with pytest.raises(HubError, match="500"):
        await manager.download_model(REF)
    assert manager.list_models(source="huggingface", states="all") == []


@pytest.mark.usefixtures("pauses")
async def test_connections_cut_at_odd_places_are_resumed_there(
    manager: LocalModelManager, hub: FakeHub, origin: Path
) -> None:
    hub.file_faults.append(
        Fault(cut_after=777_777, times=12, when=lambda request: request.headers["range"] != "bytes=0-0")
    )
    await pulled_right(manager, origin)
    assert hub.file_bytes < origin.stat().st_size * 1.5


@pytest.mark.usefixtures("pauses")
async def test_cuts_with_hardly_any_progress_are_given_up_and_resumable(
    manager: LocalModelManager, hub: FakeHub, origin: Path
) -> None:
    hub.file_faults.append(Fault(cut_after=100, skip=2))
    with pytest.raises(TransferError, match="resume"):
        await manager.download_model(REF)
    (record,) = manager.list_models(source="huggingface", states="all")
    assert record.state is ModelState.INCOMPLETE
    assert record.done
    hub.file_faults.clear()
    before = hub.file_bytes
    await pulled_right(manager, origin)
    assert hub.file_bytes - before <= origin.stat().st_size - record.done + 10


async def test_wrong_bytes_are_never_kept(manager: LocalModelManager, hub: FakeHub, origin: Path) -> None:
    hub.file_faults.append(Fault(corrupt=True))
    with pytest.raises(VerificationError, match="wrong digest"):
        await manager.download_model(REF)
    assert leftovers(manager) == []
    assert list(manager.hub_cache.rglob("blobs/*")) == []
    assert manager.list_models(source="huggingface", states="all") == []
    with pytest.raises(ModelNotFoundError) as sought:
        manager.find(f"{REF}x")
    assert list(sought.value.near) == []
    hub.file_faults.clear()
    await pulled_right(manager, origin)
    assert [model.state for model in manager.list_models(source="huggingface", states="all")] == [ModelState.AVAILABLE]


async def test_bytes_that_rot_between_two_sessions_cost_one_more_download(
    manager: LocalModelManager, hub: FakeHub, origin: Path
) -> None:
    """What an earlier run left is trusted for resuming, but not for the result."""
    hub.file_faults.append(Fault(cut_after=100, skip=3))
    with pytest.raises(TransferError):
        await manager.download_model(REF)
    (part,) = manager.hub_cache.rglob(".*.part")
    with part.open("r+b") as file:
        file.seek(5)
        file.write(b"rotten")
    hub.file_faults.clear()
    await pulled_right(manager, origin)


async def test_a_wrong_size_is_refused(manager: LocalModelManager, hub: FakeHub, origin: Path) -> None:
    hub.file_faults.append(Fault(extra_size=10))
    with pytest.raises(VerificationError, match="bytes on the server instead of the published"):
        await manager.download_model(REF)


async def test_servers_without_ranges_are_served_in_one_piece(
    manager: LocalModelManager, hub: FakeHub, origin: Path
) -> None:
    hub.file_faults.append(Fault(no_ranges=True))
    await pulled_right(manager, origin)


async def test_servers_without_ranges_start_again_after_a_cut(
    manager: LocalModelManager, hub: FakeHub, origin: Path
) -> None:
    hub.file_faults.extend([Fault(no_ranges=True, cut_after=3 * MIB, times=1), Fault(no_ranges=True)])
    await pulled_right(manager, origin)


async def test_a_changed_file_of_unknown_digest_is_fetched_anew(
    manager: LocalModelManager, hub: FakeHub, origin: Path, tmp_path: Path
) -> None:
    """By URL nothing but the etag tells that two answers are of one file."""
    assert hub.cdn is not None
    digest = next(iter(hub.cdn.blobs))
    hub.cdn.blobs = {"aaaa": origin}
    hub.cdn.faults.append(Fault(etag="older", times=2))
    url = f"{hub.cdn.url}/blob/aaaa?signature=s1&file=/x.gguf"

    def serve_by_name(exchange: object) -> None:
        exchange.send_file(origin, hub.cdn.take_fault(exchange.request), digest)  # type: ignore[attr-defined, union-attr]

    hub.cdn.handle = serve_by_name  # type: ignore[method-assign]
    url = f"{hub.cdn.url}/x.gguf"
    model = await manager.download_model(url)
    assert model.path is not None
    assert model.path.read_bytes() == origin.read_bytes()


async def test_a_changed_etag_of_published_bytes_loses_nothing(
    manager: LocalModelManager, hub: FakeHub, origin: Path
) -> None:
    hub.file_faults.append(Fault(etag="another-edge", times=3))
    await pulled_right(manager, origin)
    assert hub.file_bytes < origin.stat().st_size * 1.1


async def test_the_token_does_not_follow_a_redirect(
    manager: LocalModelManager, hub: FakeHub, origin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.tokens.add("hf_secretsecret")
    monkeypatch.setenv("HF_TOKEN", "hf_secretsecret")
    await pulled_right(manager, origin)
    assert hub.cdn is not None
    assert any("authorization" in request.headers for request in hub.requests)
    assert hub.cdn.requests
    assert not any("authorization" in request.headers for request in hub.cdn.requests)


async def test_an_expired_signature_is_renewed(manager: LocalModelManager, hub: FakeHub, origin: Path) -> None:
    assert hub.cdn is not None
    cdn = hub.cdn

    def expire(request: object) -> bool:
        if len(cdn.requests) == 2:
            cdn.signature = "s2"
        return False

    hub.file_faults.append(Fault(when=expire))
    await pulled_right(manager, origin)
    assert cdn.signature == "s2"


@pytest.mark.usefixtures("pauses")
async def test_a_dripping_server_is_a_stall_not_a_wait(manager: LocalModelManager, hub: FakeHub, origin: Path) -> None:
    hub.file_faults.append(Fault(drip=0.1, skip=1))
    with pytest.raises(TransferError, match="resume"):
        await manager.download_model(REF)
    assert hub.file_bytes < 4096  # nobody waited for the bytes that kept coming


@pytest.mark.usefixtures("pauses")
async def test_a_silent_server_is_left_and_asked_again(manager: LocalModelManager, hub: FakeHub, origin: Path) -> None:
    hub.file_faults.append(Fault(hang=5.0, times=2, skip=1))
    await pulled_right(manager, origin)


async def test_progress_never_goes_backwards_and_ends_at_the_whole(
    manager: LocalModelManager, hub: FakeHub, origin: Path
) -> None:
    hub.file_faults.extend([Fault(cut_after=2 * MIB, times=3, skip=1), Fault(rate=20e6)])
    seen: list[DownloadProgress] = []
    await manager.download_model(REF, progress=seen.append)
    done = [moment.done for moment in seen]
    assert done == sorted(done)
    assert seen[-1].finished
    assert done[-1] == seen[-1].total == origin.stat().st_size


async def test_two_callers_share_one_download(manager: LocalModelManager, hub: FakeHub, origin: Path) -> None:
    hub.file_faults.append(Fault(rate=30e6))
    one, two = await asyncio.gather(manager.download_model(REF), manager.download_model(REF))
    assert one == two
    assert hub.file_bytes < origin.stat().st_size * 1.1


async def test_two_managers_fetch_a_file_once(
    manager: LocalModelManager, hub: FakeHub, origin: Path, settings: Settings
) -> None:
    """As two processes would: by the lock on the file."""
    hub.file_faults.append(Fault(rate=30e6))
    other = LocalModelManager(NullLogger(), manager.models_dir, settings)
    one, two = await asyncio.gather(manager.download_model(REF), other.download_model(REF))
    assert one.sha256 == two.sha256
    assert hub.file_bytes < origin.stat().st_size * 1.1


async def test_cancelling_stops_at_once_and_stays_resumable(
    manager: LocalModelManager, hub: FakeHub, origin: Path
) -> None:
    hub.file_faults.append(Fault(rate=4e6))
    task = asyncio.create_task(manager.download_model(REF))
    await eventually(lambda: any(model.done for model in manager.list_models(source="huggingface", states="all")))
    (downloading,) = manager.list_models(source="huggingface", states="all")
    assert downloading.state is ModelState.DOWNLOADING
    assert manager.list_models(source="huggingface") == []
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert hub.file_bytes < origin.stat().st_size
    (record,) = manager.list_models(source="huggingface", states="all")
    assert record.state is ModelState.INCOMPLETE
    hub.file_faults.clear()
    before = hub.file_bytes
    await pulled_right(manager, origin)
    assert hub.file_bytes - before <= origin.stat().st_size - (record.done or 0) + 4 * MIB  # what lay in socket buffers


async def test_one_of_two_callers_may_leave(manager: LocalModelManager, hub: FakeHub, origin: Path) -> None:
    hub.file_faults.append(Fault(rate=20e6))
    leaving = asyncio.create_task(manager.download_model(REF))
    staying = asyncio.create_task(manager.download_model(REF))
    await eventually(lambda: hub.file_bytes > MIB)
    leaving.cancel()
    assert (await staying).state is ModelState.AVAILABLE


async def test_an_incomplete_download_can_be_thrown_away(
    manager: LocalModelManager, hub: FakeHub, origin: Path
) -> None:
    hub.file_faults.append(Fault(cut_after=100, skip=2))
    with pytest.raises(TransferError):
        await manager.download_model(REF)
    (record,) = manager.list_models(source="huggingface", states="all")
    assert await manager.delete_model(record.id) > 0
    assert leftovers(manager) == []
    assert manager.list_models(source="huggingface", states="all") == []


async def test_a_published_file_that_is_no_model_is_refused(manager: LocalModelManager, hub: FakeHub) -> None:
    """Right to the byte, and still not a GGUF."""
    hub.add("maker/Bad-GGUF", {"bad-Q4_K_M.gguf": b"<html>" + b"x" * 5000})
    with pytest.raises(InvalidModelError, match="not a usable GGUF"):
        await manager.download_model("maker/Bad-GGUF")
    assert manager.list_models(source="huggingface") == []
    assert leftovers(manager) == []


@pytest.mark.parametrize("shown", [0, 1])
async def test_a_missing_shard_keeps_the_whole_model_out(
    manager: LocalModelManager, hub: FakeHub, tmp_path: Path, shown: int
) -> None:
    shards = write_split(tmp_path / "origin", "Big-Q8_0", 3)
    hub.add("maker/Big-GGUF", {path.name: path for path in shards[shown : shown + 2]})
    with pytest.raises(InvalidModelError, match="missing"):
        await manager.download_model("maker/Big-GGUF")
    assert hub.file_bytes == 0


async def test_a_broken_shard_keeps_the_whole_model_out(
    manager: LocalModelManager, hub: FakeHub, tmp_path: Path
) -> None:
    shards = write_split(tmp_path / "origin", "Big-Q8_0", 3, payload=MIB)
    hub.add("maker/Big-GGUF", {path.name: path for path in shards})
    last = hub.repos["maker/Big-GGUF"].digest(shards[2].name)
    hub.file_faults.append(Fault(corrupt=True, when=lambda request: last in request.path))
    with pytest.raises(VerificationError):
        await manager.download_model("maker/Big-GGUF")
    assert manager.list_models(source="huggingface") == []
    hub.file_faults.clear()
    before = hub.file_bytes
    model = await manager.download_model("maker/Big-GGUF")
    assert len(model.files) == 3
    assert hub.file_bytes - before < 1.2 * MIB  # the two good ones were kept


class TestAccess:
    """Four reasons, four messages, each with what helps; a token never shows."""

    async def refused(self, manager: LocalModelManager, reference: str) -> ParlantLocalError:
        with pytest.raises((AccessError, ModelNotFoundError)) as caught:
            await manager.download_model(reference)
        assert "hf_" not in str(caught.value)
        return caught.value

    async def test_gated_without_a_token(self, manager: LocalModelManager, hub: FakeHub, origin: Path) -> None:
        hub.repos["maker/Tiny-Llama-GGUF"].gated = True
        error = await self.refused(manager, REF)
        assert isinstance(error, AccessError)
        assert "gated" in error.message
        assert f"{hub.url}/maker/Tiny-Llama-GGUF" in error.hint
        assert "hf auth login" in error.hint

    async def test_gated_with_a_token_that_was_not_granted_access(
        self, manager: LocalModelManager, hub: FakeHub, origin: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hub.repos["maker/Tiny-Llama-GGUF"].gated = True
        hub.tokens.add("hf_stranger")
        monkeypatch.setenv("HF_TOKEN", "hf_stranger")
        error = await self.refused(manager, REF)
        assert isinstance(error, AccessError)
        assert "has not been granted access" in error.message
        assert "licence" in error.hint

    async def test_not_found_with_a_token(
        self, manager: LocalModelManager, hub: FakeHub, origin: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hub.tokens.add("hf_member")
        monkeypatch.setenv("HF_TOKEN", "hf_member")
        error = await self.refused(manager, "maker/Nothing-GGUF")
        assert isinstance(error, ModelNotFoundError)
        assert "no repository" in error.message

    async def test_private_or_missing_without_a_token(self, manager: LocalModelManager, hub: FakeHub) -> None:
        error = await self.refused(manager, "maker/Nothing-GGUF")
        assert isinstance(error, AccessError)
        assert "no token is set" in error.message

    async def test_an_invalid_token(
        self, manager: LocalModelManager, hub: FakeHub, origin: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HF_TOKEN", "hf_wrongwrong")
        error = await self.refused(manager, REF)
        assert isinstance(error, AccessError)
        assert "invalid or has expired" in error.message

    async def test_forbidden(self, manager: LocalModelManager, hub: FakeHub, origin: Path) -> None:
        hub.api_faults.append(Fault(status=403))
        error = await self.refused(manager, REF)
        assert isinstance(error, AccessError)
        assert "denied" in error.message

    async def test_a_missing_file_and_a_missing_quantization_name_what_there_is(
        self, manager: LocalModelManager, hub: FakeHub, origin: Path
    ) -> None:
        assert "Tiny-Llama-Q4_K_M.gguf" in str(await self.refused(manager, "maker/Tiny-Llama-GGUF/none.gguf"))
        assert "Q4_K_M (21.0 MB)" in str(await self.refused(manager, "maker/Tiny-Llama-GGUF:Q8_0"))

    async def test_nothing_that_is_kept_or_logged_holds_the_token(
        self,
        hub: FakeHub,
        origin: Path,
        tmp_path: Path,
        settings: Settings,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        hub.tokens.add("hf_secretsecret")
        monkeypatch.setenv("HF_TOKEN", "hf_secretsecret")
        manager = LocalModelManager(ConsoleLogger("debug"), tmp_path / "models", settings)
        hub.file_faults.append(Fault(cut_after=100, skip=2))
        with pytest.raises(TransferError) as caught:
            await manager.download_model(REF)
        assert "secret" not in repr(caught.value) + str(caught.value) + capsys.readouterr().err
        for root in (manager.models_dir, manager.hub_cache):
            for path in root.rglob("*"):
                if path.is_file() and path.suffix != ".part":
                    assert b"secretsecret" not in path.read_bytes()
                    assert b"signature=" not in path.read_bytes()


async def test_a_set_that_does_not_fit_is_refused_before_the_first_byte(
    manager: LocalModelManager, hub: FakeHub, origin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    usage = shutil.disk_usage("/")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage._replace(free=5 * MIB))
    with pytest.raises(DiskSpaceError) as caught:
        await manager.download_model(REF)
    assert caught.value.needed == origin.stat().st_size
    assert caught.value.available == 5 * MIB
    assert hub.file_bytes == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = (
        os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(place)], check=False, capture_output=True
        ).returncode
    )
    if not mounted:
        pytest.skip("mounting a small tmpfs needs root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


async def test_a_disk_that_fills_up_meanwhile_is_reported_and_resumable(
    hub: FakeHub, origin: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(small_disk / "hf"))
    settings = load_settings(overrides={"downloads.attempts": 2, "downloads.stall_seconds": 1.0})
    manager = LocalModelManager(NullLogger(), small_disk / "models", settings)
    with monkeypatch.context() as patch:
        patch.setattr("parlant_local.catalog.downloads.check_space", lambda *_: None)
        with pytest.raises(DiskSpaceError, match="is full"):
            await manager.download_model(REF)
    with pytest.raises(DiskSpaceError, match="are available"):
        await manager.download_model(REF)
    await asyncio.to_thread(subprocess.run, ["mount", "-o", "remount,size=60m", str(small_disk)], check=True)
    before = hub.file_bytes
    await pulled_right(manager, origin)
    assert hub.file_bytes - before < origin.stat().st_size
