"""Fetch the libraries of the page (and the accessibility checker of its tests) from the npm registry that npm is set up for.

``python .ci/page.py [--check]``: each package has a fixed version and the digest of its archive; the files come out of it
unchanged, but for references to source maps and, where a library is no module, the line that makes it one. ``--check`` writes
nothing and fails where a committed file differs. What was written is listed in vendor/SHA256SUMS, which a test reads.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENDOR = "src/parlant_local/server/vendor"
SUMS = ROOT / VENDOR / "SHA256SUMS"
_SOURCE_MAP = re.compile(rb"\n?//# sourceMappingURL=\S+\s*\Z")


@dataclass(frozen=True)
class Package:
    name: str
    version: str
    digest: str
    """SHA-512 of the archive."""
    folder: str
    files: dict[str, str]
    """Path in the archive: name here."""
    exported: dict[str, str] = field(default_factory=dict)
    """Names here of scripts that become modules: the variable that they export."""


PACKAGES = (
    Package(
        "markdown-it",
        "15.0.3",
        "f80cfb3a3cf78911aef0a60cbc9eb1561bebc4fdde13ebc4b495fbe4ec3cf17069710355ff49465f96729c82017ed444a380c2da3b2f78030369e96d9a6f10bd",
        f"{VENDOR}/markdown-it",
        {"dist/browser/markdown-it.esm.min.mjs": "markdown-it.esm.min.mjs", "LICENSE": "LICENSE"},
    ),
    Package(
        "@highlightjs/cdn-assets",
        "11.12.0",
        "2af38a5ce0da88598877dc5aab7c5ce7108bebac152d4b8e9e00db3bd07f91ec1b153a9d19b9f69c9c4d84ddc7e51d5c8034d58fa47cbc7d338223431068e90f",
        f"{VENDOR}/highlight",
        {"es/highlight.min.js": "highlight.min.js", "LICENSE": "LICENSE"},
    ),
    Package(
        "temml",
        "0.13.5",
        "68f9030e0ba76a7a4b34bd2a977d876e896a2dea7ec3c0d17155d1aa5eeb5ab32dfcf85ccdd2e02f8501618554dc162308d8e41aae04ab022272eff35abd623a",
        f"{VENDOR}/temml",
        {
            "dist/temml.min.js": "temml.min.js",
            "dist/Temml-Local.css": "Temml-Local.css",
            "dist/Temml.woff2": "Temml.woff2",
            "LICENSE": "LICENSE",
        },
        exported={"temml.min.js": "temml"},
    ),
    Package(
        "axe-core",
        "4.14.1",
        "1477dafa598d8d065f273d6af302aa203c02e83131707b7fa648cd41bd3d6b734f8c22a0dab86ee6a6f64b8afbe804b214d36db85a2826965edfb3a0b9d546b5",
        "tests/vendor/axe-core",
        {"axe.min.js": "axe.min.js", "LICENSE": "LICENSE", "LICENSE-3RD-PARTY.txt": "LICENSE-3RD-PARTY.txt"},
    ),
)


def main() -> None:
    made = dict(_made())
    sums = "".join(f"{hashlib.sha256(body).hexdigest()}  {path}\n" for path, body in sorted(made.items())).encode()
    made[str(SUMS.relative_to(ROOT))] = sums
    if "--check" in sys.argv[1:]:
        wrong = [
            path for path, body in made.items() if not (ROOT / path).is_file() or (ROOT / path).read_bytes() != body
        ]
        sys.exit(f"These differ from what `make page` writes: {', '.join(wrong)}." if wrong else 0)
    for path, body in made.items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_bytes(body)


def _made() -> Iterator[tuple[str, bytes]]:
    for package in PACKAGES:
        with tarfile.open(fileobj=io.BytesIO(_archive(package)), mode="r:gz") as archive:
            for inside, name in package.files.items():
                member = archive.extractfile(f"package/{inside}")
                if member is None:
                    sys.exit(f"{package.name} {package.version} has no {inside}.")
                body = _SOURCE_MAP.sub(b"", member.read())
                if variable := package.exported.get(name):
                    body += f"\nexport default {variable};\n".encode()
                yield f"{package.folder}/{name}", body


def _archive(package: Package) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", "--json", "--ignore-scripts", "--pack-destination", folder]
        try:
            done = subprocess.run(
                [*command, f"{package.name}@{package.version}"], capture_output=True, text=True, check=True, timeout=300
            )
        except FileNotFoundError:
            sys.exit("npm is needed to fetch the page's libraries (Debian: apt-get install npm).")
        except subprocess.CalledProcessError as error:
            sys.exit(f"{package.name} {package.version} could not be fetched:\n{error.stderr}")
        body = (Path(folder) / json.loads(done.stdout)[0]["filename"]).read_bytes()
    if hashlib.sha512(body).hexdigest() != package.digest:
        sys.exit(f"The archive of {package.name} {package.version} is not the one that was chosen: its digest differs.")
    return body


if __name__ == "__main__":
    main()
