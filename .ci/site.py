"""A hook of mkdocs: files of the repository that documents link to come along, so that every link holds on the site, too."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parent.parent
_LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Any, config: Any) -> Any:
    unread = [file for file in files if file.src_uri.endswith(".md")]
    while unread:
        document = unread.pop()
        for link in _LINK.finditer(document.content_string):
            target = _target(document.src_uri, link[1])
            place = _place(target)
            if not target.startswith("docs/") and (ROOT / target).is_file() and files.get_file_from_path(place) is None:
                files.append(added := File.generated(config, place, abs_src_path=str(ROOT / target)))
                unread += [added] if place.endswith(".md") else []
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:  # noqa: ARG001 - mkdocs passes it by name
    def moved(link: re.Match[str]) -> str:
        place = _place(_target(page.file.src_uri, link[1]))
        if files.get_file_from_path(place) is None:
            return link[0]  # mkdocs says that it leads nowhere
        return f"]({posixpath.relpath(place, posixpath.dirname(page.file.src_uri) or '.')}{link[2] or ''})"

    return _LINK.sub(moved, markdown)


def _target(document: str, link: str) -> str:
    """What a link leads to, from the repository's root."""
    home = document.removeprefix("repository/") if document.startswith("repository/") else f"docs/{document}"
    return posixpath.normpath(posixpath.join(posixpath.dirname(home), link))


def _place(target: str) -> str:
    """Where that stands on the site."""
    return target.removeprefix("docs/") if target.startswith("docs/") else f"repository/{target}"
