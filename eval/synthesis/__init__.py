"""Questions made from documents, with or without a model: see `making`."""
