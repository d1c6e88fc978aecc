"""`python -m jetpost` is `jetpost`."""

from jetpost.cli import main

main()
