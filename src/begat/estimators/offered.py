"""Verbs that an estimator has in some roles only, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any

from begat.errors import NotOffered
from begat.estimators.target import Role


class offered:
    """A verb that an estimator has in some roles only; in others asking for it is an AttributeError that says why."""

    def __init__(self, *roles: Role):
        self.roles = roles

    def __call__(self, verb: Callable[..., Any]) -> offered:
        self.verb, self.__doc__, self.__name__ = verb, verb.__doc__, verb.__name__
        return self

    def __get__(self, estimator: Any, owner: type) -> Any:
        if estimator is None:
            return self.verb
        role = estimator._role()
        if role not in self.roles:
            how = "its target is a number" if role == "regression" else "it has no target"
            wanted = "a category as y" if self.roles == ("classification",) else "y"
            raise NotOffered(f"{owner.__name__} has no {self.__name__} here, since {how}; fit it with {wanted}")
        return MethodType(self.verb, estimator)


class absent:
    """A verb that a family has not: asking for it is an AttributeError that says what to use instead."""

    def __init__(self, reason: str):
        self.reason = reason

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, estimator: Any, owner: type) -> Any:
        raise NotOffered(f"{owner.__name__} has no {self.name}: {self.reason}")
