"""`parlant-local image`: files that appear whole and take no other's place, progress, Ctrl-C, and everything that is wrong."""

from __future__ import annotations

import fnmatch
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from parlant_local.images.png import texts_of
from tests.support.at_home import Verb
from tests.support.eventually import wait_until
from tests.support.sd_server import JOBS, SdServer, serving
from tests.support.terminal import Terminal

PAGE = (Path(__file__).parents[2] / "docs/images.md").read_text("utf-8")
SMALL = ("--size", "64x64", "--steps", "2")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SdServer]:
    monkeypatch.chdir(tmp_path)
    with serving() as running:
        monkeypatch.setenv("PARLANT_LOCAL_ENDPOINTS__SD__BASE_URL", running.url)
        monkeypatch.setenv("PARLANT_LOCAL_IMAGES__MODEL", "sd")
        yield running


def test_a_picture_named_by_its_seed(server: SdServer, verb: Verb, tmp_path: Path) -> None:
    code, out, err = verb("image", "a ção 猫", *SMALL, "--seed", "7", "--guidance", "1.5", "--negative", "dogs")
    assert (code, out) == (0, "picture-7.png\n"), err
    assert [path.name for path in tmp_path.iterdir()] == ["picture-7.png"]
    data = Path("picture-7.png").read_bytes()
    assert Image.open(io.BytesIO(data)).size == (64, 64)
    assert texts_of(data)["parameters"] == (
        "a ção 猫\nNegative prompt: dogs\nSteps: 2, Sampler: euler_a, CFG scale: 1.5, Seed: 7, Size: 64x64, Model: sd"
    )
    with Image.open("picture-7.png") as seen:  # as other programs read it
        assert seen.info["parameters"] == texts_of(data)["parameters"]
    assert server.calls("/sdcpp/v1/img_gen") == 1


def test_several_and_json(server: SdServer, verb: Verb) -> None:
    code, out, _ = verb("image", "a cat", *SMALL, "--seed", "7", "--count", "3", "-o", "cat.png", "--json")
    assert code == 0
    told = json.loads(out)
    assert [item["file"] for item in told["pictures"]] == ["cat-7.png", "cat-8.png", "cat-9.png"]
    assert (told["model"], told["steps"], told["sampler"]) == ("sd", 2, "euler_a")
    assert all(Path(item["file"]).stat().st_size for item in told["pictures"])
    assert len(server.jobs) == 1


def test_nothing_is_overwritten(server: SdServer, verb: Verb, tmp_path: Path) -> None:
    Path("cat.png").write_text("mine", "utf-8")
    code, _, err = verb("image", "a cat", *SMALL, "-o", "cat.png")
    assert code == 2
    assert "is there already" in err
    assert "--force" in err
    assert not server.jobs  # said before the work
    Path("link.png").symlink_to("nowhere")
    assert verb("image", "a cat", *SMALL, "-o", "link.png")[0] == 2
    assert verb("image", "a cat", *SMALL, "-o", "cat.png", "--force")[0] == 0
    assert Path("cat.png").read_bytes().startswith(b"\x89PNG")
    for name in ("picture-7.png", "picture-7-2.png", "picture-7-3.png"):
        assert verb("image", "a cat", *SMALL, "--seed", "7")[1] == f"{name}\n"
    assert {path.name for path in tmp_path.iterdir()} == {
        "cat.png",
        "link.png",
        "picture-7.png",
        "picture-7-2.png",
        "picture-7-3.png",
    }


def test_a_name_that_is_taken_meanwhile_loses_no_work(server: SdServer, verb: Verb) -> None:
    taking = server.drawn

    def taken(text: str) -> str:
        Path("cat.png").write_text("somebody else's", "utf-8")
        return taking(text)

    server.drawn = taken
    assert verb("image", "a cat", *SMALL, "-o", "cat.png", "--seed", "5")[1] == "cat-5.png\n"
    assert Path("cat.png").read_text("utf-8") == "somebody else's"


def test_a_folder_and_standard_output(server: SdServer, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    command = [sys.executable, "-m", "parlant_local", "image", "-", *SMALL, "--seed", "3"]

    def ran(*more: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([*command, *more], input="a ção".encode(), capture_output=True, timeout=120, check=False)

    done = ran("-o", "made")
    assert done.stdout.decode().strip() == str(Path("made/picture-3.png")), done.stderr
    assert b"Traceback" not in done.stderr
    piped = ran("-o", "-", "--no-parameters")
    assert texts_of(piped.stdout) == {}
    assert Image.open(io.BytesIO(piped.stdout)).size == (64, 64)
    assert server.calls("/sdcpp/v1/img_gen") == 2


def test_an_edit(server: SdServer, verb: Verb) -> None:
    Image.new("RGB", (96, 64), "red").save("from.jpg")
    Image.new("L", (96, 64), "white").save("mask.png")
    code, out, err = verb(
        "image", "a dog", "--from", "from.jpg", "--mask", "mask.png", "--strength", "0.5", "-o", "dog.png"
    )
    assert (code, out) == (0, "dog.png\n"), err
    with Image.open("dog.png") as made:
        assert made.size == (96, 64)
    [job] = server.jobs.values()
    assert job.body["strength"] == 0.5
    assert "Denoising strength: 0.5" in texts_of(Path("dog.png").read_bytes())["parameters"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("a cat", "--size", "big"), 2, "Write it like 512x768"),
        (("a cat", "--size", "9000x64"), 2, "images.max_side"),
        (("a cat", "--size", "4096x4096"), 2, "images.max_megapixels"),
        (("a cat", "--steps", "1000"), 2, "images.max_steps"),
        (("a cat", "--steps", "0"), 2, "between 1 and"),
        (("a cat", "--count", "0"), 2, "between 1 and"),
        (("a cat", "--count", "99"), 2, "images.max_count"),
        (("a cat", "--guidance", "nan"), 2, "guidance is nan"),
        (("a cat", "--seed", "-1"), 2, "seed is -1"),
        (("a cat", "--strength", "0.5"), 2, "need a picture to start from"),
        (("a cat", "--from", "missing.png"), 2, "can't be read"),
        (("a cat", "--from", "note.txt"), 2, "neither a picture"),
        (("a cat", "--sampler", "nope"), 2, "no sampler"),
        (("   ",), 2, "The prompt is empty"),
        (("x" * 20_000,), 2, "images.max_prompt_characters"),
        (("a cat", "-o", "nowhere/cat.png"), 2, "There is no folder"),
        (("a cat", "-o", "nowhere/"), 2, "There is no folder"),
        (("a cat", "-o", ""), 2, "There is no folder"),
        (("a cat", "-o", "note.txt/cat.png"), 2, "There is no folder"),
        (("a cat", "-o", "x" * 240 + ".png"), 2, "can't be written"),
        (("a cat", "-o", "cat.jpg"), 2, "PNG"),
        (("a cat", "-o", "-", "--json"), 2, "standard output"),
        (("a cat", "-o", "-", "--count", "2"), 2, "one picture"),
        (("a cat", "--model", "nope/x"), 1, "no endpoint is called 'nope'"),
    ],
)
def test_what_is_wrong_is_said(
    server: SdServer, verb: Verb, tmp_path: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    (tmp_path / "note.txt").write_text("no picture", "utf-8")
    found, out, err = verb("image", *arguments)
    assert (found, out) == (code, "")
    assert said in err
    assert "Traceback" not in err
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]
    assert not server.jobs


def test_nothing_that_makes_pictures(verb: Verb, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "images.model" in verb("image", "a cat")[2]
    monkeypatch.setenv("PARLANT_LOCAL_ENDPOINTS__SD__BASE_URL", "http://127.0.0.1:9")
    code, _, err = verb("image", "a cat")
    assert code == 1
    assert "sd" in err
    code, _, err = verb("image", "a cat", "--model", "sd")
    assert code == 1
    assert "can't be reached" in err
    monkeypatch.setenv("PARLANT_LOCAL_ENDPOINTS__SD__BASE_URL", "http://198.51.100.7:9")
    code, _, err = verb("image", "a cat", "--model", "sd")
    assert code == 2
    assert "SWITCHER__ALLOW_CLOUD" in err


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_ctrl_c_cancels_and_leaves_nothing(server: SdServer, tmp_path: Path) -> None:
    server.allowed.clear()
    command = [sys.executable, "-m", "parlant_local", "image", "a cat", *SMALL, "-o", "cat.png"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as first:
        wait_until(lambda: [job.status for job in server.jobs.values()] == ["generating"])
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as second:
            wait_until(lambda: len(server.jobs) == 2 and server.calls(JOBS + list(server.jobs)[1]) > 1)
            second.send_signal(signal.SIGINT)
            out, err = second.communicate(timeout=60)
        assert (second.returncode, out) == (130, b"")
        assert err.endswith(b"interrupted\n")
        assert b"Waiting: 1 picture before it" in err
        assert [job.status for job in server.jobs.values()] == ["generating", "cancelled"]
        first.send_signal(signal.SIGINT)
        first.communicate(timeout=60)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals")
def test_in_a_terminal(server: SdServer, home: Path, tmp_path: Path) -> None:
    server.allowed.clear()
    environment = {name: value for name, value in os.environ.items() if name.startswith("PARLANT_LOCAL_")}
    terminal = Terminal("image", "a cat", *SMALL, "--seed", "7", environment=environment, cwd=tmp_path)
    terminal.expect("Drawing")
    server.allow()
    terminal.expect("picture-7.png  64 x 64, seed 7")
    assert terminal.ended() == 0


def test_the_documents_commands(server: SdServer, tmp_path: Path) -> None:
    Image.new("L", (512, 768), "white").save("door.png")
    [session] = re.findall(r"```console\n(\$ parlant-local image .*?)```", PAGE, re.DOTALL)
    for command, said in re.findall(r"^\$ parlant-local (.*)\n((?:[^$].*\n)*)", session, re.MULTILINE):
        line = f"{shlex.quote(sys.executable)} -m parlant_local {command}"
        done = subprocess.run(line, shell=True, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        assert fnmatch.fnmatchcase(done.stdout, said.replace("…", "*")), command
    with Image.open("door-7.png") as made:
        assert made.size == (512, 768)


def test_the_documents_program(server: SdServer, tmp_path: Path) -> None:
    [program] = re.findall(r"```python\n([^`]*Settings\(\)[^`]*)```", PAGE)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "sd 512 512 7 euler_a"
    assert Path("lighthouse.png").stat().st_size
