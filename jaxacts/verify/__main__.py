"""``python -m jaxacts.verify NAME``: the same as ``jaxacts verify NAME``."""

import argparse
import sys

from ._command import add_arguments, run

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m jaxacts.verify")
    add_arguments(parser)
    sys.exit(run(parser.parse_args()))
