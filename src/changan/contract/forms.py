"""Forms of syntax that declarations take."""

from __future__ import annotations

import ast

from changan.contract.refusal import refuse

_KINDS = {"call", "view", "init", "migrate"}


def mark(node: ast.expr) -> tuple[str, tuple[str, ...]]:
    """Return the mark of a method and the fields it drops. Raises Refusal."""
    match node:
        case ast.Name(id=kind) if kind in _KINDS:
            return kind, ()
        case ast.Call(
            func=ast.Name(id="migrate"), args=[], keywords=[ast.keyword(arg="drops", value=ast.Tuple(elts=items))]
        ):
            dropped = [item.value for item in items if isinstance(item, ast.Constant) and isinstance(item.value, str)]
            if len(dropped) == len(items):
                return "migrate", tuple(dropped)
    refuse(node, "method", 'a method is marked @call, @view, @init, @migrate or @migrate(drops=("field",))')


def after_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    """Return a body without its docstring and what does nothing."""
    match body:
        case [ast.Expr(value=ast.Constant(value=str())), *rest]:
            return [item for item in rest if not isinstance(item, ast.Pass)]
    return [item for item in body if not isinstance(item, ast.Pass)]


def is_final(annotation: ast.expr) -> bool:
    """Whether an annotation is Final."""
    return isinstance(annotation, ast.Name) and annotation.id == "Final"


def is_bare_call(node: ast.expr, name: str) -> bool:
    """Whether a node is a call of `name` without arguments."""
    match node:
        case ast.Call(func=ast.Name(id=called), args=[], keywords=[]):
            return called == name
    return False


def is_not_implemented(body: list[ast.stmt]) -> bool:
    """Whether a body is `raise NotImplementedError`."""
    match body:
        case [ast.Raise(exc=ast.Name(id="NotImplementedError"), cause=None)]:
            return True
    return False
