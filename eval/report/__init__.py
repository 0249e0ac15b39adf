"""The report of a tuning: one HTML file with everything in it, for people."""
