"""Changes a model's metadata: keys, chat template, special tokens. The tensors are copied byte for byte."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from parlant_local.catalog import LocalModel, LocalModelManager
from parlant_local.errors import BadRequestError
from parlant_local.gguf_info import Entry, GGUFHeader, read_entries, read_file_header, read_strings
from parlant_local.paths import file_identity
from parlant_local.workshop.control import Control
from parlant_local.workshop.copying import Meter, Piece, Source, Weight, write_file
from parlant_local.workshop.in_place import (
    adapter_material,
    adapter_named,
    beside,
    check_content,
    check_own,
    rewritten,
)
from parlant_local.workshop.products import making, material, produce, product_file, shard_of
from parlant_local.workshop.values import Change, encoded, parsed_change, text_change

__all__ = ["SPECIAL_TOKENS", "edit"]

SPECIAL_TOKENS: Mapping[str, str] = {
    **{name: name for name in ("bos", "eos", "eot", "eom", "mask", "fim_pre", "fim_suf", "fim_mid")},
    **{name: name for name in ("fim_pad", "fim_rep", "fim_sep")},
    "unk": "unknown",
    "sep": "seperator",
    "pad": "padding",
}
"""By the part of their key in GGUF, one of which is spelled so."""
_TEMPLATE = "tokenizer.chat_template"
_TOKENS = "tokenizer.ggml.tokens"
_LAYOUT = ("split.no", "split.count", "split.tensors.count")


@dataclass(frozen=True, slots=True)
class Plan:
    """A file's entries as they will be, and its tensors as they are."""

    header: GGUFHeader
    entries: tuple[Piece, ...]

    @property
    def size(self) -> int:
        """Bytes, at most."""
        metadata = sum(len(each) if isinstance(each, bytes) else each.size for each in self.entries)
        return self.header.file_size + metadata

    def alignment(self) -> int:
        value = self.header.metadata.get("general.alignment", 32)
        assert isinstance(value, int)  # the reader has checked it
        return value


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be changed."""

    changes: Sequence[str]
    removals: Sequence[str]
    template: str | None
    tokens: Mapping[str, str]

    def of(self, path: Path) -> list[Change]:
        """For the file with the metadata. Raises :class:`BadRequestError`."""
        wanted = [parsed_change(each) for each in self.changes]
        if self.template is not None:
            wanted.append(text_change(_TEMPLATE, self.template))
        wanted += [_token_change(path, name, text) for name, text in self.tokens.items()]
        _check(wanted, self.removals)
        return wanted

    def told(self) -> dict[str, object]:
        """As the catalogue keeps it."""
        return {
            "set": list(self.changes),
            "remove": list(self.removals),
            "template": self.template and "from a file",
            "tokens": [f"{key}={value}" for key, value in self.tokens.items()],
        }


def edit(
    model: str | Path,
    *,
    changes: Sequence[str] = (),
    removals: Sequence[str] = (),
    template: str | None = None,
    tokens: Mapping[str, str] | None = None,
    name: str | None = None,
    output: str | Path | None = None,
    in_place: bool = False,
    manager: LocalModelManager | None = None,
    control: Control | None = None,
) -> LocalModel:
    """A copy of ``model`` with other metadata, in the catalogue; or, ``in_place``, the model itself or an adapter.

    ``changes``: each ``KEY=VALUE`` or ``KEY:TYPE=VALUE``; a key keeps its type where none is named. ``template``: the text of the
    chat template. ``tokens``: a special token's name (:data:`SPECIAL_TOKENS`) and its text in the vocabulary, or number. A model in
    several files keeps them. ``output``: the file to write instead of one in the models folder; split models get one for each
    shard. Raises :class:`BadRequestError` for what can't be changed so, :class:`CatalogError` and its kinds.
    """
    manager, control = manager or LocalModelManager(), control or Control()
    wish = Wish(changes, removals, template, tokens or {})
    adapter = adapter_named(manager, model)
    if in_place:
        if name is not None or output is not None:
            raise BadRequestError(
                "What is changed in place keeps its name and its file.", hint="Without --in-place a copy is made."
            )
        return _changed(manager, control, model, wish, adapter)
    if adapter is not None:
        raise BadRequestError(
            f"{adapter.name} is an adapter, which is only changed in place.", hint="Copy its file, and give --in-place."
        )
    with material(manager, model, control) as source:
        paths = source.paths
        plans = [planned(paths[0], wish.of(paths[0]), removals), *(planned(path, (), ()) for path in paths[1:])]
        chosen = name or f"{source.title}-edited"
        meter = Meter(control, f"Copying {source.title}", sum(plan.header.weights_bytes for plan in plans))

        def write(path: Path) -> None:
            for number, plan in enumerate(plans):
                write_plan(shard_of(path, number, len(plans)), plan, meter)

        return produce(
            manager,
            product_file(manager, chosen, output),
            name=chosen,
            verb="edit",
            source=source,
            options=wish.told(),
            size=sum(plan.size for plan in plans),
            write=write,
            shards=len(plans),
        )


def _changed(
    manager: LocalModelManager, control: Control, model: str | Path, wish: Wish, adapter: Path | None
) -> LocalModel:
    """Only the first file of a model has what can be changed."""
    reading = material(manager, model, control) if adapter is None else adapter_material(adapter, control)
    with ExitStack() as stack:
        with reading as source:
            check_own(source)
            path = source.paths[0]
            identity, plan = file_identity(path), planned(path, wish.of(path), wish.removals)
            scratch = stack.enter_context(beside(path, plan.size))
            write_plan(scratch, plan, Meter(control, f"Copying {source.title}", plan.header.weights_bytes))
            check_content(manager, scratch, source, adapter=adapter is not None)
        made = making("edit", source, wish.told() | {"in_place": True})
        return rewritten(manager, source, scratch, made, control, identity)


def planned(path: Path, changes: Iterable[Change], removals: Iterable[str]) -> Plan:
    """What becomes of one file. New keys come last; the others stay in their order."""
    header = read_file_header(path)
    entries = {entry.key: entry for entry in read_entries(path)}
    pieces: dict[str, Piece] = {
        key: Source(path, entry.start, entry.end - entry.start) for key, entry in entries.items()
    }
    for key in removals:
        if pieces.pop(key, None) is None:
            raise BadRequestError(f"{path.name} has no metadata key {key!r}.", hint="`parlant-local show` lists them.")
    for change in changes:
        pieces[change.key] = _encoded(change, entries.get(change.key))
    return Plan(header, tuple(pieces.values()))


def write_plan(target: Path, plan: Plan, meter: Meter) -> None:
    header = plan.header
    weights = [weight_of(header, at) for at in range(len(header.tensors))]
    write_file(target, plan.entries, weights, version=header.version, alignment=plan.alignment(), meter=meter)


def weight_of(header: GGUFHeader, at: int) -> Weight:
    info = header.tensors[at]
    return Weight(info, Source(header.path, header.header_bytes + info.offset, info.nbytes))


def _encoded(change: Change, entry: Entry | None) -> bytes:
    return encoded(change, None, None) if entry is None else encoded(change, entry.kind, entry.item_kind)


def _check(changes: Sequence[Change], removals: Sequence[str]) -> None:
    keys = [*(change.key for change in changes), *removals]
    if not keys:
        raise BadRequestError("Nothing is to be changed.", hint="Give --set, --remove, --template or --token.")
    if twice := next((key for key in keys if keys.count(key) > 1), None):
        raise BadRequestError(f"{twice} is named twice.")
    for key in keys:
        if key in _LAYOUT:
            raise BadRequestError(f"{key} says how a model is divided into files.", hint="`split` and `merge` do that.")
        if key == "general.alignment":
            raise BadRequestError("general.alignment says where the tensors lie, and is not changed by itself.")


def _token_change(path: Path, name: str, text: str) -> Change:
    if name not in SPECIAL_TOKENS:
        raise BadRequestError(f"{name!r} is not a special token.", hint=f"They are {', '.join(SPECIAL_TOKENS)}.")
    vocabulary = next((entry for entry in read_entries(path) if entry.key == _TOKENS), None)
    if vocabulary is None:
        raise BadRequestError(f"{path.name} has no vocabulary.")
    known, wanted = 0, text.encode()
    for number, token in enumerate(read_strings(path, vocabulary)):
        if token == wanted:
            return Change(f"tokenizer.ggml.{SPECIAL_TOKENS[name]}_token_id", str(number), 4)
        known += 1
    if text.isascii() and text.isdigit() and int(text) < known:
        return Change(f"tokenizer.ggml.{SPECIAL_TOKENS[name]}_token_id", text, 4)
    raise BadRequestError(f"The vocabulary of {path.name} has no token {text!r}.")
