"""How fast the service is, measured beside what PostgreSQL and FastAPI allow at best. See `python -m bench --help`."""
