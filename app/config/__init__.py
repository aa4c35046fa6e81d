"""Settings: read once from the environment (`JOBYARD_*`) and a `.env` file; nothing else reads the environment."""

from app.config.buckets import read_bucket
from app.config.client import ClientSettings
from app.config.settings import Settings, read_client_settings, read_settings

__all__ = ["ClientSettings", "Settings", "read_bucket", "read_client_settings", "read_settings"]
