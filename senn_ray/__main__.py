"""``python -m senn_ray``: the command line, where its script is not on the path."""

from senn_ray.cli.main import main

if __name__ == "__main__":
    main()
