"""`python -m dnadiff`: the command line under a name that nothing else on the PATH can hide."""

from dnadiff.cli import main

main()
