"""Prints app/web/static/ansi.css: the palette of 256 as colours that can be read in a log, light and dark."""

from app.logs.colours import colour_of

READABLE = 4.5  # WCAG AA
# Of the grounds that a row may have (tokens.css: sunken, line, accent-soft), the one with the least contrast.
LIGHT_GROUND = (0xE4, 0xE3, 0xDE)
DARK_GROUND = (0x29, 0x2C, 0x32)
BLACK, WHITE = (0, 0, 0), (255, 255, 255)

Colour = tuple[int, int, int]


def luminance(colour: Colour) -> float:
    parts = [value / 255 for value in colour]
    red, green, blue = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: Colour, other: Colour) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def readable(colour: Colour, ground: Colour, towards: Colour) -> Colour:
    """Mix as little of `towards` into the colour as it takes to be read on the ground."""
    for share in range(101):
        red, green, blue = (round(a + (b - a) * share / 100) for a, b in zip(colour, towards, strict=True))
        if contrast((red, green, blue), ground) >= READABLE:
            return red, green, blue
    raise AssertionError(f"nothing is readable on {ground}")


def css(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def stylesheet() -> str:
    lines = [
        "/* The palette of 256 colours, each so that it can be read. Made by scripts/ansi_colours.py. */"
    ]
    for number in range(16, 256):
        colour = colour_of(number)
        light, dark = readable(colour, LIGHT_GROUND, BLACK), readable(colour, DARK_GROUND, WHITE)
        text = max((BLACK, WHITE), key=lambda each: contrast(each, colour))
        lines += [
            f":where(.ansi-fg-{number}) {{ color: light-dark({css(light)}, {css(dark)}); }}",
            f".ansi-bg-{number} {{ color: {css(text)}; background: {css(colour)}; border-radius: 2px; }}",
        ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(stylesheet(), end="")
