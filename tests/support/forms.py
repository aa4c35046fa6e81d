"""A page's form as a browser without scripts would send it."""

from __future__ import annotations

from html.parser import HTMLParser


class _Form(HTMLParser):
    def __init__(self, action: str) -> None:
        super().__init__()
        self.action = action
        self.inside = False
        self.fields: dict[str, str] = {}
        self.area: str | None = None
        self.choice: str | None = None
        self.option: tuple[str | None, bool] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name = given.get("name")
        if tag == "form":
            self.inside = given.get("action") == self.action
        if not self.inside:
            return
        if tag == "input" and name:
            kind = given.get("type", "text")
            if kind not in ("checkbox", "radio") or "checked" in given:
                self.fields[name] = given.get("value") or ""
        if tag == "textarea" and name:
            self.area, self.fields[name] = name, ""
        if tag == "select":
            self.choice = name
        if tag == "option" and self.choice:
            self.option = (given.get("value"), "selected" in given)
            if "value" in given and (self.choice not in self.fields or "selected" in given):
                self.fields[self.choice] = given["value"] or ""

    def handle_data(self, data: str) -> None:
        if self.area:
            self.fields[self.area] += data
        is_first = self.choice not in self.fields
        if self.option and self.choice and self.option[0] is None and (is_first or self.option[1]):
            self.fields[self.choice] = data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea" and self.area:
            text = self.fields[self.area].removeprefix("\n")  # the first line break belongs to the tag
            self.fields[self.area] = text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n")
            self.area = None
        if tag == "select":
            self.choice = None
        if tag == "option":
            self.option = None
        if tag == "form":
            self.inside = False


def form_fields(page: str, action: str) -> dict[str, str]:
    """What the form with this action would send as it is on the page."""
    parser = _Form(action)
    parser.feed(page)
    assert parser.fields, f"there is no form for {action}"
    return parser.fields
