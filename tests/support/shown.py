"""A page's text as a browser shows it, wherever its template breaks a line."""

from __future__ import annotations

import re

BLOCKS = "body|dd|details|div|dl|dt|form|h1|h2|h3|header|li|main|ol|p|section|summary|table|td|tr|ul"


def shown(html: str) -> str:
    """Return the HTML with one space for any white space, and none beside a block's tags."""
    return re.sub(rf" ?(</?(?:{BLOCKS})\b[^>]*>) ?", r"\1", " ".join(html.split()))
