"""One model's chat template: renders conversations as the exact prompt."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from parlant_local.engine.templates.conversation import (
    described_tools,
    fold_systems,
    merge_turns,
    split_text_and_calls,
    starting_with_user,
    template_messages,
    without_tool_roles,
)
from parlant_local.engine.templates.dialect import Dialect, DialectCache, probe_dialect
from parlant_local.engine.templates.fallback import family_template
from parlant_local.engine.templates.named import named_template, template_source
from parlant_local.engine.templates.probing import TOOL, Conversation
from parlant_local.engine.templates.sandbox import Sandbox, shared_sandbox
from parlant_local.engine.templates.speech import Speech, speech_of
from parlant_local.errors import TemplateError, TemplateLimitError
from parlant_local.messages import Message, Tool
from parlant_local.profiles import NamedTemplate, Profile, profile_of

__all__ = ["ChatTemplate", "Speech"]

_DIALECTS = DialectCache()


class ChatTemplate:
    """Renders conversations as the model was trained to read them.

    What the template can't express is rewritten as something it can: a system message as part of the first user message,
    tools in the system message, results as user messages. Everything else renders as Hugging Face's
    ``apply_chat_template`` does.
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
        self.standing_in: str | None = None
        """The name of the fallback template, where the model brings none."""
        self.ends: tuple[str, ...] = ()
        """Texts that end an answer where the template is not the model's own: they may not be tokens of its vocabulary."""
        self.profile: Profile = profile_of(tool_source or source, metadata)
        self.resolved_profile: Profile = self.profile
        """The profile completed with what the template shows, once probed."""
        self._specials = {name: text for name, text in (("bos_token", bos), ("eos_token", eos)) if text}
        self._sandbox = sandbox or shared_sandbox()

    @classmethod
    def of_model(
        cls,
        metadata: Mapping[str, str],
        *,
        bos: str = "",
        eos: str = "",
        chat_format: str | None = None,
        knows: Callable[[str], bool] = lambda _: False,
        sandbox: Sandbox | None = None,
    ) -> ChatTemplate:
        """The template of a GGUF, or the one that ``chat_format`` names; its family's or the default one where there is none.

        ``knows``: whether a text is one token of the vocabulary, which identifies the family. Raises :class:`ConfigurationError` for an unknown ``chat_format``.
        """
        warnings: tuple[str, ...] = ()
        tool_source: str | None = None
        ends: tuple[str, ...] = ()
        found: NamedTemplate | None = None
        if chat_format:
            source = template_source(chat_format)
            ends = named.ends if (named := named_template(chat_format)) is not None else ()
        elif own := metadata.get("tokenizer.chat_template"):
            source = own
            tool_source = metadata.get("tokenizer.chat_template.tool_use")
        else:
            found = family_template(metadata, knows)
            source, ends = found.source, found.ends
            warnings = (
                f"This model has no chat template; {found.name} is used. "
                "If its answers make no sense, set another one with chat_format.",
            )
        template = cls(source, bos=bos, eos=eos, metadata=metadata, tool_source=tool_source, sandbox=sandbox)
        template.warnings = warnings
        template.ends = ends
        template.standing_in = found.name if found is not None else None
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

        Raises :class:`TemplateError` with the template's own message, or with the limit that it exceeded.
        """
        source = self._source(bool(tools))
        dialect = self.dialect(with_tools=bool(tools))
        can, form = dialect.capabilities, self.speech(tools).calls
        conversation = tuple(messages)
        listed: Sequence[Mapping[str, Any]] | None = [tool.to_openai() for tool in tools] or None
        if listed and not can.tools:
            conversation, listed = described_tools(conversation, tools, form), None
        # A template that passes every role through also renders tool results, for a model that was never trained on that role.
        results = can.tool_results and (can.tool_calls or self.profile.tools != "json")
        conversation = without_tool_roles(conversation, form, calls=not can.tool_calls, results=not results)
        if not can.calls_beside_text:
            conversation = split_text_and_calls(conversation)
        if not (can.system and can.late_systems):
            conversation = fold_systems(conversation, keep_first=can.system)

        ids = self.profile.call_ids

        def attempt(version: Sequence[Message], shown: Sequence[Mapping[str, Any]] | None = listed) -> str:
            entries = template_messages(version, can, ids=ids, thoughts=dialect.marks.field)
            return self._sandbox.render(source, self._variables(entries, shown, add_generation_prompt, arguments or {}))

        try:
            return _first_that_renders(attempt, conversation)
        except TemplateLimitError:
            raise
        except TemplateError:
            if ids == "given" and any(message.tool_calls for message in conversation):
                ids = "short"  # some templates require them, as Mistral's do
                with contextlib.suppress(TemplateError):
                    return _first_that_renders(attempt, conversation)
            if not listed:
                with contextlib.suppress(TemplateError):  # some can do without a tool, but not without a list of them
                    return _first_that_renders(lambda version: attempt(version, []), conversation)
                raise
            # Templates fail on schemas that they did not foresee: then the tools are described in the system message.
            described = described_tools(conversation, tools, form)
            try:
                return _first_that_renders(lambda version: attempt(version, None), described)
            except TemplateError:  # some templates accept no tools, but require the list
                return _first_that_renders(lambda version: attempt(version, []), described)

    def speech(self, tools: Sequence[Tool] = ()) -> Speech:
        """How to parse the model's answers, and how to constrain calls of ``tools``."""
        dialect = self.dialect(with_tools=bool(tools))
        speech = speech_of(self.profile, dialect, tools)
        self.resolved_profile = speech.profile
        return speech

    def dialect(self, *, with_tools: bool) -> Dialect:
        """What the template can express, probed by rendering on the first call (some 60 ms)."""
        source = self._source(with_tools)

        def render_all(conversations: Sequence[Conversation]) -> list[str | None]:
            def rendered(no_tools: list[Any] | None) -> list[str | None]:
                found = self._sandbox.render_all(
                    source,
                    [
                        self._variables(
                            conversation.messages,
                            [TOOL] if conversation.tools else no_tools,
                            conversation.prompt,
                            conversation.arguments,
                        )
                        for conversation in conversations
                    ],
                )
                return [None if isinstance(text, TemplateError) else text for text in found]

            found = rendered(None)
            # As in rendering: some want a list of tools where there is none.
            return found if with_tools or any(text is not None for text in found) else rendered([])

        key = (source, *self._specials.values(), str(with_tools))
        return _DIALECTS.get(key, lambda: probe_dialect(render_all, with_tools=with_tools))

    def _family_variables(self, tools: Sequence[Mapping[str, Any]] | None) -> dict[str, str]:
        wanted = self.profile.variables
        found = {}
        if "functions" in wanted:
            found["functions"] = json.dumps([tool["function"] for tool in tools or ()], indent=4, ensure_ascii=False)
        if "datetime" in wanted:
            found["datetime"] = time.strftime("%Y-%m-%d")
        return found

    def _source(self, with_tools: bool) -> str:
        return self.tool_source if with_tools and self.tool_source else self.source

    def _variables(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None,
        add_generation_prompt: bool,
        arguments: Mapping[str, Any],
    ) -> dict[str, Any]:
        return {
            **self._specials,
            **self._family_variables(tools),
            **arguments,
            "messages": messages,
            "tools": tools,
            "documents": None,
            "add_generation_prompt": add_generation_prompt,
        }


def _first_that_renders(attempt: Callable[[Sequence[Message]], str], messages: Sequence[Message]) -> str:
    """Unchanged; else with consecutive messages of a role merged; else starting with the user; else without system roles."""
    try:
        return attempt(messages)
    except TemplateLimitError:
        raise
    except TemplateError as error:
        folded = fold_systems(messages, keep_first=False)
        tried = {tuple(messages)}
        for version in (
            _thoughts_beside_calls_dropped(messages),
            merge_turns(messages),
            merge_turns(fold_systems(messages, keep_first=True)),
            merge_turns(starting_with_user(messages)),
            merge_turns(starting_with_user(fold_systems(messages, keep_first=True))),
            merge_turns(folded),
            merge_turns(starting_with_user(folded)),
        ):
            if tuple(version) in tried:
                continue
            tried.add(tuple(version))
            try:
                return attempt(version)
            except TemplateError:
                continue
        raise error from None


def _thoughts_beside_calls_dropped(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Without thoughts where a message also has text and calls: some templates support two of the three only."""
    return tuple(
        replace(message, reasoning=None) if message.tool_calls and message.content and message.reasoning else message
        for message in messages
    )
