"""Pictures over HTTP: requests, jobs, and the gallery of what was made."""

from parlant_local.server.images.service import ImageService

__all__ = ["ImageService"]
