"""The entry of the command line: the script ``senn-ray``, or ``python -m senn_ray``."""

import signal
import sys


def main() -> None:
    """Load the command line and run it; an interrupt while it loads is one line, too.

    SIGTERM is an interrupt from the first moment on: a cluster that takes a machine back
    sends it. And no further one changes an exit code that is decided, while Python ends.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        from senn_ray.cli.main import main as run_command_line

        run_command_line()
    except KeyboardInterrupt:
        print("senn-ray: interrupted", file=sys.stderr)
        sys.exit(130)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    main()
