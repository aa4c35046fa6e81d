"""`python -m jobyard`, the same as `jobyard`."""

from . import main

main()
