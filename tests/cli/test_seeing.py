"""Pictures from the command line, as the documents show it."""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.support import gguf_models, projectors
from tests.support.places import COMMAND
from tests.support.terminal import Terminal

DOCUMENT = (Path(__file__).parents[2] / "docs/chat.md").read_text("utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As docs/chat.md supposes it."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "models" / "seeing").mkdir(parents=True)
    gguf_models.llama(folder / "models" / "seeing" / "seeing.gguf", tied=False, n_ctx=1024)
    projectors.vision(folder / "models" / "seeing" / "mmproj-seeing.gguf")
    file = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(file, "PNG")
    (folder / "receipt.png").write_bytes(file.getvalue())
    return folder


def ran(folder: Path, *arguments: str, command: str = COMMAND) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PARLANT_LOCAL_HOME": str(folder / "home")}
    return subprocess.run(
        [command, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )


def shown() -> list[list[str]]:
    """The commands of docs/chat.md that send a picture."""
    found = re.findall(r"^\$ parlant-local (.* --image .*?)(?:\s+#.*)?$", DOCUMENT, re.MULTILINE)
    return [shlex.split(line) for line in found]


def test_the_documents_commands(folder: Path) -> None:
    generate, chat = shown()
    answers = {ran(folder, *generate, "--temperature", "0", "--max-tokens", "8").stdout for _ in range(2)}
    [answer] = answers
    assert answer.strip()
    without = ran(folder, *generate[:3], "--temperature", "0", "--max-tokens", "8")
    assert without.stdout != answer
    environment = {"PARLANT_LOCAL_HOME": str(folder / "home")}
    terminal = Terminal(*chat, "--max-tokens", "8", "--plain", environment=environment, cwd=folder)
    terminal.say("/image")
    terminal.expect("With your next message: 1 picture")
    terminal.say("What is on it?")
    terminal.expect(r"tokens/s")
    terminal.say("/image receipt.png")
    terminal.expect("1 picture")
    terminal.say("/image missing.png")
    terminal.expect("can't be read")
    terminal.say("/bye")
    assert terminal.ended() == 0


def test_the_documents_program(folder: Path) -> None:
    [program] = [block for block in re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL) if "MediaPart" in block]
    done = ran(folder, "-c", program.replace("picture)])", "picture)], max_tokens=8)"), command=sys.executable)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_what_is_no_picture_and_who_has_no_eyes(folder: Path) -> None:
    (folder / "note.txt").write_text("no picture", encoding="utf-8")
    for arguments, said in (
        (("models/seeing/seeing.gguf", "?", "--image", "note.txt"), "neither a picture"),
        (("models/seeing/seeing.gguf", "?", "--image", "nowhere.png"), "can't be read"),
        (("local/llama/parlant-local-tiny", "?", "--image", "receipt.png"), "reads no pictures"),
        (("models/seeing/seeing.gguf", "?", "--raw", "--image", "receipt.png"), "--image"),
    ):
        done = ran(folder, "generate", *arguments)
        assert done.returncode == 2, done
        assert said in done.stderr
        assert "Traceback" not in done.stderr


def test_show_says_what_it_reads(folder: Path) -> None:
    told = ran(folder, "show", "models/seeing/seeing.gguf").stdout
    assert "mmproj-seeing.gguf" in told
    assert "text and pictures" in told
