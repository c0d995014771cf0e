"""One file per verb: what the command line runs."""
