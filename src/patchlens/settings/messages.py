"""Errors of pydantic as one line for the user: the key, what is wrong, and what is allowed."""

from collections.abc import Iterator
from types import UnionType
from typing import Any, get_args

from pydantic import BaseModel, Tag
from pydantic_core import ErrorDetails

from patchlens.names import nearest
from patchlens.settings.base import NAME, brief

LENGTHS = {"too_short": ("min_length", "at least"), "too_long": ("max_length", "at most")}
PATTERNS = {
    NAME: "use a-z, 0-9 and _ only",
    "^[0-9a-f]{64}$": "a sha256 is 64 digits of 0-9 and a-f",
    "^[0-9a-f]{40}$": "a revision is a commit, 40 digits of 0-9 and a-f; its page lists all",
    r"^[\w-][\w.-]*/[\w-][\w.-]*$": "write owner/name, as on the page of the repository",
}
SECTIONS = ("model_type", "model_attributes_type", "dict_type")


def explain(error: ErrorDetails, settings: Any) -> str:
    """One line for one error of `settings`: the key, the value, what is allowed.

    Args:
        error: as pydantic reports it.
        settings: the validated type: a section, or a dict of sections.
    """
    loc, section = _place(error["loc"], settings)
    kind, ctx, value = error["type"], error.get("ctx", {}), error["input"]
    if kind == "extra_forbidden":
        fields = section.model_fields if section else {}
        return f"{loc}: unknown key; {nearest(str(error['loc'][-1]), fields)}"
    if kind == "missing":
        return f"{loc}: this key is missing"
    if kind == "literal_error":
        options = [part.strip().strip("'") for part in _options(ctx["expected"])]
        return f"{loc}: '{brief(value)}' is unknown; {nearest(str(value), options)}"
    if kind == "union_tag_invalid":
        tags = [part.strip().strip("'") for part in ctx["expected_tags"].split(",")]
        return f"{loc}.{_bare(ctx)}: '{brief(ctx['tag'])}' is unknown; {nearest(ctx['tag'], tags)}"
    if kind == "union_tag_not_found":
        return f"{loc}.{_bare(ctx)}: this key is missing"
    if kind in LENGTHS:
        key, bound = LENGTHS[kind]
        return f"{loc}: {ctx['actual_length']} entries; allowed: {bound} {ctx[key]}"
    if kind in ("string_too_short", "string_too_long"):
        key, bound = LENGTHS[kind.removeprefix("string_")]
        return f"{loc}: {len(value)} characters; allowed: {bound} {ctx[key]}"
    if kind == "string_pattern_mismatch":
        allowed = PATTERNS.get(ctx["pattern"], f"it must match {ctx['pattern']}")
        return f"{loc}: '{brief(value)}' is not allowed; {allowed}"
    if kind == "value_error":
        return f"{loc}: {ctx['error']}"
    expected = error["msg"].removeprefix("Input should be ")
    if kind in SECTIONS:
        expected = "a section with keys"
    shown = repr(value) if isinstance(value, str) else value
    return f"{loc}: {brief(shown)} ({type(value).__name__}) is invalid; allowed: {expected}"


def _options(expected: str) -> list[str]:
    return expected.replace(" or ", ", ").split(",")


def _bare(ctx: dict[str, Any]) -> str:
    return str(ctx["discriminator"]).strip("'")


def _place(loc: tuple[int | str, ...], settings: Any) -> tuple[str, type[BaseModel] | None]:
    """The dotted path of an error without pydantic's union tags, and the section around it."""
    path, section, current = "", None, settings  # type: Any, Any, Any
    for part in loc:
        if part == "[key]":
            continue
        tagged = _member(current, part)
        if tagged is not None:
            current = section = tagged
            continue
        path += f"[{part}]" if isinstance(part, int) else f"{'.' if path else ''}{brief(part)}"
        if isinstance(current, type) and issubclass(current, BaseModel):
            section = current
            field = current.model_fields.get(str(part))
            current = _without_none(field.annotation) if field else None
        elif getattr(current, "__origin__", None) is dict:
            current = get_args(current)[1]
        else:
            current = None
    return path or "(whole file)", section


def _without_none(annotation: Any) -> Any:
    """The section of an optional section."""
    members = [m for m in get_args(annotation) if m is not type(None)]
    return members[0] if isinstance(annotation, UnionType) and len(members) == 1 else annotation


def _member(annotation: Any, tag: int | str) -> type[BaseModel] | None:
    """The class of a discriminated union that pydantic calls `tag`."""
    for member, tags in _union_members(annotation):
        if tag in tags:
            return member
    return None


def _union_members(annotation: Any) -> Iterator[tuple[type[BaseModel], tuple[Any, ...]]]:
    """Each section of a union with its tags: its `Tag`, or the values of its `source`."""
    for member in get_args(get_args(annotation)[0]) if hasattr(annotation, "__metadata__") else ():
        if isinstance(member, type) and issubclass(member, BaseModel):
            field = member.model_fields.get("source")
            yield member, get_args(field.annotation) if field else ()
        elif hasattr(member, "__metadata__"):
            tags = tuple(about.tag for about in member.__metadata__ if isinstance(about, Tag))
            yield get_args(member)[0], tags
