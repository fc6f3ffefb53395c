"""The entry of the command line: the script ``senn-ray``, or ``python -m senn_ray``."""

import sys


def main() -> None:
    """Load the command line and run it; an interrupt while it loads is one line, too."""
    try:
        from senn_ray.cli.main import main as run_command_line
    except KeyboardInterrupt:
        print("senn-ray: interrupted", file=sys.stderr)
        sys.exit(130)
    run_command_line()


if __name__ == "__main__":
    main()
