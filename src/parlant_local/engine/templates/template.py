"""One model's chat template: conversations in, the exact prompt out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from parlant_local.engine.parsing.formats import CALL_FORMATS
from parlant_local.engine.templates.capabilities import Capabilities, probe
from parlant_local.engine.templates.conversation import (
    described_tools,
    fold_systems,
    led_by_user,
    merge_turns,
    template_messages,
    without_tool_roles,
)
from parlant_local.engine.templates.named import DEFAULT_TEMPLATE, NAMED_TEMPLATES, template_source
from parlant_local.engine.templates.sandbox import Sandbox, shared_sandbox
from parlant_local.errors import TemplateError, TemplateLimitError
from parlant_local.messages import Message, Tool
from parlant_local.profiles import Profile, profile_of

__all__ = ["ChatTemplate"]


class ChatTemplate:
    """Renders conversations as the model was taught to read them.

    What the template can't express is told in words it can: a system message in the first user message, tools in the
    system message, results as user messages. Everything else renders as Hugging Face's ``apply_chat_template`` does.
    """

    def __init__(
        self,
        source: str,
        *,
        bos: str = "",
        eos: str = "",
        metadata: Mapping[str, str] | None = None,
        tool_source: str | None = None,
        sandbox: Sandbox | None = None,
    ) -> None:
        self.source = source
        self.tool_source = tool_source
        """A second template that some models bring for conversations with tools."""
        self.warnings: tuple[str, ...] = ()
        self.profile: Profile = profile_of(tool_source or source, metadata)
        self._specials = {name: text for name, text in (("bos_token", bos), ("eos_token", eos)) if text}
        self._sandbox = sandbox or shared_sandbox()
        self._probing = threading.Lock()
        self._found: dict[tuple[str, bool], Capabilities] = {}

    @classmethod
    def of_model(
        cls,
        metadata: Mapping[str, str],
        *,
        bos: str = "",
        eos: str = "",
        chat_format: str | None = None,
        sandbox: Sandbox | None = None,
    ) -> ChatTemplate:
        """The template of a GGUF, or the one that ``chat_format`` names; the default one where there is none.

        Raises :class:`ConfigurationError` for an unknown ``chat_format``.
        """
        warnings: tuple[str, ...] = ()
        tool_source: str | None = None
        if chat_format:
            source = template_source(chat_format)
        elif own := metadata.get("tokenizer.chat_template"):
            source = own
            tool_source = metadata.get("tokenizer.chat_template.tool_use")
        else:
            source = NAMED_TEMPLATES[DEFAULT_TEMPLATE]
            warnings = (
                f"This model has no chat template; {DEFAULT_TEMPLATE} is used. "
                "If its answers make no sense, name another one with chat_format.",
            )
        template = cls(source, bos=bos, eos=eos, metadata=metadata, tool_source=tool_source, sandbox=sandbox)
        template.warnings = warnings
        return template

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool] = (),
        *,
        add_generation_prompt: bool = True,
        arguments: Mapping[str, Any] | None = None,
    ) -> str:
        """The prompt. ``arguments`` are passed to the template (``enable_thinking``).

        Raises :class:`TemplateError` with the template's own complaint, or with the limit that it exceeded.
        """
        source = self.tool_source if tools and self.tool_source else self.source
        can = self._capabilities(source, bool(tools))
        form = CALL_FORMATS[self.profile.tools]
        conversation = tuple(messages)
        listed: Sequence[Mapping[str, Any]] | None = [tool.to_openai() for tool in tools] or None
        if listed and not can.tools:
            conversation, listed = described_tools(conversation, tools, form), None
        # A template that passes every role through shows results of tools, too, to a model that never saw such a role.
        results = can.tool_results and (can.tool_calls or self.profile.tools != "json")
        conversation = without_tool_roles(conversation, form, calls=not can.tool_calls, results=not results)
        if not (can.system and can.late_systems):
            conversation = fold_systems(conversation, keep_first=can.system)

        def attempt(version: Sequence[Message]) -> str:
            entries = template_messages(version, can, short_ids=self.profile.tools == "mistral")
            return self._raw(source, entries, listed, add_generation_prompt, arguments or {})

        return _first_that_renders(attempt, conversation)

    def _raw(
        self,
        source: str,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None,
        add_generation_prompt: bool,
        arguments: Mapping[str, Any],
    ) -> str:
        return self._sandbox.render(
            source,
            {
                **self._specials,
                **arguments,
                "messages": messages,
                "tools": tools,
                "documents": None,
                "add_generation_prompt": add_generation_prompt,
            },
        )

    def _capabilities(self, source: str, with_tools: bool) -> Capabilities:
        with self._probing:
            key = (source, with_tools)
            if key not in self._found:
                self._found[key] = probe(
                    lambda messages, tools: self._raw(source, messages, tools, True, {}), with_tools=with_tools
                )
            return self._found[key]


def _first_that_renders(attempt: Callable[[Sequence[Message]], str], messages: Sequence[Message]) -> str:
    """As it stands; else with neighbours of one role merged; else begun by the user; else with no system role anywhere."""
    try:
        return attempt(messages)
    except TemplateLimitError:
        raise
    except TemplateError as error:
        folded = fold_systems(messages, keep_first=False)
        tried = {tuple(messages)}
        for version in (
            merge_turns(messages),
            merge_turns(fold_systems(messages, keep_first=True)),
            merge_turns(led_by_user(messages)),
            merge_turns(led_by_user(fold_systems(messages, keep_first=True))),
            merge_turns(folded),
            merge_turns(led_by_user(folded)),
        ):
            if tuple(version) in tried:
                continue
            tried.add(tuple(version))
            try:
                return attempt(version)
            except TemplateError:
                continue
        raise error from None
