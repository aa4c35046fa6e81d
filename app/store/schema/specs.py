"""Columns of specifications: stored as JSON, read as what they mean."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy import JSON, Dialect, TypeDecorator
from sqlalchemy import Column as SaColumn
from sqlmodel import Field

from app.domain.job import codec

REMEMBERED, LONGEST = 1000, 8192  # texts, and characters of one
V = TypeVar("V")


@dataclass(frozen=True)
class Undecodable:
    """It stands for a value of a column that can't be decoded, so that a query's other rows can be read."""

    error: Exception


def decoded(value: V) -> V:
    """The value of a column. Raises ValueError for one that could not be decoded; its cause says why."""
    if isinstance(value, Undecodable):
        raise ValueError("a value could not be decoded") from value.error
    return value


class Spec(TypeDecorator[Any]):
    """A frozen value of the domain.

    Rows repeat one another, above all the runs of a job. So a text that was read lately is not read again, where the
    database gives texts; PostgreSQL's driver gives what it has read itself.
    """

    impl = JSON
    cache_ok = True

    def __init__(self, encode: Callable[[Any], Any], decode: Callable[[Any], Any]) -> None:
        super().__init__()
        self.encode = encode
        self.decode = decode
        self._remembered = lru_cache(REMEMBERED)(self._read)

    def _read(self, text: str) -> Any:
        return self._decoded(json.loads(text))

    def _decoded(self, stored: Any) -> Any:
        try:
            return self.decode(stored)
        except Exception as error:
            return Undecodable(error)

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002 - SQLAlchemy calls it so
        return self.encode(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002
        return None if value is None else self._decoded(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:
        if dialect.name != "sqlite":
            return super().result_processor(dialect, coltype)

        def value_of(text: str | None) -> Any:
            if text is None:  # of an outer join
                return None
            return self._remembered(text) if len(text) <= LONGEST else self._read(text)

        return value_of


def job_column() -> Any:
    return _column(codec.stored_job, codec.job_from_json)


def run_column() -> Any:
    return _column(codec.stored_run, codec.run_from_json)


def build_column() -> Any:
    return _column(codec.build_to_json, codec.build_from_json)


def env_column() -> Any:
    return _column(codec.env_to_json, codec.env_from_json)


def shared_env_column() -> Any:
    return _column(codec.shared_to_json, codec.shared_from_json)


def _column(encode: Callable[[Any], Any], decode: Callable[[Any], Any]) -> Any:
    return Field(sa_column=SaColumn(Spec(encode, decode), nullable=False))
