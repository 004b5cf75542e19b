"""The version alone, so that nothing needs the package's face to know it."""

__version__ = "0.2.0"
