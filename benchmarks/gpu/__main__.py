"""``python -m benchmarks.gpu``: every step within its time, and the table, in $OUT. ``DRY=1``: on the processor, nothing is built."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from benchmarks.gpu.build import SITE
from benchmarks.gpu.pack import PACK, ROOT
from benchmarks.gpu.steps import Step, run_all, table

SECONDS = 690
"""Of the twelve minutes that there are."""


def steps(*, dry: bool) -> list[Step]:
    paths = [str(ROOT), str(ROOT / "src"), *([] if dry else [str(SITE)]), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {"PYTHONPATH": os.pathsep.join(paths), **({"DRY": "1"} if dry else {})}

    def step(name: str, seconds: float, *needs: str, module: str = "measures") -> Step:
        known = tuple(need for need in needs if not dry or need not in ("packages", "build"))
        return Step(name, [sys.executable, "-m", f"benchmarks.gpu.{module}", name], seconds, known, environment)

    building = [step("packages", 90, module="preparing"), step("build", 480, "packages", module="preparing")]
    return [
        step("machine", 40, module="preparing"),
        *([] if dry else building),
        step("library", 60, "build"),
        step("models", 120, "library"),
        step("equality", 120, "models"),
        step("sizing", 90, "models"),
        step("W", 120, "models"),
        step("C", 60, "models"),
        step("T", 180, "models"),
        step("tuning", 150, "W"),
    ]


def main() -> None:
    dry = bool(os.environ.get("DRY"))
    out = Path(os.environ.get("OUT") or PACK / "out")
    done = run_all(steps(dry=dry), out, SECONDS)
    print(table(done))
    print(f"Written to {out / 'gpu-check.md'}, with what each step said beside it.", file=sys.stderr)
    sys.exit(any(each.outcome != "ok" for each in done))


if __name__ == "__main__":
    main()
