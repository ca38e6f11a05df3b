"""The page: one file of HTML with all that it needs, which opens without a network and without a server."""

from __future__ import annotations

import html
import json
import os
from pathlib import Path
from typing import Any

from tinygrad_norm.explorer.lanes import HEIGHT, lines, mark, places_of, width_of
from tinygrad_norm.explorer.walk import Walk


class Page(Walk):
    """A `with` block that notes what the engine does in it; then `save(file)`, `show()`, or the value of a notebook's cell."""

    def html(self, title: str = "A walk through the graph") -> str:
        """The page as text."""
        html_text, css, js = (Path(__file__).with_name(f"page.{kind}").read_text("utf-8") for kind in ("html", "css", "js"))
        data = {"rows": self._drawn(), "steps": self.steps, "values": self.values.shown, "sources": self.sources.shown}
        text = json.dumps({**data, "missed": self.missed}, separators=(",", ":"), allow_nan=False)
        page = html_text.replace("{title}", html.escape(title))
        for place, part in (("/* page.css */", css), ("/* page.js */", js), ('"{data}"', text.replace("<", "\\u003c"))):
            page = page.replace(place, part, 1)
        return page

    def save(self, file: str | os.PathLike) -> None:
        """Write the page to a file."""
        Path(file).write_text(self.html(Path(file).stem), "utf-8")

    def show(self) -> None:
        """Open the page in a browser, from a temporary file."""
        import tempfile  # these two are not worth the time of every import of the package
        import webbrowser

        with tempfile.NamedTemporaryFile("w", suffix=".html", encoding="utf-8", delete=False) as file:
            file.write(self.html())
        webbrowser.open(Path(file.name).as_uri())

    def _repr_html_(self) -> str:
        frame = f'<iframe srcdoc="{html.escape(self.html())}" style="width: 100%; height: 42em; border: 0"'
        return f'{frame} title="A walk through the graph"></iframe>'

    def __repr__(self) -> str:
        return f"<a walk of {len(self.steps)} steps: save(file) or show() it>"

    def _drawn(self) -> list[dict[str, Any]]:
        """The rows with their lines and marks as pieces of SVG; of a module also those of its heading when it is folded."""
        places = places_of([row["sources"] for row in self.rows])
        ends = list(range(len(self.rows)))  # of each row, the last one that is inside of it
        for i in range(len(self.rows) - 1, -1, -1):
            if (box := self.rows[i]["box"]) is not None:
                ends[box] = max(ends[box], ends[i])
        drawn, width = [], width_of(places)
        for i, (row, place, end) in enumerate(zip(self.rows, places, ends)):
            if row["kind"] == "module":
                inside = range(i + 1, end + 1)
                below = places[end].below
                used = {source for at in inside for source in self.rows[at]["sources"] or ()}
                lane = min((lane for lane, source in below.items() if source in inside), default=places[end].lane)
                svg = lines(place.above, place.below, 0, (), ())
                folded = lines(place.above, below, lane, used, inside) + mark("module", lane)
            else:
                svg = lines(place.above, place.below, place.lane, row["sources"], (i,)) + mark(row["kind"], place.lane)
                folded = ""
            drawn.append({**row, "svg": svg, "folded": folded, "width": width, "height": HEIGHT})
        return drawn


def explore(*, names: Any = None) -> Page:
    """A `with` block that notes each op, edit and step of backward in it, to be looked at step by step in a browser.

    names: a Module, or a dict of names and Tensors, to name leaves; those of modules that are called, and of variables where
    ops are called, are found without. The page shows at most 3,000 steps, and of a large array a part; the block takes several
    times as long as without. It belongs to the thread, as grad mode does. Raises TypeError for other names.
    """
    return Page(names)
