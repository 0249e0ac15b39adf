"""An uploaded file becomes searchable chunks: parse, chunk, embed, upsert."""
