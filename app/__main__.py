"""`python -m app`, the same as `jobyard`."""

from app.cli import main

main()
