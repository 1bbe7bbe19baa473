"""A ticketing service whose first promise is a fast first answer."""

__version__ = "0.1.0"
