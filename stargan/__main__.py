"""``python -m stargan`` is the ``stargan`` command."""

from stargan.cli import main

if __name__ == "__main__":
    main()
