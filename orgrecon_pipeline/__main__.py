"""``python -m orgrecon_pipeline``."""

from orgrecon_pipeline.cli import main

if __name__ == "__main__":
    main()
