"""What the texts of all commands are put together from: tables, named values, how a text ends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from spark_ml_audit.text import columns_wide, for_terminal

TAG_WIDTH = 40
"""Columns that a tag takes at most."""


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table, its first column to the left, the others to the right."""
    widths = [max(columns_wide(line[column]) for line in rows) for column in range(len(rows[0]))]
    return [
        "  "
        + line[0]
        + " " * (widths[0] - columns_wide(line[0]))
        + "".join(f"  {cell:>{width}}" for cell, width in zip(line[1:], widths[1:], strict=True))
        for line in rows
    ]


def pairs(named: Iterable[tuple[str, str]]) -> list[str]:
    """Lines of names and values, the values below each other."""
    cleaned = [(for_terminal(name), for_terminal(value)) for name, value in named]
    width = max((columns_wide(name) for name, _ in cleaned), default=0)
    return [f"  {name}{' ' * (width - columns_wide(name))}  {value}" for name, value in cleaned]


def mlflow(run_id: str | None, how_to_open: str | None) -> dict[str, str]:
    """The MLflow run, and what opens it, among what was written."""
    opens = {} if how_to_open is None else {"open MLflow": how_to_open}
    return {"MLflow run": run_id or "none", **opens}


def ending(warnings: Sequence[str], written: Mapping[str, str], stages: Mapping[str, float]) -> list[str]:
    """How every text ends: warnings, what was written, times."""
    lines: list[str] = []
    if warnings:
        lines += ["", "Warnings", *(f"  - {for_terminal(text)}" for text in warnings)]
    lines += ["", "Written", *pairs(written.items())]
    if stages:
        each = ", ".join(f"{for_terminal(name)} {seconds:.1f}" for name, seconds in stages.items())
        lines += ["", f"Time: {sum(stages.values()):.1f} s ({each})"]
    return lines
