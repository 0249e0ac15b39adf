"""What reading a broken file raises, besides the errors of the library that reads it."""

import struct
import zlib

# Missing keys, wrong types, cut streams and endless nesting lead to these. SyntaxError, NameError
# and the like would be faults of the program and are not among them.
DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
