"""The interactive walk: a program's forward and backward, step by step, with the values and the code that ran.

with tn.explore(names=net) as walk:
    loss = nn.functional.cross_entropy(net(images), labels)
    loss.backward()
walk.save("lenet.html")

walk.py       an observer of the engine: what it is told becomes rows of a graph, and steps
calls.py      from where an op was called: the user's line, the modules, the names of Tensors
values.py     arrays as the page shows them
sources.py    the code that ran
lanes.py      the graph, drawn: a row for each op, a lane for each value
page.py       one file of HTML; page.html, page.css and page.js are its parts
"""

from tinygrad_norm.explorer.page import Page, explore

__all__ = ["Page", "explore"]
