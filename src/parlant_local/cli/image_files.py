"""Where pictures go: names by their seeds, whole files, and none that was there before."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from parlant_local.errors import BadRequestError, StateFileError
from parlant_local.paths import is_dir, user_path
from parlant_local.storage import scratch_for, write_whole

if TYPE_CHECKING:
    from parlant_local.images import ImageRequest

__all__ = ["PictureFiles"]


class PictureFiles:
    """The files of one request. What can be told before the work is checked here; raises :class:`BadRequestError`."""

    def __init__(self, output: str | None, request: ImageRequest, *, force: bool, as_json: bool) -> None:
        self.to_output = output == "-"
        """Whether the picture itself goes to standard output."""
        self._force = force
        self._single = request.count == 1
        if self.to_output:
            _check_output(request, as_json=as_json)
            return
        self._named = output is not None and not is_dir(output)
        place = user_path(output if output is not None else ".")
        self._folder, self._stem, self._suffix = (
            (place.parent, place.stem, place.suffix or ".png") if self._named else (place, "picture", ".png")
        )
        self._check(output or "")

    def _check(self, output: str) -> None:
        if not is_dir(self._folder) or (self._named and output[-1:] in ("", "/", os.sep)):
            raise BadRequestError(f"There is no folder {output or self._folder!s:.200}.", hint="Make it first.")
        if not os.access(self._folder, os.W_OK):
            raise BadRequestError(f"Nothing can be written to the folder {self._folder}.")
        if self._suffix.lower() != ".png":
            raise BadRequestError(
                f"{self._path('').name} is no name of a PNG file.", hint="Pictures are written as .png."
            )
        if self._named and self._single and not self._force and _is_taken(self._path("")):
            raise BadRequestError(
                f"{self._path('')} is there already.", hint="Choose another name, or overwrite it with --force."
            )
        _is_taken(self._path("-" + "9" * 24))

    def write(self, data: bytes, seed: int | None) -> str:
        """The name that the picture got."""
        if self.to_output:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
            return "-"
        return str(next(path for path in self._candidates(seed) if self._put(path, data)))

    def _put(self, path: Path, data: bytes) -> bool:
        if not self._force:
            return _written(path, data)
        write_whole(path, data)
        return True

    def _candidates(self, seed: int | None) -> Iterator[Path]:
        if self._named and self._single:
            yield self._path("")  # somebody else may have taken it meanwhile: the work is not thrown away
        numbered = "" if seed is None else f"-{seed}"
        if not (self._named and not numbered):
            yield self._path(numbered)
        for number in itertools.count(2 if numbered or not self._named else 1):
            yield self._path(f"{numbered}-{number}")

    def _path(self, addition: str) -> Path:
        return self._folder / f"{self._stem}{addition}{self._suffix}"


def _is_taken(path: Path) -> bool:
    """Raises :class:`BadRequestError` where no file can have this name."""
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise BadRequestError(f"{path.name[:80]} can't be written: {reason}.") from None
    return True


def _check_output(request: ImageRequest, *, as_json: bool) -> None:
    if as_json:
        raise BadRequestError(
            "--json and the picture can't both go to standard output.", hint="Name a file with --output."
        )
    if request.count != 1:
        raise BadRequestError("Standard output takes one picture.", hint="Leave out --count, or name a file.")
    if sys.stdout.isatty():
        raise BadRequestError("A terminal shows no pictures.", hint="Redirect the output, or name a file.")


def _written(path: Path, data: bytes) -> bool:
    """False where ``path`` is taken. The file appears whole, and never in the place of another."""
    scratch = scratch_for(path)
    try:
        write_whole(scratch, data)
        try:
            os.link(scratch, path)
        except FileExistsError:
            return False
        except OSError:  # a file system without links
            if os.path.lexists(path):
                return False
            scratch.rename(path)
        return True
    except OSError as error:
        raise StateFileError(path, error.strerror or str(error), doing="written") from None
    finally:
        with contextlib.suppress(OSError):  # what went wrong is told already
            scratch.unlink(missing_ok=True)
