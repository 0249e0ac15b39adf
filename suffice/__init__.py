"""The front door: the `suffice` command and the Python client of the REST API."""
