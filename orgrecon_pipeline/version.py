"""Version of the program, stored in every record."""

__version__ = "0.1.0"
