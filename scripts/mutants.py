"""Do the tests notice when the code is wrong? Small changes to the code, one at a time.

    python scripts/mutants.py                            methods, losses, labels, metrics, figures
    python scripts/mutants.py losses/domain.py labels    only these modules or rooms
    python scripts/mutants.py --sample 100 --seed 3      a random hundred of them

A mutant is one change to one module: another comparison, operator or number, a call, a statement or
a ``detach`` left out, two arguments or weights swapped. The module's own tests run on each; a
mutant that passes them all has survived. Survivors are listed with file, line and change; those
that no test could tell from the original stand in ``scripts/mutants_equal.yaml``, with the reason.

Results are kept in ``runs/mutants.jsonl``, so an interrupted run goes on: killed mutants of an
unchanged module are not tried again, survivors are as soon as their tests have changed.
``--fresh`` tries all again. The modules of third parties are imported once; every mutant then has a
process of its own that is forked from there (Linux and macOS).
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import hashlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import random
import select
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "runs" / "mutants.jsonl"
EQUAL = ROOT / "scripts" / "mutants_equal.yaml"
WHERE = (
    "stargan/losses",
    "stargan/labels",
    "stargan/metrics",
    "stargan/evaluation/figures.py",
    "stargan/methods",
)
# Tests of a module beside those of the same name (stargan/a/b.py: tests/a/test_b.py) and those that
# name it.
MORE = {
    "stargan/losses": ["tests/losses/test_whole_step.py"],
    "stargan/losses/gradient_penalty.py": ["tests/losses/test_no_graph_into_images.py"],
    "stargan/labels": [
        *("tests/test_labels.py", "tests/test_label_edges.py", "tests/test_strength.py"),
        *("tests/test_targets.py", "tests/test_unknown_labels.py"),
    ],
    "stargan/metrics/fid.py": ["tests/metrics/test_fid_intervals.py"],
    "stargan/metrics/convergence.py": ["tests/evaluation/test_health.py"],
    "stargan/methods/base.py": [
        *("tests/methods/test_stargan.py", "tests/methods/test_dcgan.py"),
        *("tests/methods/test_diat.py", "tests/methods/test_base.py"),
    ],
    "stargan/methods": ["tests/methods/test_base.py"],
    "stargan/methods/augment.py": ["tests/methods/test_classifier.py"],
}
TINY = 1e-9
"""Numbers below it only keep others off zero, and are left alone."""
SLOW_ROOMS = ("tests/tasks/", "tests/web/", "tests/scripts/", "tests/docs/")
"""Tests of whole commands: too slow to be run on every mutant."""
ENOUGH = 0.95
"""The share of mutants that the tests must kill."""
# Imported once, before the first fork; what is missing is left out.
PRELOADED = (
    *("pytest", "_pytest.assertion.rewrite", "torch", "numpy", "PIL.Image", "scipy.linalg"),
    *("torchmetrics", "pytorch_lightning", "hydra", "omegaconf", "safetensors.torch"),
)

COMPARE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    **{ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt},
    **{ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is},
    **{ast.In: ast.NotIn, ast.NotIn: ast.In},
}
BINARY: dict[type[ast.operator], type[ast.operator]] = {
    **{ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult},
    **{ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.Pow: ast.Mult},
    **{ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd},
}
# Methods and functions that have a counterpart, and those that can be left out: x.abs() as x.
SWAPPED = {
    **{"mean": "sum", "sum": "mean", "min": "max", "max": "min", "amax": "amin", "amin": "amax"},
    **{"argmax": "argmin", "argmin": "argmax", "any": "all", "all": "any"},
    **{"zeros_like": "ones_like", "ones_like": "zeros_like", "zeros": "ones", "ones": "zeros"},
    **{"d_loss": "g_loss", "g_loss": "d_loss", "append": "remove"},
}
LEFT_OUT = {
    *("detach", "abs", "square", "sqrt", "float", "clamp", "relu", "exp", "log", "sigmoid"),
    *("softmax", "round", "sign", "cumsum", "sort", "roll", "sorted", "softplus", "mean", "sum"),
    "eval",
}
# Functions whose first two arguments can be swapped without any difference.
SYMMETRIC = {
    *("isinstance", "partial", "zip", "max", "min"),
    *("l1_loss", "mse_loss", "promote_types", "maximum", "minimum", "allclose"),
}


@dataclass(frozen=True)
class Mutant:
    """One change to one module.

    Attributes:
        file: of the module, below the repository.
        number: which of the module's mutants.
        line: where.
        text: that line, without its margin.
        change: ``old -> new``.
        again: how many mutants of the same line and change come before it.
    """

    file: str
    number: int
    line: int
    text: str
    change: str
    again: int

    def key(self, digest: str) -> str:
        """Names the mutant of a version of the module."""
        return f"{self.file}:{self.line}:{self.change}:{self.again}:{digest}"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}  {self.change}"


# Making mutants -----------------------------------------------------------------------------------


@dataclass
class Scope:
    """What a function's names can be confused with."""

    peers: dict[str, str] = field(default_factory=dict)


class Changes(ast.NodeVisitor):
    """Collects every possible change of a module as (node, changed copy)."""

    def __init__(self) -> None:
        self.found: list[tuple[ast.AST, ast.AST]] = []
        self.scopes: list[Scope] = [Scope()]

    def add(self, node: ast.AST, new: ast.AST) -> None:
        """One change more."""
        self.found.append((node, new))

    # Left alone: annotations, docstrings and other texts, what only a type checker reads.

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_arg(self, node: ast.arg) -> None:
        return

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        return

    def visit_Raise(self, node: ast.Raise) -> None:
        self.add(node, ast.Pass())  # The words of an error are not mutated.

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) == "TYPE_CHECKING":
            return
        self.truth(node)
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self.truth(node)
        self.generic_visit(node)

    def truth(self, node: ast.If | ast.IfExp) -> None:
        """A condition that is no comparison, turned round."""
        if isinstance(node.test, ast.Name | ast.Attribute | ast.Call):
            self.add(node.test, ast.UnaryOp(ast.Not(), copy.deepcopy(node.test)))

    def visit_Assert(self, node: ast.Assert) -> None:
        return

    # Functions: which names are of a kind.

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        kinds: dict[str, list[str]] = {}
        for one in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]:
            if one.annotation is not None:
                kinds.setdefault(ast.unparse(one.annotation), []).append(one.arg)
        groups = list(kinds.values())
        attributes: dict[str, list[str]] = {}
        for inner in ast.walk(node):
            if isinstance(inner, ast.Assign) and isinstance(inner.targets[0], ast.Tuple):
                names = inner.targets[0].elts
                if all(isinstance(n, ast.Name) for n in names):
                    groups.append([n.id for n in names if isinstance(n, ast.Name)])
            if isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name):
                head, sign, _ = inner.attr.partition("_")
                if inner.value.id == "self" and sign and head:
                    known = attributes.setdefault(head, [])
                    if inner.attr not in known:
                        known.append(inner.attr)
        groups += [[f"self.{n}" for n in names] for names in attributes.values()]
        scope = Scope()
        for names_of in groups:
            plain = [n for n in names_of if n != "_"]
            if len(plain) > 1:
                for one_name, other in zip(plain, [*plain[1:], plain[0]], strict=True):
                    scope.peers.setdefault(one_name, other)
        self.scopes.append(scope)
        for default in [*node.args.defaults, *node.args.kw_defaults]:
            if default is not None:
                self.visit(default)
        for statement in node.body:
            self.visit(statement)
        self.scopes.pop()

    def visit_Name(self, node: ast.Name) -> None:
        other = self.scopes[-1].peers.get(node.id)
        if other is not None and isinstance(node.ctx, ast.Load):
            self.add(node, ast.Name(other, ast.Load()))

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if isinstance(node.value, ast.Name) and isinstance(node.ctx, ast.Load):
            other = self.scopes[-1].peers.get(f"{node.value.id}.{node.attr}")
            if other is not None:
                name = other.removeprefix("self.")
                self.add(node, ast.Attribute(copy.deepcopy(node.value), name, ast.Load()))
        self.generic_visit(node)

    # Expressions.

    def visit_Compare(self, node: ast.Compare) -> None:
        for i, sign in enumerate(node.ops):
            if type(sign) in COMPARE:
                new = copy.deepcopy(node)
                new.ops[i] = COMPARE[type(sign)]()
                self.add(node, new)
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if type(node.op) in BINARY and not texts(node):
            new = copy.deepcopy(node)
            new.op = BINARY[type(node.op)]()
            self.add(node, new)
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if type(node.op) in BINARY:
            new = copy.deepcopy(node)
            new.op = BINARY[type(node.op)]()
            self.add(node, new)
        self.visit(node.value)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        new = copy.deepcopy(node)
        new.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        self.add(node, new)
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        self.add(node, copy.deepcopy(node.operand))
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        value = node.value
        if isinstance(value, bool):
            self.add(node, ast.Constant(not value))
        elif isinstance(value, int):
            self.add(node, ast.Constant(value + 1))
        elif isinstance(value, float) and (value == 0 or abs(value) > TINY):
            # A tolerance is made a coarse one: twice as much of it is nothing that can be seen.
            factor = 2 if abs(value) > 1e-3 else 1e4
            self.add(node, ast.Constant(value * factor if value else 1.0))

    def visit_Call(self, node: ast.Call) -> None:
        called = node.func
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        if name in SWAPPED:
            new = copy.deepcopy(node)
            if isinstance(new.func, ast.Attribute):
                new.func.attr = SWAPPED[name]
            elif isinstance(new.func, ast.Name):
                new.func.id = SWAPPED[name]
            self.add(node, new)
        if name in LEFT_OUT:
            of_module = isinstance(called, ast.Attribute) and ast.unparse(called.value) in (
                *("torch", "F", "np", "math"),
            )
            if name == "float" and not isinstance(called, ast.Attribute):
                pass  # Python's own: what it is given is the same number.
            elif isinstance(called, ast.Attribute) and not of_module:
                self.add(node, copy.deepcopy(called.value))
            elif node.args:
                self.add(node, copy.deepcopy(node.args[0]))
        plain = [a for a in node.args if not isinstance(a, ast.Starred)]
        words = all(isinstance(a, ast.Constant) and isinstance(a.value, str) for a in plain[:2])
        if len(plain) == len(node.args) >= 2 and name not in SYMMETRIC and not words:
            new = copy.deepcopy(node)
            new.args[0], new.args[1] = new.args[1], new.args[0]
            if ast.unparse(new) != ast.unparse(node):
                self.add(node, new)
        self.visit(called)
        for given in [*node.args, *(k.value for k in node.keywords if k.arg != "strict")]:
            self.visit(given)

    # Statements.

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Call):
            self.add(node, ast.Pass())
            self.visit(node.value)

    def visit_Continue(self, node: ast.Continue) -> None:
        self.add(node, ast.Break())

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for statement in node.body:
            self.visit(statement)

    def visit_Import(self, node: ast.Import) -> None:
        return

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        return


def texts(node: ast.BinOp) -> bool:
    """Whether an operator joins texts or lists, whose difference would only be a TypeError."""
    return any(
        isinstance(side, ast.JoinedStr | ast.List | ast.Tuple)
        or (isinstance(side, ast.Constant) and isinstance(side.value, str))
        for side in (node.left, node.right)
    )


def changes(text: str) -> tuple[ast.Module, list[tuple[ast.AST, ast.AST]]]:
    """The tree of a module and all changes of it."""
    tree = ast.parse(text)
    visitor = Changes()
    visitor.visit(tree)
    return tree, visitor.found


def mutants_of(file: str, text: str) -> list[Mutant]:
    """All mutants of a module, in the order of the text."""
    lines = text.splitlines()
    made: list[Mutant] = []
    seen: Counter[tuple[int, str]] = Counter()
    for number, (node, new) in enumerate(changes(text)[1]):
        line = getattr(node, "lineno", 1)
        words = " ".join(f"{ast.unparse(node)} -> {ast.unparse(new)}".split())
        text = lines[line - 1].strip()
        made.append(Mutant(file, number, line, text, words, seen[line, words]))
        seen[line, words] += 1
    return made


class Replace(ast.NodeTransformer):
    """Puts one node in the place of another."""

    def __init__(self, node: ast.AST, new: ast.AST) -> None:
        self.node, self.new = node, new

    def visit(self, node: ast.AST) -> Any:
        if node is self.node:
            return ast.copy_location(self.new, node)
        return super().visit(node)


def mutated(text: str, number: int, name: str) -> CodeType:
    """The compiled module with one change."""
    tree, found = changes(text)
    changed = ast.fix_missing_locations(Replace(*found[number]).visit(tree))
    return compile(changed, name, "exec")


# Running tests on one -----------------------------------------------------------------------------


class OneModule(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from other code than its file's."""

    def __init__(self, name: str, path: Path, code: CodeType) -> None:
        self.name, self.path, self.code = name, path, code

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != self.name:
            return None
        package = [str(self.path.parent)] if self.path.name == "__init__.py" else None
        return importlib.util.spec_from_file_location(
            name, self.path, loader=self, submodule_search_locations=package
        )

    def exec_module(self, module: ModuleType) -> None:
        exec(self.code, module.__dict__)


class FirstFailure:
    """A plugin of pytest that remembers which test failed first."""

    def __init__(self) -> None:
        self.name = ""

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed and not self.name:
            self.name = report.nodeid

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed and not self.name:
            self.name = f"{report.nodeid} (import)"


@dataclass
class Child:
    """A process that runs the tests of a mutant.

    Attributes:
        process: its number.
        reading: the end of a pipe on which it says what failed.
        ends: when its time is up.
        limit: seconds that it was given.
    """

    process: int
    reading: int
    ends: float
    limit: float

    def result(self) -> str:
        """ "" when all tests passed, else what failed; kills it when its time is up."""
        ready, _, _ = select.select([self.reading], [], [], max(0, self.ends - time.monotonic()))
        said = os.read(self.reading, 4096).decode() if ready else ""
        os.close(self.reading)
        with contextlib.suppress(ProcessLookupError):  # Whatever the tests have left running.
            if not ready:
                os.killpg(self.process, signal.SIGKILL)
        ended = os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])
        if not ready:
            return f"no end after {self.limit:.0f} s"
        return "" if ended == 0 else said or f"exit code {ended}"


def start(file: str, code: CodeType | None, tests: Sequence[str], limit: float) -> Child:
    """Fork a process that runs tests on a mutant (None: on the module as it is)."""
    reading, writing = os.pipe()
    process = os.fork()
    if not process:
        status = 70
        try:
            os.setsid()
            os.close(reading)
            status = tested(file, code, tests, writing)
        finally:
            os._exit(status)
    os.close(writing)
    return Child(process, reading, time.monotonic() + limit, limit)


def finished(running: dict[int, Child]) -> int:
    """Wait for one of several children, or for the time of one to be up; its key."""
    ends = min(child.ends for child in running.values())
    ready, _, _ = select.select(
        [child.reading for child in running.values()], [], [], max(0, ends - time.monotonic())
    )
    if not ready:
        return min(running, key=lambda k: running[k].ends)
    return next(k for k, child in running.items() if child.reading in ready)


def tested(file: str, code: CodeType | None, tests: Sequence[str], writing: int) -> int:
    """In the child: run the tests, say what failed first."""
    import pytest

    silent = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silent, stream)
    path = ROOT / file
    if code is not None:
        dotted = ".".join(Path(file).with_suffix("").parts).removesuffix(".__init__")
        sys.meta_path.insert(0, OneModule(dotted, path, code))
    sys.path.insert(0, str(ROOT))
    first = FirstFailure()
    with tempfile.TemporaryDirectory() as place:
        words = ["-x", "-q", "-m", "not slow", "-p", "no:cacheprovider", f"--basetemp={place}/t"]
        status = int(pytest.main([*words, *tests], plugins=[first]))
    os.write(writing, (first.name or f"pytest ended with {status}").encode()[:4000])
    return 0 if status == 0 else 1


# The run ------------------------------------------------------------------------------------------


def modules(chosen: Sequence[str]) -> list[str]:
    """Files to mutate: all of ``WHERE``, or those that are named."""
    found = []
    for place in WHERE:
        path = ROOT / place  # What is not there has no files.
        files = [path] if path.is_file() else sorted(path.rglob("*.py"))
        found += [file.relative_to(ROOT).as_posix() for file in files]
    if not chosen:
        return found
    named = []
    for word in chosen:
        some = [f for f in found if word in (f, f.removeprefix("stargan/")) or f"/{word}/" in f]
        some = some or [f for f in found if Path(f).stem == word]
        if not some:
            raise SystemExit(f"mutants: no module '{word}'; known: {', '.join(found)}")
        named += some
    return list(dict.fromkeys(named))


def tests_of(file: str) -> list[str]:
    """The test files of a module."""
    inner = Path(file).relative_to("stargan")
    named = [f"tests/{inner.parent.as_posix()}/test_{inner.stem}.py".replace("/./", "/")]
    for place, more in MORE.items():
        if file == place or file.startswith(place + "/"):
            named += more
    dotted = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    for test in sorted((ROOT / "tests").rglob("test_*.py")):
        place = test.relative_to(ROOT).as_posix()
        if not place.startswith(SLOW_ROOMS) and dotted in test.read_text(encoding="utf-8"):
            named.append(place)
    return [name for name in dict.fromkeys(named) if (ROOT / name).is_file()]


def digest(*files: str) -> str:
    """Of the contents of files."""
    found = hashlib.sha256()
    for file in files:
        found.update((ROOT / file).read_bytes())
    return found.hexdigest()[:12]


def known_results(path: Path) -> dict[str, dict[str, str]]:
    """What earlier runs have found, by the mutants' keys; a torn last line is dropped."""
    found = {}
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                one = json.loads(line)
            except ValueError:
                continue
            found[one["key"]] = one
    return found


def equal_mutants() -> dict[tuple[str, str, str], str]:
    """Reasons by file, line of text and change."""
    listed = yaml.safe_load(EQUAL.read_text(encoding="utf-8")) if EQUAL.is_file() else None
    return {(e["file"], e["line"], e["change"]): e["why"] for e in listed or []}


def results(
    chosen: Sequence[Mutant], path: Path, fresh: bool, jobs: int, spare: float
) -> list[tuple[Mutant, str]]:
    """Each mutant with what killed it ("": nothing), tried or remembered."""
    known = {} if fresh else known_results(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    tests = {file: tests_of(file) for file in dict.fromkeys(m.file for m in chosen)}
    # Read once: the checkout may change meanwhile.
    texts_of = {file: (ROOT / file).read_text(encoding="utf-8") for file in tests}
    own = {file: digest(file) for file in tests}
    theirs = {file: digest(*tests[file]) for file in tests}
    killed: dict[int, str] = {}
    for i, mutant in enumerate(chosen):
        old = known.get(mutant.key(own[mutant.file]))
        if not tests[mutant.file]:
            killed[i] = ""
        elif old is not None and (old["killed"] or old["tests"] == theirs[mutant.file]):
            killed[i] = old["killed"]
    waiting = [i for i in range(len(chosen)) if i not in killed]
    limits = {
        file: spare + jobs * limit_of(file, tests[file])
        for file in dict.fromkeys(chosen[i].file for i in waiting)
    }
    running: dict[int, Child] = {}
    began, tried = time.monotonic(), 0
    with path.open("w" if fresh else "a", encoding="utf-8") as out:
        while waiting or running:
            while waiting and len(running) < jobs:
                i = waiting.pop(0)
                file = chosen[i].file
                code = mutated(texts_of[file], chosen[i].number, str(ROOT / file))
                running[i] = start(file, code, tests[file], limits[file])
            i = finished(running)
            file, killed[i] = chosen[i].file, running.pop(i).result()
            key = chosen[i].key(own[file])
            one = {"key": key, "tests": theirs[file], "killed": killed[i]}
            out.write(json.dumps(one | {"mutant": str(chosen[i])}) + "\n")
            out.flush()
            tried += 1
            if tried % 50 == 0:
                pace = (time.monotonic() - began) / tried
                left = pace * (len(waiting) + len(running)) / 60
                print(f"{tried} tried, {pace:.1f} s each, {left:.0f} min left", file=sys.stderr)
    return [(mutant, killed[i]) for i, mutant in enumerate(chosen)]


def limit_of(file: str, tests: Sequence[str]) -> float:
    """Seconds after which a mutant has an endless loop; the tests must pass as they are."""
    if not tests:
        return 0.0
    began = time.monotonic()
    failed = start(file, None, tests, 600).result()
    if failed:
        raise SystemExit(f"mutants: the tests of {file} fail without any change: {failed}")
    return 5 * (time.monotonic() - began)


def table(tried: Sequence[tuple[Mutant, str]], equal: dict[tuple[str, str, str], str]) -> list[str]:
    """Killed and survived of each module; then the survivors; then those that are equal."""
    whole, killed, same = Counter[str](), Counter[str](), Counter[str]()
    survivors: list[str] = []
    excused: list[str] = []
    for mutant, by in tried:
        whole[mutant.file] += 1
        killed[mutant.file] += bool(by)
        if not by:
            why = equal.get((mutant.file, mutant.text, mutant.change))
            same[mutant.file] += why is not None
            (survivors if why is None else excused).append(
                f"  {mutant}" + (f"   ({why})" if why is not None else "")
            )
    lines = ["| module | mutants | killed | survived | no other behaviour | share |"]
    lines.append("|---|---:|---:|---:|---:|---:|")
    for file in [*whole, "all"]:
        counts = [sum(c.values()) if file == "all" else c[file] for c in (whole, killed, same)]
        n, dead, alike = counts
        share = dead / (n - alike or 1)
        lines.append(f"| {file} | {n} | {dead} | {n - dead - alike} | {alike} | {share:.1%} |")
    if survivors:
        lines += ["", "Survived:", *survivors]
    if excused:
        lines += ["", "No other behaviour:", *excused]
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the mutants, run their tests, print the table; exit code 1 below ``ENOUGH``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="files or rooms; default: all")
    parser.add_argument("--sample", type=int, default=0, help="only so many, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--fresh", action="store_true", help="forget the results of earlier runs")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where results are kept")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at once")
    parser.add_argument(
        "--spare", type=float, default=10, help="seconds beyond five times what the tests take"
    )
    parser.add_argument(
        "--preload", nargs="*", default=PRELOADED, metavar="MODULE", help="import these only once"
    )
    parser.add_argument("--list", action="store_true", help="list the mutants, run nothing")
    given = parser.parse_args(arguments)
    chosen = [
        m for f in modules(given.modules) for m in mutants_of(f, (ROOT / f).read_text("utf-8"))
    ]
    if given.sample and given.sample < len(chosen):
        kept = random.Random(given.seed).sample(range(len(chosen)), given.sample)
        chosen = [chosen[i] for i in sorted(kept)]
    if given.list:
        print("\n".join(map(str, chosen)))
        return
    os.environ["OMP_NUM_THREADS"] = "1"
    for name in given.preload:
        try:
            importlib.import_module(name)
        except ImportError:
            continue
    tried = results(chosen, given.results, given.fresh, given.jobs, given.spare)
    equal = equal_mutants()
    print("\n".join(table(tried, equal)))
    real = [by for m, by in tried if by or (m.file, m.text, m.change) not in equal]
    share = sum(map(bool, real)) / max(len(real), 1)
    if share < ENOUGH:
        print(f"mutants: {share:.1%} killed, {ENOUGH:.0%} wanted", file=sys.stderr)
        raise SystemExit(1)


if __name__ == "__main__":
    main()
