"""The guide: Markdown files of `app/web/help` in their order, rendered, searched, and with parts made from the code."""

from app.web.guide.chapters import CHAPTERS, Chapter
from app.web.guide.guide import Guide, Page, Passage
from app.web.guide.references import Reference, codes, guide_references, table

__all__ = [
    "CHAPTERS",
    "Chapter",
    "Guide",
    "Page",
    "Passage",
    "Reference",
    "codes",
    "guide_references",
    "table",
]
