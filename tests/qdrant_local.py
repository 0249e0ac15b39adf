"""Qdrant's own second engine: the local mode of its client, a separate implementation."""

from typing import Any

from qdrant_client import QdrantClient, models


class LocalClient(QdrantClient):
    """Local mode refuses every text index but the default one, so it is asked for that."""

    def create_payload_index(  # type: ignore[override]
        self, collection_name: str, field_name: str, field_schema: Any = None, **options: Any
    ) -> models.UpdateResult:
        if isinstance(field_schema, models.TextIndexParams):
            field_schema = models.TextIndexParams(type=models.TextIndexType.TEXT, scoring=True)
        return super().create_payload_index(collection_name, field_name, field_schema, **options)
