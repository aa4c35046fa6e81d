"""Objects of JSON, for the codecs between them and values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]  # as it is written
Stored = Mapping[str, Any]  # as it is read, maybe of an earlier version
