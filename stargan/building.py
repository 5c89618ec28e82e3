"""Makes objects from plain descriptions, and knows whose word may name code.

A description is ``{"_target_": "package.module.Class", **arguments}``. Two kinds of trust:

``TYPED``
    What a person writes: the command line, configuration of their own, arguments in Python. It may
    name any class of the right kind, also one of their own (``mylab.nets.Mine``).
``from_file(trust)``
    What a file says of itself: an exported model, a checkpoint, the config.yaml of a run folder. It
    may name only what this package has, and what lies in the packages that the person names at
    opening (``trust=mylab``).

Whose word a description is, is decided where it is read: ``admit`` goes through what a file says
before anything of it is used. From there on it is as good as typed. Of this package nobody can name
more than the objects of the right kind: no function, no class that a module merely imports.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import sys
import traceback
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stargan.errors import Plain, UserError
from stargan.hints import did_you_mean, nearest, nearest_key

PACKAGE = "stargan"
MOVED: dict[str, str] = {
    "stargan.data.synthetic_faces": "stargan.data.drawn.faces",
    "stargan.data.synthetic_digits": "stargan.data.drawn.digits",
}
"""Dotted names that files of earlier versions say, and what they are now: objects or modules with
all that is in them."""
WRITES = ("write_split", "cache_dir")
"""Arguments of this package's classes that say where they write: no file may set them."""
_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")
_MISSING = re.compile(r"__init__\(\) missing \d+ required .*?argument.*?: '(\w+)'")
_PACKAGE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")

Packages = str | Sequence[str]
"""``"mylab"``, ``"mylab,other"``, ``("mylab", "other")``: dotted names, each with all below it."""


@dataclass(frozen=True)
class Trust:
    """Whose word a description is.

    Attributes:
        packages: whose code may be run: dotted names, each with all below it.
        typed: a person wrote the description themselves: any code.
    """

    packages: tuple[str, ...] = ()
    typed: bool = False

    def covers(self, name: str) -> bool:
        """Whether code of this dotted name, outside this package, may be run."""
        return self.typed or any(_within(name, package) for package in self.packages)


TYPED = Trust(typed=True)


def from_file(trust: Packages | None = ()) -> Trust:
    """The trust in what a file says.

    Args:
        trust: the packages that the person who opens it has named.

    Raises:
        UserError: a name that no package can have.
    """
    text = trust.strip("[] ") if isinstance(trust, str) else None
    given = list(trust or ()) if text is None else text.split(",") if text else []
    names = [str(name).strip() for name in given]
    wrong = next((name for name in names if not _PACKAGE.fullmatch(name)), None)
    if wrong is not None:
        raise UserError(f"trust={wrong} is no name of a package: write trust=mylab.")
    foreign = next((name for name in names if _belongs_to_python(name)), None)
    if foreign is not None:
        raise UserError(
            f"trust={foreign}: that is a part of Python, not a package with models: leave it out."
        )
    return Trust(tuple(names))


@dataclass(frozen=True)
class Kind:
    """What a description is to become: a subclass of ``base``, or whatever has certain parts.

    Attributes:
        name: for messages, such as ``network``.
        room: the package of this package that holds them.
        base: what it inherits from. Where that is ``object``, functions will do too whose
            annotation says that they return such a thing.
        parts: attributes that the class must have.
        more: attributes that the object must have besides.
    """

    name: str
    room: str
    base: type = object
    parts: tuple[str, ...] = ()
    more: tuple[str, ...] = ()

    @property
    def what(self) -> str:
        """What is asked for, for messages."""
        if self.base is not object:
            return f"a subclass of {self.base.__name__}"
        words = ", ".join((*self.parts, *self.more))
        return f"a class with {words}, or a function annotated to return one"

    def fits(self, found: Any) -> bool:
        """Whether a class or function is of this kind."""
        if self.base is object and isinstance(found, types.FunctionType):
            found = _hints(found, {"return": found.__annotations__.get("return")}).get("return")
        if not isinstance(found, type) or not issubclass(found, self.base):
            return False
        # A dataclass has its fields among the annotations alone.
        said = {name for cls in found.__mro__ for name in vars(cls).get("__annotations__", ())}
        return all(hasattr(found, part) or part in said for part in self.parts)

    def made(self, thing: Any) -> bool:
        """Whether an object is of this kind."""
        has = all(hasattr(thing, part) for part in (*self.parts, *self.more))
        return has and isinstance(thing, self.base)


@dataclass(frozen=True)
class Maker:
    """A class or function with the arguments that a description gives it.

    Attributes:
        target: its dotted name.
        make: the class or function.
        kind: what it makes.
        arguments: from the description.
        where: whose description this is, for messages.
    """

    target: str
    make: Callable[..., Any]
    kind: Kind
    arguments: Plain = field(default_factory=dict)
    where: str = ""

    def __call__(self, **more: Any) -> Any:
        """The object.

        Args:
            more: arguments that the description does not have.

        Raises:
            UserError: unknown, missing or wrong arguments; an object of another kind; whatever else
                goes wrong while it is made.
        """
        arguments = {**self.arguments, **more}
        check_arguments(self.make, self.arguments, more, self._words)
        try:
            made = self.make(**arguments)
        except UserError:
            raise
        except Exception as error:  # Whatever somebody's own code may raise.
            # What a parent needs and its subclass hands on without naming it.
            missing = _MISSING.search(str(error)) if isinstance(error, TypeError) else None
            if missing:
                words = f"{self._words} needs '{missing[1]}': add it to its settings."
                raise UserError(words) from error
            raise UserError(f"{self._words} cannot be built: {_reason(error)}.") from error
        if not self.kind.made(made):
            raise UserError(f"{self._words} did not make {self.kind.what}.")
        return made

    @property
    def _words(self) -> str:
        return f"{self.where}: '{self.target}'" if self.where else f"'{self.target}'"


def build(
    config: Mapping[str, Any], kind: Kind, trust: Trust = TYPED, where: str = "", **more: Any
) -> Any:
    """An object from its plain description.

    Args:
        config: ``{"_target_": dotted name, **arguments}``.
        kind: what it must be.
        trust: whose word the description is.
        where: whose description, such as ``callbacks.mine``, for messages.
        more: further arguments.

    Raises:
        UserError: see ``resolve`` and ``Maker``.
    """
    return maker(config, kind, trust, where)(**more)


def maker(config: Mapping[str, Any], kind: Kind, trust: Trust = TYPED, where: str = "") -> Maker:
    """What makes the object of a description; picklable as far as its arguments are.

    Args:
        config, kind, trust, where: see ``build``.

    Raises:
        UserError: see ``resolve``.
    """
    arguments = dict(config)
    target = arguments.pop("_target_", None)
    return Maker(str(target), resolve(target, kind, trust, where), kind, arguments, where)


def resolve(target: Any, kind: Kind, trust: Trust = TYPED, where: str = "") -> Callable[..., Any]:
    """The class or function of a dotted name.

    Args:
        target: the name, maybe of an earlier version.
        kind: what it must be.
        trust: whose word the name is.
        where: whose description, for messages.

    Raises:
        UserError: no such name (with the nearest known one), not of this kind, or code that a file
            may not run.
    """
    subject = f"{where}: " if where else ""
    if target is None:
        raise UserError(f"{subject}the {kind.name} is not named: add _target_=package.Class.")
    if not isinstance(target, str) or not _DOTTED.fullmatch(target):
        raise UserError(
            f"{subject}the {kind.name} '{target}' is no dotted name: write package.module.Class."
        )
    name = current(target)
    ours = _within(name, PACKAGE)
    if not ours:
        _check_trust(name, trust, where)
        # A person's package lies beside them; only `python -m` looks there by itself.
        here = str(Path.cwd())
        if here not in sys.path and "" not in sys.path:
            sys.path.append(here)
            importlib.invalidate_caches()
    elif not _within(name, kind.room):
        raise UserError(
            f"{subject}'{target}' is no {kind.name} of {kind.room}.{_nearest(kind, name)}"
        )
    module, _, last = name.rpartition(".")
    unknown = f"the {kind.name} '{target}' does not exist in this version of stargan."
    try:
        there = importlib.import_module(module)
    except Exception as error:  # Whatever somebody's own code may raise.
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is None or not _within(module, missing):
            words = f"importing '{module}' failed: {_reason(error)}."
        elif ours:
            words = f"{unknown}{_nearest(kind, name)}"
        else:
            words = (
                f"the {kind.name} '{target}' is not found, as there is no module '{missing}': "
                "install its package, or run the command in the folder that holds it."
            )
        raise UserError(f"{subject}{words}") from error
    if not hasattr(there, last):
        known = [key for key in vars(there) if not key.startswith("_")]
        words = (
            f"the {kind.name} '{target}' is not in '{module}'.{did_you_mean(nearest(last, known))}"
        )
        raise UserError(f"{subject}{unknown + _nearest(kind, name) if ours else words}")
    found = getattr(there, last)
    home = str(getattr(found, "__module__", ""))
    if ours and not _within(home, kind.room):
        raise UserError(
            f"{subject}'{target}' is no {kind.name} of {kind.room}.{_nearest(kind, name)}"
        )
    # Not what a package that is trusted merely imports from another.
    if not ours and home.partition(".")[0] not in (name.partition(".")[0], PACKAGE):
        _check_trust(f"{home}.{last}", trust, where)
    if not kind.fits(found):
        hint = _nearest(kind, name) if ours else ""
        raise UserError(f"{subject}'{target}' is no {kind.name}: it must be {kind.what}.{hint}")
    made: Callable[..., Any] = found
    return made


def admit(described: Any, trust: Trust, where: str) -> None:
    """Refuse what a file says when it names code that it may not run, or places to write to.

    Args:
        described: plain data with descriptions anywhere in it.
        trust: the trust in the file.
        where: the file, for messages.

    Raises:
        UserError: such a name, and how to trust it.
    """
    for part in descriptions(described):
        target = part["_target_"]
        if not isinstance(target, str) or not _DOTTED.fullmatch(target):
            raise UserError(f"{where} names '{target}' as code, which is no dotted name.")
        name = current(target)
        if not _within(name, PACKAGE):
            _check_trust(name, trust, where)
        written = next((key for key in WRITES if part.get(key) is not None), None)
        if written is not None:
            raise UserError(
                f"{where} says where '{target}' is to write ({written}), which no file may: leave "
                f"{written} out of it."
            )


def descriptions(described: Any) -> Iterator[Mapping[str, Any]]:
    """Every part of plain data that has a ``_target_``, at any depth."""
    waiting, seen = [described], set()
    while waiting:
        node = waiting.pop()
        # Each once: a file may say the same part again and again, or within itself.
        if not isinstance(node, (Mapping, list, tuple)) or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, Mapping):
            if "_target_" in node:
                yield node
            node = node.values()
        waiting += node


def targets(described: Any) -> Iterator[Any]:
    """Every ``_target_`` in plain data, at any depth."""
    return (part["_target_"] for part in descriptions(described))


def own_targets(described: Any) -> tuple[str, ...]:
    """The names outside this package in plain data: what a file that is made of it must trust."""
    return tuple({str(t): None for t in targets(described) if not _within(str(t), PACKAGE)})


def current(target: str) -> str:
    """The name that an object has in this version, see ``MOVED``."""
    head, tail = target, ""
    while head:
        if head in MOVED:
            return current(MOVED[head] + tail)
        head, dot, last = head.rpartition(".")
        tail = dot + last + tail
    return target


def check_arguments(
    make: Callable[..., Any], given: Mapping[str, Any], more: Mapping[str, Any], words: str
) -> None:
    """Refuse arguments that a class or function does not take.

    Args:
        make: the class or function.
        given: from a description: plain values, checked against the annotations.
        more: from the program.
        words: what is being made, for messages.

    Raises:
        UserError: an unknown, missing or wrong argument.
    """
    known, needed, anything = _parameters(make)
    unknown = sorted({*given, *more} - set(known))
    if unknown and not anything:
        hint = did_you_mean(nearest(unknown[0], known))
        raise UserError(f"{words} takes no setting '{unknown[0]}': leave out what sets it.{hint}")
    missing = [name for name in needed if name not in given and name not in more]
    if missing:
        raise UserError(f"{words} needs '{missing[0]}': add it to its settings.")
    for name, value in given.items():
        hint_type = known.get(name, Any)
        if not _takes(hint_type, value):
            raise UserError(
                f"{words}: {name}={value!r} is {_called(value)}{_wanted(hint_type, value)}"
            )


def _within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def _belongs_to_python(name: str) -> bool:
    return name.partition(".")[0] in {*sys.stdlib_module_names, *sys.builtin_module_names}


def _check_trust(name: str, trust: Trust, where: str) -> None:
    if trust.covers(name):
        return
    subject = where or "a file"
    root = name.partition(".")[0]
    if _belongs_to_python(name):
        raise UserError(f"{subject} names '{name}' as code to run, which no file may: not opened.")
    raise UserError(
        f"{subject} names '{name}', code of the package '{root}', which no file may run by itself: "
        f"if you trust that package add trust={root} (in Python trust=('{root}',)), and its code "
        "is run."
    )


def _nearest(kind: Kind, name: str) -> str:
    """The known name of a kind that is nearest to another, as a question."""
    known = []
    for found in pkgutil.walk_packages(
        importlib.import_module(kind.room).__path__, f"{kind.room}."
    ):
        module = importlib.import_module(found.name)
        for key, value in vars(module).items():
            home = getattr(value, "__module__", "")
            if not key.startswith("_") and home == found.name and kind.fits(value):
                known.append(f"{found.name}.{key}")
    return did_you_mean(nearest_key(name, known))


def _reason(error: BaseException) -> str:
    """An error in one line, and for code outside this package where it happened."""
    lines = str(error).strip().splitlines()
    first = lines[0].rstrip(".") if lines else ""
    words = f"{type(error).__name__}: {first}" if first else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "importlib" not in f.filename and f.filename != __file__]
    if not own:
        return words
    return f"{words} ({Path(own[-1].filename).name}, line {own[-1].lineno})"


def _parameters(make: Callable[..., Any]) -> tuple[dict[str, Any], list[str], bool]:
    """Names with their types, the names that must be given, and whether any name is taken.

    A subclass may hand on what it does not name: with ``**others`` its parents' count too.
    """
    known: dict[str, Any] = {}
    needed: list[str] = []
    functions = (
        [make]
        if not isinstance(make, type)
        else [vars(cls)["__init__"] for cls in make.__mro__ if "__init__" in vars(cls)]
    )
    for depth, function in enumerate(functions):
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):
            return known, needed, True
        if isinstance(make, type):
            parameters = parameters[1:]
        raw = {p.name: p.annotation for p in parameters if p.annotation is not p.empty}
        hints = _hints(function, raw)
        opened = False
        for p in parameters:
            if p.kind == p.VAR_KEYWORD:
                opened = True
            elif p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY):
                known.setdefault(p.name, hints.get(p.name, Any))
                if depth == 0 and p.default is p.empty:
                    needed.append(p.name)
        if not opened:
            return known, needed, False
    return known, needed, True


def _hints(function: Any, raw: Mapping[str, Any]) -> dict[str, Any]:
    """Annotations as types, as far as they can be had."""
    found: dict[str, Any] = {}
    for name, annotation in raw.items():
        holder = types.SimpleNamespace(__annotations__={name: annotation})
        try:
            spaces = getattr(inspect.unwrap(function), "__globals__", {})
            found |= typing.get_type_hints(holder, globalns=spaces)
        except Exception:  # Names that only a type checker sees.
            continue
    return found


def _takes(hint: Any, value: Any) -> bool:
    """Whether a plain value can be what an annotation asks for; True where that is not known."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_takes(one, value) for one in inner)
    if origin is typing.Literal:
        return value in inner
    if origin is typing.Annotated:
        return _takes(inner[0], value)
    if hint is None or hint is type(None):
        return value is None
    if hint is bool:
        return isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is str:
        return isinstance(value, str)
    container = origin or hint
    if not isinstance(container, type):
        return True
    if issubclass(container, Mapping):
        return isinstance(value, Mapping)
    if container is tuple and inner and Ellipsis not in inner:
        fits = isinstance(value, (list, tuple)) and len(value) == len(inner)
        return fits and all(map(_takes, inner, value))
    if container in (list, tuple, set, Sequence) or issubclass(container, Sequence):
        items = [one for one in inner if one is not Ellipsis]
        fits = isinstance(value, (list, tuple))
        return fits and (not items or all(_takes(items[0], one) for one in value))
    return not (value is None and origin is None and container is not object)


def _called(value: Any) -> str:
    names: dict[type, str] = {
        str: "text", bool: "true or false", int: "a whole number", float: "a number",
        type(None): "nothing", list: "a list", tuple: "a list", dict: "a section",
    }  # fmt: skip
    return names.get(type(value), type(value).__name__)


def _wanted(hint: Any, value: Any) -> str:
    """What is asked for, in words."""
    options = typing.get_args(hint) if typing.get_origin(hint) in (
        typing.Union, types.UnionType
    ) else (hint,)  # fmt: skip
    words = {
        float: "a number", int: "a whole number", str: "text", bool: "true or false",
        type(None): "null", None: "null",
    }  # fmt: skip
    known = [words.get(o, "a list") for o in options if o in words or _lists(o)]
    wish = f", not {' or '.join(known)}." if known else ", which it cannot take."
    if isinstance(value, str) and float in options:
        try:
            return f"{wish[:-1]}: write {float(value)!r} without quotes."
        except ValueError:
            pass
    return wish


def _lists(hint: Any) -> bool:
    origin = typing.get_origin(hint) or hint
    return isinstance(origin, type) and issubclass(origin, Sequence) and origin is not str
