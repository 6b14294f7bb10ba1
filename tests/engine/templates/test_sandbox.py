"""A template is a program from a stranger: it reaches nothing, and it ends."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from parlant_local.engine.templates import ChatTemplate, Sandbox, SandboxLimits
from parlant_local.engine.templates import sandbox as sandbox_module
from parlant_local.errors import TemplateError, TemplateLimitError
from parlant_local.messages import Message, Tool
from tests.support.eventually import wait_until


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    sandbox = Sandbox(SandboxLimits(cpu_seconds=0.5))
    yield sandbox
    sandbox.close()


ENDLESS = {
    "nested loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "gigabytes of output": "{% for a in range(99999) %}{{ 'x' * 99999 }}{% endfor %}",
    "a huge text": "{{ 'x' * 10**10 }}",
    "a huge number": "{{ 2 ** (10 ** 8) }}",
    "a huge list": "{{ [0] * 10**10 }}",
    "padding": "{{ 'x' | center(10**11) }}",
    "formatting": "{{ '%99999999999d' % 1 }}",
    "new formatting": "{{ '{:>99999999999}'.format(1) }}",
    "doubling": "{% set n = namespace(s='x') %}{% for a in range(60) %}{% set n.s = n.s ~ n.s %}{% endfor %}{{ n.s }}",
    "a billion laughs": "{% set n = namespace(s=['ha']) %}{% for a in range(60) %}{% set n.s = [n.s, n.s] %}{% endfor %}{{ n.s }}",
    "replacing": "{{ ('x' * 99999).replace('x', 'y' * 99999) }}",
    "constants, at compile time": "{{ 'x' | replace('', 'y' * 99999) | replace('y', 'z' * 99999) }}",
    "recursion": "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}",
    "nesting": "{% if 1 %}" * 3000 + "{% endif %}" * 3000,
    "parentheses": "{{ " + "(" * 50_000 + "1" + ")" * 50_000 + " }}",
    "filler text": "{{ lipsum(n=1000000) }}",
    "a source of a megabyte": "x" * 1_000_000,
}

ESCAPES = {
    "classes": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "globals of a cycler": "{{ cycler.__init__.__globals__.os.environ }}",
    "globals through a filter": "{{ (cycler | attr('__init__')).__globals__ }}",
    "a format string": "{{ '{0.__class__.__init__.__globals__}'.format(messages) }}",
    "changing the messages": "{{ messages.append(1) }}",
    "changing a message": "{{ messages[0].update({'content': 'x'}) }}",
    "files": "{% include '/etc/passwd' %}",
    "imports": "{% import 'os' as os %}",
    "an underscored name in a namespace": "{{ namespace(__class__=1) }}",
}


@pytest.mark.timeout(60)  # it gets half a second of processor time
@pytest.mark.parametrize("what", ENDLESS)
def test_a_template_without_end_is_stopped_quickly(sandbox: Sandbox, what: str) -> None:
    with pytest.raises(TemplateLimitError):
        sandbox.render(ENDLESS[what], {"messages": []})


GROWING = (
    "{% set n = namespace(s=[]) %}{% for a in range(99999) %}{% set n.s = n.s + ['x' * 1000000 ~ a] %}{% endfor %}"
)


@pytest.fixture
def without_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """As where Python has neither ``setitimer`` nor ``resource``."""
    script = tmp_path / "worker.py"
    script.write_text(
        "import runpy, signal, sys\n"
        "sys.modules['resource'] = None\n"
        "del signal.setitimer\n"
        f"runpy.run_path({str(sandbox_module._WORKER)!r}, run_name='__main__')\n",
        "utf-8",
    )
    monkeypatch.setattr(sandbox_module, "_WORKER", script)
    sandbox = Sandbox(SandboxLimits(cpu_seconds=0.3))
    yield sandbox
    sandbox.close()


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("template", "limit"), [(ENDLESS["nested loops"], "processor time"), (ENDLESS["gigabytes of output"], "output")]
)
def test_it_is_stopped_from_outside_where_the_system_has_no_limits(
    without_limits: Sandbox, template: str, limit: str
) -> None:
    with pytest.raises(TemplateLimitError, match=limit):
        without_limits.render(template, {})
    assert without_limits.render("{{ 1 + 1 }}", {}) == "2", "others don't wait for it"


@pytest.mark.timeout(60)
def test_its_memory_is_looked_at_from_outside(without_limits: Sandbox) -> None:
    without_limits.limits = SandboxLimits(cpu_seconds=30, memory_bytes=128 << 20)
    with pytest.raises(TemplateLimitError, match="memory"):
        without_limits.render(GROWING, {})


@pytest.mark.timeout(60)
def test_what_neither_computes_nor_grows_ends_by_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "worker.py"
    script.write_text("import sys, time\nsys.stdin.buffer.read(1)\ntime.sleep(60)\n", "utf-8")
    monkeypatch.setattr(sandbox_module, "_WORKER", script)
    sandbox = Sandbox(SandboxLimits(wall_seconds=0.2))
    with pytest.raises(TemplateLimitError, match=r"longer than 0\.2 s"):
        sandbox.render("x", {})
    sandbox.close()


@pytest.mark.parametrize("what", ESCAPES)
def test_a_template_reaches_nothing_outside(sandbox: Sandbox, what: str) -> None:
    with pytest.raises(TemplateError, match="failed"):
        sandbox.render(ESCAPES[what], {"messages": [{"content": "hello"}]})


def test_functions_that_templates_get_show_no_insides(sandbox: Sandbox) -> None:
    assert sandbox.render("[{{ raise_exception.__globals__ }}{{ strftime_now.__code__ }}]", {}) == "[]"
    assert sandbox.render("[{{ '{a.__class__}'.format_map({'a': 1}) }}]", {}) == "[]"


def test_the_rendering_process_knows_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever escaped would find an environment without keys."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-the-owner")
    sandbox = Sandbox()
    try:
        sandbox.render("x", {})
        assert sandbox._worker is not None
        environment = Path(f"/proc/{sandbox._worker.process.pid}/environ").read_bytes()
        assert b"secret" not in environment
    except FileNotFoundError:
        pytest.skip("this system has no /proc")
    finally:
        sandbox.close()


def test_after_a_hostile_template_the_next_one_renders(sandbox: Sandbox) -> None:
    with pytest.raises(TemplateLimitError):
        sandbox.render(ENDLESS["nested loops"], {})
    assert sandbox.render("{{ messages[0].content }}", {"messages": [{"content": "hällo"}]}) == "hällo"


def test_a_template_that_fails_on_every_probe_is_tried_once(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Capabilities are found by rendering: a template without end must not cost its limit ten times."""
    template = ChatTemplate(ENDLESS["nested loops"], sandbox=sandbox)
    ended = 0
    end = Sandbox._stop

    def counting(self: Sandbox) -> int:
        nonlocal ended
        ended += 1
        return end(self)

    monkeypatch.setattr(Sandbox, "_stop", counting)
    with pytest.raises(TemplateLimitError):
        template.render([Message.user("Hello")])
    assert ended <= 3, "one process for each set of probes, and one for the prompt itself"


def test_a_closed_sandbox_leaves_no_process() -> None:
    sandbox = Sandbox()
    sandbox.render("x", {})
    assert sandbox._worker is not None
    pid = sandbox._worker.process.pid
    sandbox.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert sandbox.render("y", {}) == "y"
    sandbox.close()


@pytest.mark.filterwarnings("ignore:subprocess:ResourceWarning")
def test_a_sandbox_that_is_forgotten_leaves_no_process_and_no_thread() -> None:
    before = threading.active_count()
    sandbox = Sandbox()
    sandbox.render("x", {})
    assert sandbox._worker is not None
    pid = sandbox._worker.process.pid
    del sandbox
    gc.collect()
    wait_until(lambda: threading.active_count() == before)
    wait_until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


def test_errors_of_a_template_name_the_line(sandbox: Sandbox) -> None:
    with pytest.raises(TemplateError, match="line 2"):
        sandbox.render("fine\n{% if %}", {})


def test_text_may_hold_any_character(sandbox: Sandbox) -> None:
    text = "\0 \ud83d \U0001f600 \u2028 \x7f"
    assert sandbox.render("{{ text }}", {"text": text}) == text


def test_a_template_that_is_hostile_to_probes_only_is_used_all_the_same(sandbox: Sandbox) -> None:
    """It can't be probed; conversations render, and calls are read in a form that is known."""
    source = (
        "{% for m in messages %}{% if 'needle' in m.content | string %}"
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
        "{% endif %}[{{ m.role }}]{{ m.content }}{% endfor %}"
    )
    template = ChatTemplate(source, sandbox=sandbox)
    assert template.render([Message.user("Hello")]) == "[user]Hello"
    assert template.speech([Tool("ping")]).calls_are == "generic"
    assert template.render([Message.user("Hello")], [Tool("ping")]) == "[user]Hello"


def test_a_flood_behind_the_users_words_is_not_compared() -> None:
    source = "{% for m in messages %}{{ m.content }}{{ '{\"' * 9000 }}{{ m.tool_calls }}{% endfor %}"
    template = ChatTemplate(source)
    assert template.speech([Tool("ping")]).calls_are == "generic"
