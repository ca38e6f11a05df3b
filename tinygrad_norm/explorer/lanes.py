"""A graph, drawn: a row for each op, in the order in which they ran, and a lane for each value that is still to be used.

A value's line goes down its lane from the op that made it to the last one that uses it, so that no line runs through an op that
has nothing to do with it, and rows can be folded away without moving the others.
"""

from __future__ import annotations

import html
from collections.abc import Collection, Sequence
from typing import NamedTuple

LANE, HEIGHT = 14, 28  # pixels

Lanes = dict[int, int]  # the lanes in use, and the row that each value comes from


class Place(NamedTuple):
    """The lane of a row, and those in use above and below it."""

    lane: int
    above: Lanes
    below: Lanes


def places_of(sources: Sequence[Sequence[int] | None]) -> list[Place]:
    """Where each row is drawn. sources: the rows whose values it uses, which come before it; None for a heading."""
    last = {source: row for row, given in enumerate(sources) for source in given or ()}
    places = []
    active: Lanes = {}
    for row, given in enumerate(sources):
        above = dict(active)
        ended = [lane for lane, source in above.items() if given and source in given and last[source] == row]
        for lane in ended:
            del active[lane]
        lane = min(ended) if ended else next(lane for lane in range(len(active) + 1) if lane not in active)
        if row in last:
            active[lane] = row
        places.append(Place(lane, above, dict(active)))
    return places


def lines(above: Lanes, below: Lanes, lane: int, used: Collection[int], made: Collection[int]) -> str:
    """The lines of one row as the paths of an SVG: those that pass it, those that it uses, those that it makes."""
    x, middle = across(lane), HEIGHT / 2
    drawn = []
    for at, source in above.items():
        if below.get(at) == source:
            drawn.append(f"M{across(at)} 0V{HEIGHT}")
        if source in used:
            drawn.append(f"M{across(at)} 0C{across(at)} {middle / 2} {x} {middle / 2} {x} {middle}")
    for at, source in below.items():
        if source in made:
            drawn.append(f"M{x} {middle}C{x} {middle * 1.5} {across(at)} {middle * 1.5} {across(at)} {HEIGHT}")
    return f'<path d="{"".join(drawn)}" fill="none" stroke="currentColor" opacity=".5"/>'


def mark(kind: str, lane: int) -> str:
    """What stands for an op (a disc), a leaf (a square, full for a parameter), or a folded module (a box)."""
    x, y, r = across(lane), HEIGHT / 2, 5
    if kind == "op":
        return f'<circle cx="{x}" cy="{y}" r="{r}" fill="currentColor"/>'
    fill = "var(--page, white)" if kind == "data" else "currentColor"
    size = f'x="{x - r}" y="{y - r}" width="{2 * r}" height="{2 * r}" rx="{3 if kind == "module" else 0}"'
    return f'<rect {size} fill="{fill}" stroke="currentColor"/>'


def picture(sources: Sequence[Sequence[int]], kinds: Sequence[str], words: Sequence[tuple[str, str]]) -> str:
    """A whole graph as the text of an SVG file: beside each row its words, the second of them fainter."""
    places, drawn = places_of(sources), []
    left = width_of(places) + 4
    for i, (place, kind, (label, more)) in enumerate(zip(places, kinds, words)):
        shown = lines(place.above, place.below, place.lane, sources[i], (i,)) + mark(kind, place.lane)
        text = f'{html.escape(label)}<tspan opacity=".6">{html.escape(more)}</tspan></text>'
        drawn.append(f'<g transform="translate(0 {i * HEIGHT})">{shown}<text x="{left}" y="{HEIGHT / 2 + 4}">{text}</g>')
    size = f'width="{left + max(8 * len(a + b) for a, b in words)}" height="{HEIGHT * len(places)}"'
    style = 'font-family="ui-monospace, monospace" font-size="13" fill="currentColor"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>{"".join(drawn)}</svg>'


def across(lane: int) -> int:
    """The middle of a lane, in pixels from the left."""
    return LANE * lane + LANE // 2 + 2


def width_of(places: Sequence[Place]) -> int:
    """The width of all lanes, in pixels."""
    return across(max((max([p.lane, *p.above, *p.below]) for p in places), default=0) + 1)
