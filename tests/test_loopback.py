"""Which hosts are this machine, and which only look like it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parlant_local.backends.addresses import is_remote
from parlant_local.catalog.references import parse_reference
from parlant_local.errors import ParlantLocalError
from parlant_local.loopback import address_of, host_in, is_loopback

HERE = ["localhost", "LocalHost", "localhost.", "a.localhost", "deep.er.localhost.", "127.0.0.1", "127.255.0.9", "::1",
        "[::1]", "::1%lo", "[::1%1]", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1", "[::FFFF:127.8.8.8]"]  # fmt: skip
ELSEWHERE = ["", ".", "..", "127.evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "evil.localhost.example",
             "localhost..", ".localhost", "a..localhost", "evil/.localhost", "evil.example#.localhost", "a b.localhost",
             "notlocalhost", "ｌocalhost", "127.1", "0177.0.0.1", "0x7f.0.0.1", "0x7f000001", "2130706433", "127.0.0.1.",
             "127.0.0.01", "١٢٧.0.0.1", "127。0。0。1", "127.0.0.1:80", "localhost:80", "user@localhost", "127.0.0.1@evil",
             "::ffff:8.8.8.8", "::2", "fe80::1%lo", "::1%", "::1%\nx", "[::1", "::1]", "[[::1]]", "[127.0.0.1].evil",
             "0.0.0.0", "::", "10.0.0.1", "169.254.0.1", "loca\nlhost", "localhost\n", "\x00localhost"]  # fmt: skip


@pytest.mark.parametrize("host", HERE)
def test_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ELSEWHERE)
def test_what_somebody_else_may_define(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("authority", "host"),
    [("localhost", "localhost"), ("LocalHost:8080", "localhost"), ("127.0.0.1:", "127.0.0.1"), ("[::1]:80", "[::1]"),
     ("[::1]", "[::1]"), ("name.example.:1", "name.example."),
     ("", None), (":80", None), ("[", None), ("[::1", None), ("[::1]x", None), ("[::1]:x", None), ("[evil]", None), ("a:b", None),
     ("a:1:2", None), ("::1", None), ("evil@localhost", None), ("localhost@evil", None), ("localhost/evil", None), ("a b", None),
     ("a\\b", None), ("a?b", None), ("a#b", None), ("ａ", None), ("a:１", None), ("a\x1b", None)],
)  # fmt: skip
def test_the_host_of_a_header(authority: str, host: str | None) -> None:
    assert host_in(authority) == host


@given(st.text(max_size=40) | st.from_regex(r"[0-9a-fx.:\[\]%@]{0,24}", fullmatch=True))
def test_nothing_strange_breaks_it(text: str) -> None:
    host = host_in(text)
    if is_loopback(text):
        assert not is_remote(f"http://{text}" if text.startswith("[") or ":" not in text else f"http://[{text}]")
        assert address_of(text) is not None or text.isascii()
    assert host is None or host == host.lower()


@pytest.mark.parametrize(
    "text", ["owner\n/repo", "owner/repo\n:Q4_K_M", "ollama://host\n/ns/name", "ollama://ns\n/name:tag"]
)
def test_a_line_break_is_no_part_of_a_reference(text: str) -> None:
    with pytest.raises(ParlantLocalError):
        parse_reference(text)
