"""`python -m service` is `aura`."""

from service.cli import main

main()
