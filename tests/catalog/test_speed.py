"""The measurement of this machine: announced, dated, and what it says of other programs."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from parlant_local.catalog import speed
from parlant_local.cli.main import cli
from parlant_local.observability import NullLogger


class Lines(NullLogger):
    def __init__(self) -> None:
        self.said: list[str] = []

    def info(self, message: str) -> None:
        self.said.append(message)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    monkeypatch.setenv("PARLANT_LOCAL_HOME", str(home))
    monkeypatch.setattr(speed, "measure_prefill", lambda: 1e11)
    monkeypatch.setattr("psutil.cpu_percent", lambda interval: 3.0)
    return home


def told(*arguments: str) -> tuple[str, str]:
    """What `recommend` prints, and what it says beside."""
    done = CliRunner().invoke(cli, ["recommend", *arguments])
    assert done.exit_code == 0, done.output
    return done.stdout, done.stderr


def test_it_is_announced_once_and_remembered_with_its_date(home: Path) -> None:
    log = Lines()
    first = speed.machine_speed(home, logger=log)
    assert first is not None
    assert first.measured_on == date.today()
    assert not first.disturbed
    assert speed.machine_speed(home, logger=log) == first
    assert log.said == ["Measuring how fast this machine reads prompts; this takes about 5 seconds."]
    speed.machine_speed(home, again=True, logger=log)
    assert len(log.said) == 2


def test_other_programs_are_noticed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("psutil.cpu_percent", lambda interval: 63.0)
    shown, beside = told()
    assert "Measuring" in beside
    assert (
        f"measured on {date.today()}, while other programs took 63% of the processor: these times are too long."
        in shown
    )
    assert "recommend --again" in shown
    monkeypatch.setattr("psutil.cpu_percent", lambda interval: 3.0)
    again, _ = told("--again")
    assert f"Speed measured on {date.today()}.\n" in again
    assert "--again" not in again


def test_an_old_measurement_says_how_old(home: Path) -> None:
    old = speed.MachineSpeed(speed._key(), 1e11, date(2025, 3, 9), 0.5)
    home.mkdir()
    (home / "machine.json").write_text(speed.TypeAdapter(speed.MachineSpeed).dump_json(old).decode())
    shown, beside = told("--no-measure")
    assert "measured on 2025-03-09, while other programs took 50%" in shown
    assert beside == ""
    assert json.loads(told("--json")[0])["speed"] == {"measured_on": "2025-03-09", "others_share": 0.5}


def test_one_of_a_version_that_kept_no_date_is_used(home: Path) -> None:
    home.mkdir()
    (home / "machine.json").write_text(json.dumps({"key": speed._key(), "prefill_operations_per_second": 1e11}))
    assert "Speed measured at an unknown date." in told()[0]


def test_where_nothing_was_measured_nothing_is_said_of_it(home: Path) -> None:
    shown, _ = told("--no-measure")
    assert "measured" not in shown
    assert json.loads(told("--no-measure", "--json")[0])["speed"] is None


def test_a_slow_machine_is_told_what_its_memory_would_hold(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parlant_local.catalog.manager.available_memory", lambda: 32 << 30)
    monkeypatch.setattr(speed, "measure_prefill", lambda: 5e11)
    shown, _ = told()
    assert "is the largest that the memory holds; its turns take long on this machine." in shown
