"""A form that was refused, as the browser gets it: fields are called by their labels, the first wrong one focused.

Both are read off the page itself, so that nothing has to be said twice: whatever is wrong is marked `aria-invalid`.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from html import escape

_FOCUSED = re.compile(r"(<(?:input|textarea|select)\b[^>]*?)\s+autofocus\b", re.DOTALL)
_WRONG = re.compile(r'aria-invalid="true"')
_LINK = '<a class="link" href="#f-{name}">{text}</a>'


def finish(page: str, wrong: Collection[str]) -> str:
    """The page, whose links to fields named in `wrong` are called as these are; the first wrong one has the focus."""
    for name in wrong:
        at, label = escape(name), label_of(page, name)
        page = page.replace(_LINK.format(name=at, text=at), _LINK.format(name=at, text=label))
    if _WRONG.search(page):
        page = _WRONG.sub('aria-invalid="true" autofocus', _FOCUSED.sub(r"\1", page), count=1)
    return page


def label_of(page: str, name: str) -> str:
    """A field's label, as HTML. A field without one, such as a row of a table, is called by its own name."""
    at = re.escape(f"f-{escape(name)}")
    if found := re.search(rf'<label for="{at}">([^<]+)</label>', page):
        return found[1].strip()
    last = name.rpartition(".")[2]
    return escape(last if name.startswith("env.") else last.replace("_", " ").capitalize())
