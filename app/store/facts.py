"""Facts about this installation, by name, such as its epoch."""

from __future__ import annotations

from app.store.database import Tx
from app.store.schema import SettingRow


def read(tx: Tx, name: str) -> str | None:
    row = tx.get(SettingRow, name)
    return None if row is None else row.value


def write(tx: Tx, name: str, value: str) -> None:
    row = tx.get(SettingRow, name) or SettingRow(name=name)
    row.value = value
    tx.add(row)
