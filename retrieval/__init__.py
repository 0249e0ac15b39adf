"""The chunks that answer a query: embedding, index, fusion, search."""
