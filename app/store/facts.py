"""Facts about this installation, by name, such as its epoch."""

from __future__ import annotations

from sqlmodel import select

from app.store.database import Tx
from app.store.schema import SettingRow

INSTALLATION = "installation"  # its id


def read(tx: Tx, name: str) -> str | None:
    row = tx.get(SettingRow, name)
    return None if row is None else row.value


def hold(tx: Tx, name: str) -> None:
    """Keep other transactions that hold the same fact from going on until this one ends."""
    tx.exec(select(SettingRow.name).where(SettingRow.name == name).with_for_update()).first()


def forget(tx: Tx, name: str) -> None:
    """Nothing if it is not known."""
    row = tx.get(SettingRow, name)
    if row is not None:
        tx.delete(row)


def write(tx: Tx, name: str, value: str) -> None:
    row = tx.get(SettingRow, name) or SettingRow(name=name)
    row.value = value
    tx.add(row)
