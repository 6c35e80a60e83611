"""``python -m flatpose.harness.cli``, for torchrun."""

from flatpose.harness.cli import main

if __name__ == "__main__":
    main()
