"""HTTP routes: each handler calls one domain function."""
