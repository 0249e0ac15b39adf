"""Decisions with an error rate: is the cheaper setting as good, and how many questions tell?

Everything is about arrays of scores; what a question, a setting or an index is, nothing here knows.
"""
