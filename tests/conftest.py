"""What holds for all tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# No test asks a clock: a busy machine is not a failure.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
