"""What a callable accepts, read from its signature, and values cast to what its annotations say."""

from __future__ import annotations

import collections.abc
import contextlib
import dataclasses
import enum
import functools
import inspect
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union

TARGET = "_target_"
_EMPTY = inspect.Parameter.empty
_SEQUENCES = (
    list,
    tuple,
    set,
    frozenset,
    collections.abc.Sequence,
    collections.abc.Iterable,
    collections.abc.Collection,
)
_MAPPINGS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)


@dataclass(frozen=True, kw_only=True)
class Argument:
    """One argument of a signature. `annotation` is Any where there is none, or none that can be resolved."""

    name: str
    annotation: Any
    default: Any

    @property
    def required(self) -> bool:
        """Whether the call fails without it."""
        return self.default is _EMPTY


@dataclass(frozen=True, kw_only=True)
class Signature:
    """The arguments of a callable by name; `open` if it takes others too (`**kwargs`)."""

    arguments: Mapping[str, Argument]
    open: bool


class Mismatch(ValueError):
    """A value that an annotation does not admit; the message says what it admits."""


@functools.cache
def signature(target: Callable[..., Any]) -> Signature:
    """Return what the class or function accepts by keyword."""
    try:
        parameters = inspect.signature(target).parameters.values()
    except ValueError:  # written in C, without a signature
        return Signature(arguments={}, open=True)
    hints = _hints(target)
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    return Signature(
        arguments={
            p.name: Argument(name=p.name, annotation=hints.get(p.name, _annotation(p)), default=p.default)
            for p in named
        },
        open=any(p.kind is p.VAR_KEYWORD for p in parameters),
    )


def _hints(target: Callable[..., Any]) -> dict[str, Any]:
    function = inspect.unwrap(target.__init__ if isinstance(target, type) else target)  # type: ignore[misc]
    try:
        return typing.get_type_hints(function)
    except Exception:  # noqa: BLE001 - names that exist only while type-checking, or text that is no type
        return dict(_resolvable(function))


def _resolvable(function: Callable[..., Any]) -> Iterator[tuple[str, Any]]:
    """Yield those annotations that can be resolved, each by itself."""
    for name, annotation in function.__annotations__.items():
        alone = types.SimpleNamespace(__annotations__={name: annotation})
        with contextlib.suppress(Exception):
            yield from typing.get_type_hints(alone, getattr(function, "__globals__", {})).items()


def _annotation(parameter: inspect.Parameter) -> Any:
    annotation = parameter.annotation
    return Any if annotation is _EMPTY or isinstance(annotation, str) else annotation


def conform(value: Any, argument: Argument) -> Any:
    """Return the value as the call takes it; raise Mismatch."""
    if value is None and argument.default is None:
        return None
    if argument.annotation is Any:
        return _like_default(value, argument.default)
    return cast(value, argument.annotation)


def _like_default(value: Any, default: Any) -> Any:
    if type(default) is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if type(default) is float and type(value) is int:
        return float(value)
    if isinstance(default, enum.Enum) and value in type(default).__members__:
        return type(default)[value]
    return value


def cast(value: Any, annotation: Any) -> Any:
    """Return the value as the annotation would have it: 64.0 as int, 1 as float, a list as tuple; raise Mismatch."""
    origin = typing.get_origin(annotation) or annotation
    parts = typing.get_args(annotation)
    if origin in (Union, types.UnionType):
        return _cast_union(value, annotation, parts)
    if origin is typing.Annotated:
        return cast(value, parts[0])
    if origin is Literal:
        if value in parts and any(type(value) is type(part) for part in parts):
            return value
        raise Mismatch(describe(annotation))
    if annotation is None or annotation is type(None):
        if value is None:
            return None
        raise Mismatch("null")
    if annotation in _SCALARS:
        return _SCALARS[annotation](value)
    if isinstance(value, Mapping) and TARGET in value:
        return value
    if origin is collections.abc.Callable and isinstance(value, Mapping):
        raise Mismatch(f"a section with {TARGET} (Callable)")
    if origin in _SEQUENCES:
        return _cast_sequence(value, annotation, origin, parts)
    if origin in _MAPPINGS:
        return _cast_mapping(value, annotation, parts)
    return _cast_object(value, annotation)


def describe(annotation: Any) -> str:
    """Say in words what the annotation admits."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (Union, types.UnionType):
        words = [describe(part) for part in parts if part is not type(None)]
        return " or ".join(words + ["null"] * (type(None) in parts))
    if origin is Literal:
        return f"one of {', '.join(repr(part) for part in parts)}"
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return f"one of {', '.join(annotation.__members__)}"
    if annotation is type(None):
        return "null"
    if origin is None and isinstance(annotation, type):
        return annotation.__name__
    return str(annotation).replace("typing.", "").replace("collections.abc.", "")


def _cast_union(value: Any, annotation: Any, parts: tuple[Any, ...]) -> Any:
    if type(value) in parts:
        return value
    for part in parts:
        with contextlib.suppress(Mismatch):
            return cast(value, part)
    raise Mismatch(describe(annotation))


def _cast_sequence(value: Any, annotation: Any, origin: Any, parts: tuple[Any, ...]) -> Any:
    if isinstance(value, (str, Mapping)) or not isinstance(value, collections.abc.Iterable):
        raise Mismatch(describe(annotation))
    items = list(value)
    if origin is tuple and parts and parts[-1] is not Ellipsis:
        if len(parts) != len(items):
            raise Mismatch(f"{describe(annotation)}, {len(parts)} values")
        kinds = list(parts)
    else:
        kinds = [parts[0] if parts else Any] * len(items)
    try:
        made = [item if kind is Any else cast(item, kind) for item, kind in zip(items, kinds, strict=True)]
    except Mismatch:
        raise Mismatch(describe(annotation)) from None
    return origin(made) if origin in (tuple, set, frozenset) else made


def _cast_mapping(value: Any, annotation: Any, parts: tuple[Any, ...]) -> Any:
    if not isinstance(value, Mapping):
        raise Mismatch(describe(annotation))
    named, kind = parts if len(parts) == 2 else (Any, Any)
    try:
        return {cast(name, named): cast(item, kind) for name, item in value.items()}
    except Mismatch:
        raise Mismatch(describe(annotation)) from None


def _cast_object(value: Any, annotation: Any) -> Any:
    if not isinstance(annotation, type) or value is None:
        if value is None and isinstance(annotation, type):
            raise Mismatch(describe(annotation))
        return value
    if issubclass(annotation, enum.Enum) and isinstance(value, str):
        if value in annotation.__members__:
            return annotation[value]
        if value not in [member.value for member in annotation]:
            raise Mismatch(describe(annotation))
        return annotation(value)
    if issubclass(annotation, Path) and isinstance(value, str):
        return Path(value)
    bases = {f"{base.__module__}.{base.__name__}" for base in annotation.__mro__}
    is_made = dataclasses.is_dataclass(annotation) and isinstance(value, Mapping)
    if (is_made or "torch.nn.modules.module.Module" in bases) and not isinstance(value, annotation):
        raise Mismatch(f"a section with {TARGET} ({annotation.__name__})")
    if "torch.Tensor" in bases and isinstance(value, (int, float, list)):
        import torch

        return torch.tensor(value, dtype=torch.float32)
    return value


def _int(value: Any) -> int:
    if isinstance(value, str):
        value = _number(value, "int")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value // 1:
        raise Mismatch("int")
    return int(value)


def _float(value: Any) -> float:
    if isinstance(value, str):
        value = _number(value, "float")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Mismatch("float")
    return float(value)


def _number(text: str, kind: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise Mismatch(kind) from None


def _bool(value: Any) -> bool:
    if isinstance(value, (bool, int, float)) and value in (0, 1):
        return bool(value)
    raise Mismatch("bool")


def _str(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise Mismatch("str")


_SCALARS: Mapping[Any, Callable[[Any], Any]] = {
    int: _int, float: _float, bool: _bool, str: _str, Any: lambda value: value, object: lambda value: value
}  # fmt: skip
