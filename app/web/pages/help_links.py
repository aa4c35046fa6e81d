"""Links from forms to their paragraphs in the guide."""

from __future__ import annotations

from markupsafe import Markup


def help_link(place: str) -> Markup:
    """A link to a paragraph such as `jobs#source`, in a tab of its own: what was typed into a form stays.

    A test looks that each page with a form has one, and that each leads to a heading that there is.
    """
    chapter, _, anchor = place.partition("#")
    about = (anchor or chapter).replace("-", " ")
    return Markup(
        '<a class="to-help" href="/help/{}" target="_blank" rel="noopener">Help'
        '<span class="off-screen"> on {}</span></a>'
    ).format(place, about)
