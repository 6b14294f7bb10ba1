"""Resumable, verified, rate-limited downloads. Of models it knows only the header check."""

from __future__ import annotations

from parlant_local.catalog.transfer.fetch import FileFetch
from parlant_local.catalog.transfer.meter import DownloadProgress, FileProgress, Meter
from parlant_local.catalog.transfer.rate import RateLimit
from parlant_local.catalog.transfer.task import FileTask, Making

__all__ = ["DownloadProgress", "FileFetch", "FileProgress", "FileTask", "Making", "Meter", "RateLimit"]
