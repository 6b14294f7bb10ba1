"""The hub's error responses: no token, licence not accepted, no permission, not found."""

from __future__ import annotations

from collections.abc import Mapping
from email.message import Message

from parlant_local.errors import AccessError, HubError, ModelNotFoundError, ParlantLocalError

__all__ = ["explain_hub_status"]


def explain_hub_status(
    status: int, headers: Mapping[str, str] | Message, *, repo: str, endpoint: str, has_token: bool, what: str = ""
) -> ParlantLocalError:
    """``what`` is the requested file or revision."""
    page = f"{endpoint}/{repo}"
    code = headers.get("X-Error-Code") or ""
    message = (headers.get("X-Error-Message") or "").strip()
    if code == "GatedRepo":
        if has_token:
            return AccessError(
                f"{repo} is gated, and your token's account has not been granted access.",
                hint=f"Accept its licence at {page}, wait for approval if required, then pull again.",
            )
        return AccessError(
            f"{repo} is gated, and no token is set.",
            hint=f"Accept its licence at {page}, create a token at {endpoint}/settings/tokens, then `hf auth login` or set HF_TOKEN.",
        )
    if status == 401 and has_token:
        return AccessError(
            f"The hub rejected your token for {repo}: it is invalid or has expired.",
            hint=f"Create a new one at {endpoint}/settings/tokens, then `hf auth login` or set HF_TOKEN.",
        )
    if status == 401:
        return AccessError(
            f"{repo} is not public, or does not exist, and no token is set.",
            hint=f"Check the name at {page}. If it is private, `hf auth login` or set HF_TOKEN.",
        )
    if status == 403:
        return AccessError(
            f"Your token has no permission to read {repo}." if has_token else f"Access to {repo} is denied.",
            hint=f"Ask its owner for access at {page}, or give a fine-grained token read access to it."
            + (f" The hub says: {message[:200]}." if message else ""),
        )
    if code == "EntryNotFound":
        return ModelNotFoundError(f"{repo} has no file {what!r}.", hint=f"See what it has: {page}/tree/main.")
    if code == "RevisionNotFound":
        return ModelNotFoundError(f"{repo} has no revision {what!r}.", hint=f"See its branches: {page}/tree/main.")
    if status == 404:
        return ModelNotFoundError(
            f"The hub has no repository {repo}.",
            hint=f"Check the spelling: {endpoint}/models?search={repo.rpartition('/')[2]}",
        )
    if status == 451 or message == "Access to this resource is disabled.":
        return AccessError(f"The hub has disabled {repo}.", hint=f"See {page}.")
    return HubError(f"The hub responded with status {status} for {repo}. {message[:200]}".strip(), status=status)
