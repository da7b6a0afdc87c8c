"""Every code that a finding can bear, read from the source so that none can hide.

A code is written as `code=`, as the `code` of a class, or as an argument for a parameter
`code`; a variable of that name is followed to what was assigned to it. Whatever else
gives a finding its code is an error here, not a gap.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef


class HiddenCodeError(Exception):
    """A code that cannot be read from the source. Takes the file and the line."""


def codes_in(directory: Path) -> set[str]:
    """Raises HiddenCodeError for a finding whose code is made in any other way."""
    return {
        code
        for path in sorted(directory.rglob("*.py"))
        for code in _codes_of(ast.parse(path.read_text()), path)
    }


def _codes_of(tree: ast.Module, path: Path) -> Iterator[str]:
    nodes = [*ast.walk(tree)]
    if not any(map(_gives_codes, nodes)):
        return  # what is called code here is of another kind: of a process, of an engine
    positions = {}
    for function in (node for node in nodes if isinstance(node, Function)):
        parameters = [argument.arg for argument in function.args.args]
        if "code" in parameters and not function.name.startswith("_"):
            raise HiddenCodeError(f"{path}:{function.lineno}")  # others would call it, unseen
        if "code" in parameters:
            positions[function.name] = parameters.index("code")
    for node in nodes:
        for value in _values(node, positions, path):
            yield from _words(value, path)


def _gives_codes(node: ast.AST) -> bool:
    """Whether it is a finding, or a class whose instances have a code."""
    match node:
        case ast.Call(func=called):
            return _name(called) == "Finding"
        case ast.ClassDef(body=body):
            targets = [each.targets for each in body if isinstance(each, ast.Assign)]
            targets += [[each.target] for each in body if isinstance(each, ast.AnnAssign)]
            return any(_name(target) == "code" for group in targets for target in group)
    return False


def _values(node: ast.AST, positions: dict[str, int], path: Path) -> Iterator[ast.expr]:
    """The expressions by which this node gives something a code."""
    match node:
        case ast.Assign(targets=[ast.Name(id="code")]):
            yield node.value
        case ast.AnnAssign(target=ast.Name(id="code"), value=ast.expr() as value):
            yield value
        case ast.Assign(targets=[ast.Tuple(elts=names)]) if "code" in map(_name, names):
            yield from _parts(node.value, [_name(each) for each in names].index("code"), path)
        case ast.Call():
            yield from _arguments(node, positions, path)


def _arguments(call: ast.Call, positions: dict[str, int], path: Path) -> Iterator[ast.expr]:
    called = _name(call.func)
    named = {keyword.arg: keyword.value for keyword in call.keywords}
    if called == "Finding" and "code" not in named:
        raise HiddenCodeError(f"{path}:{call.lineno}")
    if "code" in named:
        yield named["code"]
    elif called in positions:
        yield call.args[positions[called]]


def _parts(value: ast.expr, index: int, path: Path) -> Iterator[ast.expr]:
    """What a variable among several is given: `code, keys = "order", ()`, or out of a mapping."""
    match value:
        case ast.Tuple(elts=elements):
            yield elements[index]
        case ast.Subscript(value=ast.Dict(values=pairs)):
            for pair in pairs:
                yield from _parts(pair, index, path)
        case ast.IfExp(body=one, orelse=other):
            yield from _parts(one, index, path)
            yield from _parts(other, index, path)
        case _:
            raise HiddenCodeError(f"{path}:{value.lineno}")


def _words(value: ast.expr, path: Path) -> Iterator[str]:
    """The codes that an expression may be; a variable or attribute `code` is found elsewhere."""
    match value:
        case ast.Constant(value=str(word)):
            yield word
        case ast.IfExp(body=one, orelse=other):
            yield from _words(one, path)
            yield from _words(other, path)
        case ast.Name(id="code") | ast.Attribute(attr="code"):
            return
        case _:
            raise HiddenCodeError(f"{path}:{value.lineno}")


def _name(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(attr=name):
            return name
    return ""
