"""Which files of a repository form one model, and which quantization a reference means."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from parlant_local.catalog.disk import human_bytes
from parlant_local.catalog.names import model_stem
from parlant_local.errors import BadReferenceError, InvalidModelError, ModelNotFoundError
from parlant_local.gguf_info import shard_names, shard_number

__all__ = ["Candidate", "candidates", "choose", "fits", "quantization_of", "without_quantization"]

_DEFAULT = "Q4_K_M"
_LABEL = re.compile(
    r"(?:^|[-._/])((?:UD-)?(?:I?Q\d(?:_[A-Z0-9]+)*|TQ[12]_0|(?:MX|NV)FP4(?:_MOE)?|BF16|F16|F32|FP16|FP32))(?=$|[-._/])",
    re.IGNORECASE,
)
_NO_MODEL = re.compile(r"(^|[-._/])(mmproj|imatrix)", re.IGNORECASE)
_UNQUANTIZED = ("F32", "F16", "BF16", "FP16", "FP32")
# Room for the KV cache and compute buffers besides the weights.
_OVERHEAD = 1.15


@dataclass(frozen=True, slots=True)
class Candidate:
    """One model in a repository: a file, or all the shards of one."""

    files: tuple[str, ...]
    sizes: tuple[int, ...]
    quantization: str | None

    @property
    def size(self) -> int:
        return sum(self.sizes)

    @property
    def stem(self) -> str:
        return model_stem(self.files[0])


def fits(size: int, memory: int) -> bool:
    """Whether a model of ``size`` bytes runs in ``memory``, by a rule of thumb: a header says it exactly."""
    return size * _OVERHEAD <= memory


def quantization_of(path: str) -> str | None:
    """The label in a file's name (``Q4_K_M``), or else in its folder's."""
    folder, _, _ = path.rpartition("/")
    for text in (model_stem(path), folder):
        if labels := _LABEL.findall(text):
            return str(labels[-1]).upper()
    return None


def without_quantization(name: str) -> str:
    """``name`` without its label, for a model that is made in another one."""
    return _LABEL.sub("", name).strip("-._/") or name


def candidates(files: Mapping[str, int]) -> tuple[list[Candidate], list[str]]:
    """Models among ``files`` (path to size), and why others are excluded: incomplete sets of shards."""
    found: dict[tuple[str, ...], Candidate] = {}
    problems = []
    for path in sorted(files):
        if not path.lower().endswith(".gguf") or _NO_MODEL.search(path):
            continue
        folder, slash, name = path.rpartition("/")
        names = tuple(f"{folder}{slash}{item}" for item in shard_names(name))
        if names in found:
            continue
        if missing := [item for item in names if item not in files]:
            if (number := shard_number(name)) is not None:
                problems.append(f"{path} is shard {number[0]} of {number[1]}, but {missing[0]} is missing")
            continue
        found[names] = Candidate(names, tuple(files[item] for item in names), quantization_of(names[0]))
    return list(found.values()), list(dict.fromkeys(problems))


def choose(
    repo: str, files: Mapping[str, int], *, quantization: str | None, file: str | None, memory: int
) -> Candidate:
    """The model that the reference means: the file, the quantization, else Q4_K_M, else the largest that fits ``memory``.

    Raises :class:`ModelNotFoundError` naming the available ones, :class:`InvalidModelError` for an incomplete set of shards.
    """
    found, problems = candidates(files)
    if file is not None:
        return _by_file(repo, files, found, problems, file)
    if not found:
        if problems:
            raise InvalidModelError(
                f"{repo} has no complete model: {problems[0]}.", hint="Ask its author to upload the missing shards."
            )
        raise ModelNotFoundError(f"{repo} has no GGUF model.", hint="Look for a conversion whose name ends in -GGUF.")
    if quantization is not None:
        return _by_label(repo, found, quantization)
    for exact in _labelled(found, _DEFAULT):
        return exact
    quantized = [item for item in found if item.quantization not in _UNQUANTIZED] or found
    fitting = [item for item in quantized if fits(item.size, memory)]
    return max(fitting, key=lambda item: item.size) if fitting else min(quantized, key=lambda item: item.size)


def _by_file(repo: str, files: Mapping[str, int], found: list[Candidate], problems: list[str], file: str) -> Candidate:
    for item in found:
        if file in item.files:
            return item
    if file not in files:
        near = [item.files[0] for item in found]
        raise ModelNotFoundError(
            f"{repo} has no file {file!r}.", near=near[:6], hint=f"It has: {', '.join(near[:6]) or 'no GGUF files'}."
        )
    for problem in problems:
        if file in problem:
            raise InvalidModelError(f"{repo}: {problem}.", hint="Ask its author to upload the missing shards.")
    raise InvalidModelError(f"{file} in {repo} is not a model: it is a projector or an importance matrix.")


def _labelled(found: Iterable[Candidate], label: str) -> list[Candidate]:
    return [item for item in found if item.quantization == label]


def _by_label(repo: str, found: list[Candidate], quantization: str) -> Candidate:
    wanted = quantization.upper()
    matches = (
        _labelled(found, wanted)
        or _labelled(found, f"UD-{wanted}")
        or [item for item in found if (item.quantization or "").startswith(f"{wanted}_")]
    )
    if len({item.stem.lower() for item in matches}) > 1 and len(_labelled(matches, f"{wanted}_K_M")) == 1:
        matches = _labelled(matches, f"{wanted}_K_M")
    if not matches:
        listed = ", ".join(f"{item.quantization or item.files[0]} ({human_bytes(item.size)})" for item in found[:12])
        raise ModelNotFoundError(f"{repo} has no quantization {quantization!r}.", hint=f"It has: {listed}.")
    if len(matches) > 1:
        names = ", ".join(item.files[0] for item in matches[:6])
        raise BadReferenceError(
            f"{repo}:{quantization} matches several files: {names}.", hint=f"Name one: {repo}/{matches[0].files[0]}."
        )
    return matches[0]
