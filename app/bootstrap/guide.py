"""What the guide has from parts of the program that pages don't know: settings and languages."""

from __future__ import annotations

from app.web.guide import Reference, codes, table


def references() -> dict[str, Reference]:
    return {"settings": Reference(_settings), "languages": Reference(_languages)}


def _settings() -> str:
    from app.config.reference import describe_settings

    parts = [
        f"## {group.title}\n\n{group.sentence}\n\n"
        + table(
            ("variable", "default", "what it is"),
            [
                (f"`{each.variable}`", f"`{each.default}`" if each.default else "", each.description)
                for each in group.settings
            ],
        )
        for group in describe_settings()
    ]
    return "\n\n".join(parts)


def _languages() -> str:
    from builders.runtimes import FOREIGN, RUNTIMES  # what plans a build is imported when one is planned

    own = ("`dockerfile`", "any", "`Dockerfile`, `Containerfile`", "what it says")
    generated = [
        (f"`{each.name}`", each.title, codes(each.signs), ", ".join(each.versions) or "as Debian has it")
        for each in RUNTIMES
    ]
    supported = table(("type", "language", "is recognised by", "versions"), [own, *generated])
    others = ", ".join(sorted(set(FOREIGN.values())))
    return f"{supported}\n\nRecognised, and refused by name rather than built as something else: {others}."
