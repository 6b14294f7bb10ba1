"""What the terminal looks like: recorded in a pseudo-terminal, for docs/evidence/terminal.md."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.openai import FakeOpenAI
from tests.support.evidence import write_section
from tests.support.places import REPOSITORY
from tests.support.terminal import CTRL_C, CTRL_D, TAB, UP, Terminal

pytestmark = pytest.mark.evidence

RAN = "<!-- run by tests/cli/test_recording.py -->"
FOLDER = REPOSITORY / "docs" / "evidence"
MODEL = "local/llama/parlant-local-tiny"
ANSWER = """\
## Opening hours

The shop is open **every day but Sunday**:

| day | from | to |
|---|--:|--:|
| Monday to Friday | 9:00 | 19:00 |
| Saturday | 10:00 | 16:00 |

1. Come in the morning: it is quiet then.
2. Or order on [our page](https://books.example.org).

```python
def is_open(day: str, hour: int) -> bool:
    return day != "Sunday" and 9 <= hour < 19
```

明天见 👋
"""


@pytest.fixture
async def endpoint() -> Iterator[FakeOpenAI]:
    async with FakeOpenAI() as server:
        server.text = ANSWER
        yield server


async def test_the_terminal_is_recorded(endpoint: FakeOpenAI, home: Path, tmp_path: Path) -> None:
    import asyncio

    (tmp_path / "models").mkdir()
    await asyncio.to_thread(record, endpoint.base_url, home, tmp_path)


def record(address: str, home: Path, folder: Path) -> None:
    environment = {
        "PARLANT_LOCAL_HOME": str(home),
        "PARLANT_LOCAL_ENDPOINTS__SHOP__BASE_URL": address,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PS1": "$ ",
        "PROMPT_COMMAND": "",
        "HF_ENDPOINT": "http://127.0.0.1:9",
    }
    shell = Terminal(
        "--norc", "--noprofile", rows=34, columns=110, environment=environment, command="/bin/bash", cwd=folder
    )
    shell.expect(r"\$ ?$")
    screens: dict[str, str] = {}

    def run(title: str, line: str, expected: str = "") -> None:
        shell.say(line)
        screens[title] = shell.expect(expected + r".*\n\$ ?$").rstrip("$ \n")

    run("Help", "parlant-local --help")
    run("A word that is none", "parlant-local serach qwen; parlant-local logs")
    run("Search without a network", "parlant-local search qwen3 4b", "The hub was not searched")
    run("One answer", f"parlant-local run {MODEL} 'What is the capital of France?'", "Paris")

    shell.say(f"parlant-local chat {MODEL} --n-ctx 2048 -t 0")
    shell.expect(r"/help lists commands.*> $")
    begun = shell._mark
    for said, expected in (
        ("What is the capital of Italy?", "Rome.*tokens/s"),
        ("/set temperature 9", "between 0 and 5"),
        ("/save talk.json", "saved"),
        ("/save talk.json", "Overwrite"),
        ("n", "not overwritten"),
        ("/regenerate", "Rome.*tokens/s"),
    ):
        shell.say(said)
        shell.expect(expected)
    shell.press("/set repeat" + TAB)
    shell.expect("repeat_")
    shell.press(CTRL_C)
    shell.expect("Ctrl-C again")
    shell.press(UP)
    shell.expect("/regenerate")
    shell._mark = begun
    screens["A conversation"] = shell.since()
    shell.press(CTRL_C + CTRL_D)
    shell.expect(r"\$ ?$")

    shell.say("parlant-local chat shop/m")
    shell.expect(r"/help lists commands.*> $")
    shell.say("When are you open?")
    screens["Markdown, rendered while it streams"] = shell.expect("👋.*> $")
    shell.say("/bye")
    shell.expect(r"\$ ?$")

    run(
        "Settings", "parlant-local config set engine.n_ctx 4096; parlant-local config show --origins", r"\(from PARLANT"
    )
    shell.say(f"parlant-local serve --model {MODEL} --port 0 2>serve.log &")
    shell.expect(r"\$ ?$")
    shell.say("until grep -q 'is loaded' serve.log; do sleep 0.2; done")
    shell.expect(r"done\n\$ ?$")
    run(
        "Servers and their models",
        f"parlant-local ps; parlant-local stop {MODEL}; parlant-local stop --server",
        "has ended",
    )
    shell.say("exit")
    shell.ended()

    instead = {str(home): "~/.local/share/parlant-local", address: "http://127.0.0.1:8000/v1"}
    shell.save_cast(FOLDER / "terminal.cast", "parlant-local in a terminal", instead)
    command = "pytest -m evidence tests/cli/test_recording.py"
    for title, screen in screens.items():
        text = screen
        for found, shown in instead.items():
            text = text.replace(found, shown)
        write_section(FOLDER / "terminal.md", title, f"{RAN}\n```text\n{text}\n```", command=command)
