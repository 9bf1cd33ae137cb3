"""`python -m hawkvision.cli`: the command `hawkvision`."""

from hawkvision.cli.main import main

main()
