"""The generated part of docs/scale.md: tables of what was measured, growths fitted to it, and the plots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.plots import Panel, Series, draw
from benchmarks.simulation.growth import Growth, fit

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "scale.md"
BEGIN, END = "<!-- generated: begin -->", "<!-- generated: end -->"

Result = dict[str, Any]
Quantity = Callable[[Result], float]


def step(result: Result, name: str) -> dict[str, float] | None:
    return next((one for one in result["steps"] if one["name"] == name), None)


def value(name: str, field: str) -> Quantity:
    """A field of a step; 0.0 where the step was not made."""
    return lambda result: float((step(result, name) or {field: 0.0})[field])


def sessions(result: Result) -> int:
    if not result["reflected"]:
        return int(result["nodes"] * (result["nodes"] - 1) // 2)
    clients = result["whole_nodes"] + result["leaves"] - 1 - back(result)
    return int(2 * clients + 1 + 2 * result["stand_ins"])


def back(result: Result) -> int:
    """Whether the second reflector was there when the nodes were counted."""
    return int(step(result, "reflector back") is not None)


QUANTITIES: dict[str, tuple[str, Quantity]] = {
    "messages at the start": ("messages", value("start", "messages")),
    "octets at the start": ("MB", lambda result: value("start", "octets")(result) / 1e6),
    "CPU time of the start": ("CPU s, all whole nodes", value("start", "routers")),
    "CPU time of the start, busiest node": ("CPU s", value("start", "busiest")),
    "memory": ("MB", lambda result: float(result["memory"]) / 1e6),
    "convergence": ("virtual s", value("start", "seconds")),
    "messages a minute at rest": ("messages", value("rest", "messages")),
    "messages for one new route": ("messages", value("appears", "messages")),
}
GROWING = tuple(name for name in QUANTITIES if name != "convergence")  # that waits for timers, too


PLOTTED = (
    "messages at the start",
    "octets at the start",
    "CPU time of the start",
    "memory",
    "convergence",
    "messages a minute at rest",
)


def number(figure: float) -> str:
    if figure >= 1000:
        return f"{figure:,.0f}"
    return (
        f"{figure:.0f}"
        if figure >= 100
        else f"{figure:.1f}"
        if figure >= 10
        else f"{figure:.2f}"
        if figure >= 0.1
        else f"{figure:.2g}"
    )


def seconds(figure: float) -> str:
    if figure >= 1:
        return f"{figure:.2f} s"
    return f"{1000 * figure:.0f} ms" if figure >= 0.01 else f"{1000 * figure:.1f} ms"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def costs(results: Sequence[Result]) -> str:
    """The start, memory and the minute of rest."""
    head = ["nodes", "whole, leaves, stand-ins", "sessions", "converged after (virtual)", "messages", "MB on the wire"]
    head += [
        "CPU s",
        "of it routers",
        "the same in virtual s",
        "busiest node",
        "memory MB",
        "at rest: messages/min",
        "CPU s/min",
    ]
    rows = []
    for one in results:
        start, rest = step(one, "start") or {}, step(one, "rest") or {}
        kinds = f"{one['whole_nodes'] + 1 - back(one)}, {one['leaves']}, {one['stand_ins']}"
        rows.append(
            [
                f"{one['nodes']:,}" + (f" in groups of {one['group']}" if one["stand_ins"] else ""),
                kinds,
                f"{sessions(one):,}",
                seconds(start["seconds"]),
                number(start["messages"]),
                number(start["octets"] / 1e6),
                number(start["cpu"]),
                number(start["routers"]),
                number(start["modelled"]),
                number(start["busiest"]),
                number(one["memory"] / 1e6),
                number(rest["messages"]),
                number(rest["routers"]),
            ]
        )
    return table(head, rows)


def happenings(results: Sequence[Result]) -> str:
    """What each trial after the start took: virtual time, messages, CPU time."""
    names = [one["name"] for one in max(results, key=lambda result: len(result["steps"]))["steps"]][2:]
    rows = []
    for one in results:
        cells = [f"{one['nodes']:,}" + (f" in groups of {one['group']}" if one["stand_ins"] else "")]
        for name in names:
            found = step(one, name)
            cells.append(
                "-"
                if found is None
                else f"{seconds(found['seconds'])}, {number(found['messages'])}, {number(found['routers'])} s"
            )
        rows.append(cells)
    return table(["nodes", *names], rows)


def growths(results: Sequence[Result], names: Sequence[str]) -> dict[str, Growth]:
    """Of what was above zero everywhere: memory in small clusters may not have grown at all."""
    sizes = [float(one["nodes"]) for one in results]
    measured = {name: [QUANTITIES[name][1](one) for one in results] for name in names}
    return {name: fit(sizes, values) for name, values in measured.items() if min(values) > 0}


def growth_table(found: dict[str, Growth], most: int, sizes: Sequence[int]) -> str:
    head = ["what", "grows as", f"highest power at {most:,}", "exponent, all", "exponent, last two", "off by"]
    head += [f"carried on to {size:,}" for size in sizes]
    rows = []
    for name, growth in found.items():
        power = max(growth.parts)
        cells = [f"{name} ({QUANTITIES[name][0]})", str(growth), f"{growth.share(power, most):.0%}"]
        cells += [f"{growth.slope:.2f}", f"{growth.last:.2f}", f"{growth.error:.0%}"]
        cells += [number(growth.at(size)) for size in sizes]
        rows.append(cells)
    return table(head, rows)


def panels(kinds: Sequence[tuple[str, Sequence[Result], dict[str, Growth]]], names: Sequence[str]) -> list[Panel]:
    made = []
    for name in names:
        unit, quantity = QUANTITIES[name]
        series = []
        for kind, results, found in kinds:
            growth = found.get(name)
            law = (None, "") if growth is None else (growth.at, str(growth))
            if results:
                series.append(Series(kind, [one["nodes"] for one in results], [quantity(one) for one in results], *law))
        made.append(Panel(name, unit, series))
    return made


def kinds(results: Sequence[Result]) -> tuple[list[Result], list[Result], list[Result]]:
    """Meshes, reflected clusters that are one group, and those of several; each by size."""
    ordered = sorted(results, key=lambda one: int(one["nodes"]))
    mesh = [one for one in ordered if not one["reflected"]]
    reflected = [one for one in ordered if one["reflected"] and not one["stand_ins"]]
    return mesh, reflected, [one for one in ordered if one["stand_ins"]]


def generated(results: Sequence[Result], machine: str) -> str:
    mesh, reflected, grouped = kinds(results)
    head = f"Written by `python -m benchmarks.simulation --page`. Machine: {machine}."
    parts = [f"{head} CPU time and memory are this machine's; all else follows from the seed alone."]
    shown = "In each cell: virtual time until all tables were right, messages, CPU seconds of the whole nodes."
    if mesh:
        parts += ["### A full mesh", costs(mesh), shown, happenings(mesh)]
        if len(mesh) > 1:
            found = growths(mesh, GROWING)
            parts.append(growth_table(found, mesh[-1]["nodes"], (1000, 5000)))
            draw("A full mesh, 30 routes a node", panels([("mesh", mesh, found)], PLOTTED), DOCS / "scale-mesh")
            parts.append("![Growth of a mesh](scale-mesh.png) ([SVG](scale-mesh.svg))")
    if reflected:
        parts += ["### Two reflectors for all", costs(reflected), shown, happenings(reflected)]
        if len(reflected) > 1:
            found = growths(reflected, GROWING)
            parts.append(growth_table(found, reflected[-1]["nodes"], (5000,)))
            series: list[tuple[str, Sequence[Result], dict[str, Growth]]] = [("two for all", reflected, found)]
            if len(grouped) > 1:
                series.append(("two of each group", grouped, growths(grouped, GROWING)))
            draw("Route reflectors, 30 routes a node", panels(series, PLOTTED), DOCS / "scale-reflectors")
            parts.append("![Growth with reflectors](scale-reflectors.png) ([SVG](scale-reflectors.svg))")
    if grouped:
        parts += ["### Two reflectors for each group", costs(grouped), shown, happenings(grouped)]
        if len(grouped) > 1:
            found = growths(grouped, GROWING)
            parts.append(growth_table(found, grouped[-1]["nodes"], (50000,)))
    return "\n\n".join(parts)


def write(results: Sequence[Result], machine: str) -> None:
    """Put it between the markers of docs/scale.md. Raises ValueError where these are missing."""
    text = PAGE.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"{PAGE}: the markers {BEGIN} and {END} must be there once each")
    before, _, rest = text.partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{generated(results, machine)}\n\n{END}{rest.partition(END)[2]}")
