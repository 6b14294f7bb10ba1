"""Running servers of this machine, asked over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from parlant_local.errors import (
    AuthenticationError,
    BadRequestError,
    ModelInUseError,
    ModelNotFoundError,
    ParlantLocalError,
    TargetDownError,
)
from parlant_local.loopback import is_loopback
from parlant_local.server.announcing import running_servers
from parlant_local.server.auth import own_key

if TYPE_CHECKING:
    from parlant_local.observability import Logger
    from parlant_local.server.announcing import RunningServer
    from parlant_local.settings import Settings

__all__ = ["ServerClient", "clients_of"]

_SECONDS = 10.0
_UNLOAD_SECONDS = 120.0
_MAX_MESSAGE = 500


class ServerClient:
    """One server on loopback. ``record``: what it has announced, None where its address was given."""

    def __init__(self, address: str, key: str | None, record: RunningServer | None = None) -> None:
        self.address, self.record = address, record
        self._key = key

    def status(self) -> dict[str, Any]:
        """Its ``/api/status``. Raises :class:`TargetDownError` or :class:`AuthenticationError`."""
        return self._ask("GET", "/api/status", _SECONDS)

    def unload(self, model: str) -> bool:
        """False where the model was not loaded. Raises what the server answers."""
        return bool(self._ask("POST", "/models/unload", _UNLOAD_SECONDS, {"model": model}).get("was_loaded"))

    def _ask(self, method: str, path: str, seconds: float, body: dict[str, Any] | None = None) -> dict[str, Any]:
        import httpx2

        headers = {"authorization": f"Bearer {self._key}"} if self._key else {}
        try:
            # Neither proxies nor netrc: the key is for this machine.
            with httpx2.Client(trust_env=False, timeout=seconds) as client:
                answer = client.request(method, self.address + path, json=body, headers=headers)
        except httpx2.HTTPError as error:
            raise TargetDownError(f"The server at {self.address} does not answer: {type(error).__name__}.") from None
        try:
            content = answer.json()
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise TargetDownError(
                f"What answers at {self.address} is not a parlant-local server.", status=answer.status_code
            )
        if answer.is_success:
            return content
        raise self._problem(answer.status_code, content)

    def _problem(self, status: int, content: dict[str, Any]) -> ParlantLocalError:
        if status in (401, 403):
            return AuthenticationError(
                f"The server at {self.address} requires an admin key.",
                status=status,
                hint="Set PARLANT_LOCAL_AUTH__ADMIN_API_KEY, or auth.admin_key_file as for the server.",
            )
        error = content.get("error")
        message = str(error.get("message") if isinstance(error, dict) else error)[:_MAX_MESSAGE]
        told = f"The server at {self.address}: {message}"
        if status == 404:
            return ModelNotFoundError(told)
        return ModelInUseError(told) if status == 409 else TargetDownError(told, status=status)


def clients_of(settings: Settings, logger: Logger, address: str | None = None) -> list[ServerClient]:
    """The running servers of this home; with ``address`` that one only, which may be another home's."""
    found = running_servers(settings.home, logger)
    if address is None:
        key = own_key(settings.auth) if found else None
        return [ServerClient(record.address, key if record.local else None, record) for record in found]
    wanted = _checked(address)
    known = next((record for record in found if record.address == wanted), None)
    return [ServerClient(wanted, own_key(settings.auth), known)]


def _checked(address: str) -> str:
    """``127.0.0.1:8080``, ``localhost:8080`` or a web address, as one without a path."""
    text = address if "://" in address else f"http://{address}"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port or 80
    except ValueError:
        host, port, parts = "", 0, urlsplit("")
    if parts.scheme != "http" or not is_loopback(host):
        raise BadRequestError(
            f"{address} is not a server of this machine.", hint="Give a loopback address, such as 127.0.0.1:8080."
        )
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
