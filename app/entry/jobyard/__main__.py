"""`python -m jobyard`, the same as `jobyard`."""

from jobyard import main

main()
