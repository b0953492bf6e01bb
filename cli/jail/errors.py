"""What can go wrong in planning a jail."""

from __future__ import annotations

from packet_spec.errors import ExchangeError


class JailPlanError(ExchangeError):
    """No jail can be made of these values: a link that is not served, a name or path of no safe form."""

    reference = "jail-plan-unusable"
    hint = "mend the configuration or the option and call the command again"
