"""Changes a model's metadata: keys, chat template, special tokens. The tensors are copied byte for byte."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from parlant_local.catalog import LocalModel, LocalModelManager
from parlant_local.errors import BadRequestError
from parlant_local.gguf_info import Entry, GGUFHeader, read_entries, read_file_header, read_strings
from parlant_local.workshop.control import Control
from parlant_local.workshop.copying import Meter, Piece, Source, Weight, write_file
from parlant_local.workshop.products import material, produce, product_file, shard_of
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

    def alignment(self) -> int:
        value = self.header.metadata.get("general.alignment", 32)
        assert isinstance(value, int)  # the reader has checked it
        return value


def edit(
    model: str | Path,
    *,
    changes: Sequence[str] = (),
    removals: Sequence[str] = (),
    template: str | None = None,
    tokens: Mapping[str, str] | None = None,
    name: str | None = None,
    output: str | Path | None = None,
    manager: LocalModelManager | None = None,
    control: Control | None = None,
) -> LocalModel:
    """A copy of ``model`` with other metadata, in the catalogue.

    ``changes``: each ``KEY=VALUE`` or ``KEY:TYPE=VALUE``; a key keeps its type where none is named. ``template``: the text of the
    chat template. ``tokens``: a special token's name (:data:`SPECIAL_TOKENS`) and its text in the vocabulary, or number. A model in
    several files keeps them. ``output``: the file to write instead of one in the models folder; split models get one for each
    shard. Raises :class:`BadRequestError` for what can't be changed so, :class:`CatalogError` and its kinds.
    """
    manager, control = manager or LocalModelManager(), control or Control()
    with material(manager, model, control) as source:
        paths = source.paths
        wanted = [parsed_change(each) for each in changes]
        if template is not None:
            wanted.append(text_change(_TEMPLATE, template))
        wanted += [_token_change(paths[0], each, text) for each, text in (tokens or {}).items()]
        _check(wanted, removals)
        chosen = name or f"{source.title}-edited"
        target = product_file(manager, chosen, output)
        plans = [planned(paths[0], wanted, removals), *(planned(path, (), ()) for path in paths[1:])]
        meter = Meter(control, f"Copying {source.title}", sum(plan.header.weights_bytes for plan in plans))

        def write(path: Path) -> None:
            for number, plan in enumerate(plans):
                write_plan(shard_of(path, number, len(plans)), plan, meter)

        return produce(
            manager,
            target,
            name=chosen,
            verb="edit",
            source=source,
            options={
                "set": list(changes),
                "remove": list(removals),
                "template": template and "from a file",
                "tokens": [f"{key}={value}" for key, value in (tokens or {}).items()],
            },
            size=sum(path.stat().st_size for path in paths) + sum(len(each.text.encode()) for each in wanted),
            write=write,
            shards=len(plans),
        )


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
