"""Parsers: the bytes of an uploaded file become canonical text, in processes that may be killed."""
