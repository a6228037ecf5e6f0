"""Whether what a file said has the types that a dataclass declares: JSON's own, in lists and dictionaries."""

import dataclasses
import types
import typing
from typing import Any


def fits(value: Any, wanted: Any) -> bool:
    """Whether the value is of the annotated type. A whole number is a number; true and false are none."""
    origin, inner = typing.get_origin(wanted), typing.get_args(wanted)
    if wanted is Any:
        return True
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, one) for one in inner)
    if origin is list:
        return isinstance(value, list) and all(fits(item, inner[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(fits(k, inner[0]) and fits(v, inner[1]) for k, v in value.items())
    if wanted in (int, float):
        return isinstance(value, (int, float) if wanted is float else int) and not isinstance(value, bool)
    if dataclasses.is_dataclass(wanted):
        return isinstance(value, wanted) and misfit(value) is None
    return isinstance(value, wanted)


def misfit(instance: Any) -> str | None:
    """The first field whose value is of another type than declared, or None."""
    hints = typing.get_type_hints(type(instance))
    return next((name for name, wanted in hints.items() if not fits(getattr(instance, name), wanted)), None)
