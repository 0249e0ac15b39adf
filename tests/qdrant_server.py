"""A Qdrant server for tests: the calls we make, over gRPC, answered by the client's local mode.

It is strict as a server can be set to be: a filter on a field without an index is refused.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Barrier, Lock
from typing import Any

import grpc
from qdrant_client import grpc as wire
from qdrant_client import models
from qdrant_client.conversions.conversion import GrpcToRest, RestToGrpc
from qdrant_client.grpc import (
    collections_service_pb2_grpc,
    points_service_pb2_grpc,
    qdrant_pb2_grpc,
)

from tests.qdrant_local import LocalClient

DONE = wire.PointsOperationResponse(
    result=wire.UpdateResult(operation_id=1, status=wire.UpdateStatus.Completed)
)
OPERATION_DONE = wire.CollectionOperationResponse(result=True)


@dataclass
class TestServer:
    """What the server knows, and how it is to misbehave.

    Attributes:
        port: where it listens.
        key: what every call must carry.
        version: it says it has.
        faults: states of the next calls, which do nothing else; None lets a call pass.
        faulty: the only call that has faults; None means all.
        lost: calls that are made, but whose next answers do not arrive.
        delay_seconds: before each answer.
        meeting: calls wait for each other there.
        calls: names of the calls that were made.
        created: requests that made collections.
        searches: requests that searched.
        fields: indexed fields by collection.
    """

    __test__ = False

    port: int = 0
    key: str | None = None
    version: str = "1.20.0"
    faults: list[grpc.StatusCode | None] = field(default_factory=list)
    faulty: str | None = None
    lost: list[str] = field(default_factory=list)
    delay_seconds: float = 0.0
    meeting: Barrier | None = None
    calls: list[str] = field(default_factory=list)
    created: list[Any] = field(default_factory=list)
    searches: list[Any] = field(default_factory=list)
    fields: dict[str, dict[str, Any]] = field(default_factory=dict)
    engine: LocalClient = field(default_factory=lambda: LocalClient(":memory:"))
    lock: Lock = field(default_factory=Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def run_qdrant(**options: Any) -> Iterator[TestServer]:
    """Run a server on a free port for as long as the context lasts."""
    state = TestServer(**options)
    server = grpc.server(ThreadPoolExecutor(4), interceptors=[_Gate(state)])
    points_service_pb2_grpc.add_PointsServicer_to_server(_Points(state), server)  # type: ignore[no-untyped-call]
    collections_service_pb2_grpc.add_CollectionsServicer_to_server(  # type: ignore[no-untyped-call]
        _Collections(state), server
    )
    qdrant_pb2_grpc.add_QdrantServicer_to_server(_Root(state), server)  # type: ignore[no-untyped-call]
    state.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield state
    finally:
        server.stop(0).wait()
        state.engine.close()


class _Gate(grpc.ServerInterceptor):  # type: ignore[misc]
    """Checks the key and lets the faults happen."""

    def __init__(self, state: TestServer) -> None:
        self._state = state

    def intercept_service(self, proceed: Callable[[Any], Any], details: Any) -> Any:
        state = self._state
        name = details.method.rpartition("/")[2]
        state.calls.append(name)
        if state.key is not None and dict(details.invocation_metadata).get("api-key") != state.key:
            return _refuse(grpc.StatusCode.UNAUTHENTICATED, "Invalid api-key")
        has_faults = state.faults and state.faulty in {None, name}
        if has_faults and (fault := state.faults.pop(0)) is not None:
            return _refuse(fault, "a fault")
        handler = proceed(details)

        def answer(request: Any, context: Any) -> Any:
            time.sleep(state.delay_seconds)
            if state.meeting is not None:
                state.meeting.wait(timeout=20)
            reply = handler.unary_unary(request, context)
            if name in state.lost:
                state.lost.remove(name)
                context.abort(grpc.StatusCode.UNAVAILABLE, "lost")
            return reply

        return grpc.unary_unary_rpc_method_handler(
            answer, handler.request_deserializer, handler.response_serializer
        )


def _refuse(code: grpc.StatusCode, details: str) -> Any:
    return grpc.unary_unary_rpc_method_handler(lambda _request, call: call.abort(code, details))


class _Root(qdrant_pb2_grpc.QdrantServicer):
    def __init__(self, state: TestServer) -> None:
        self._state = state

    def HealthCheck(self, request: Any, context: Any) -> Any:
        return wire.HealthCheckReply(title="qdrant", version=self._state.version)


class _Collections(collections_service_pb2_grpc.CollectionsServicer):
    def __init__(self, state: TestServer) -> None:
        self._state, self._engine = state, state.engine

    def CollectionExists(self, request: Any, context: Any) -> Any:
        exists = self._engine.collection_exists(request.collection_name)
        return wire.CollectionExistsResponse(result=wire.CollectionExists(exists=exists))

    def Create(self, request: Any, context: Any) -> Any:
        with self._state.lock:
            vectors = GrpcToRest.convert_vectors_config(request.vectors_config)
            metadata = GrpcToRest.convert_payload(request.metadata)
            self._engine.create_collection(
                request.collection_name, vectors_config=vectors, metadata=metadata
            )
            self._state.created.append(request)
            self._state.fields[request.collection_name] = {}
        return OPERATION_DONE

    def Get(self, request: Any, context: Any) -> Any:
        info = self._engine.get_collection(request.collection_name)
        info.payload_schema = {}
        message = RestToGrpc.convert_collection_info(info)
        for name, kind in self._state.fields[request.collection_name].items():
            message.payload_schema[name].CopyFrom(wire.PayloadSchemaInfo(data_type=kind))
        return wire.GetCollectionInfoResponse(result=message)

    def Update(self, request: Any, context: Any) -> Any:
        metadata = GrpcToRest.convert_payload(request.metadata)
        with self._state.lock:
            self._engine.update_collection(request.collection_name, metadata=metadata)
        return OPERATION_DONE

    def List(self, request: Any, context: Any) -> Any:
        return wire.ListCollectionsResponse(
            collections=[wire.CollectionDescription(name=name) for name in self._state.fields]
        )

    def Delete(self, request: Any, context: Any) -> Any:
        with self._state.lock:
            self._engine.delete_collection(request.collection_name)
            self._state.fields.pop(request.collection_name, None)
        return OPERATION_DONE


class _Points(points_service_pb2_grpc.PointsServicer):
    def __init__(self, state: TestServer) -> None:
        self._state, self._engine = state, state.engine

    def CreateFieldIndex(self, request: Any, context: Any) -> Any:
        fields = self._state.fields[request.collection_name]
        # Field types and index types are two enumerations with other numbers.
        kind = wire.FieldType.Name(request.field_type).removeprefix("FieldType")
        fields[request.field_name] = wire.PayloadSchemaType.Value(kind)
        if kind == "Text":
            text = models.TextIndexParams(type=models.TextIndexType.TEXT)
            self._engine.create_payload_index(request.collection_name, request.field_name, text)
        return DONE

    def Upsert(self, request: Any, context: Any) -> Any:
        points = [GrpcToRest.convert_point_struct(point) for point in request.points]
        with self._state.lock:
            self._engine.upsert(request.collection_name, points)
        return DONE

    def Delete(self, request: Any, context: Any) -> Any:
        selector = self._select(request, request.points, context)
        with self._state.lock:
            self._engine.delete(request.collection_name, selector)
        return DONE

    def SetPayload(self, request: Any, context: Any) -> Any:
        selector = self._select(request, request.points_selector, context)
        payload = GrpcToRest.convert_payload(request.payload)
        with self._state.lock:
            self._engine.set_payload(request.collection_name, payload, selector)
        return DONE

    def QueryBatch(self, request: Any, context: Any) -> Any:
        for query in request.query_points:
            if query.limit < 1:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, "limit must be 1 or larger")
            self._check(request, query.filter, context)
        self._state.searches.extend(request.query_points)
        asked = [GrpcToRest.convert_query_points(query) for query in request.query_points]
        for query in asked:
            query.params = None  # local mode warns of them
        with self._state.lock:
            found = self._engine.query_batch_points(request.collection_name, asked)
        return wire.QueryBatchResponse(
            result=[
                wire.BatchResult(
                    result=[RestToGrpc.convert_scored_point(point) for point in response.points]
                )
                for response in found
            ]
        )

    def Get(self, request: Any, context: Any) -> Any:
        ids = [GrpcToRest.convert_point_id(one) for one in request.ids]
        with self._state.lock:
            records = self._engine.retrieve(
                request.collection_name, ids, with_vectors=request.with_vectors.enable
            )
        return wire.GetResponse(result=[RestToGrpc.convert_record(record) for record in records])

    def Scroll(self, request: Any, context: Any) -> Any:
        start = GrpcToRest.convert_point_id(request.offset) if request.HasField("offset") else None
        with self._state.lock:
            records, following = self._engine.scroll(
                request.collection_name, limit=request.limit, offset=start, with_vectors=True
            )
        response = wire.ScrollResponse(result=[RestToGrpc.convert_record(r) for r in records])
        if following is not None:
            response.next_page_offset.CopyFrom(RestToGrpc.convert_extended_point_id(following))
        return response

    def Count(self, request: Any, context: Any) -> Any:
        self._check(request, request.filter, context)
        counted = GrpcToRest.convert_filter(request.filter)
        with self._state.lock:
            count = self._engine.count(request.collection_name, counted).count
        return wire.CountResponse(result=wire.CountResult(count=count))

    def Facet(self, request: Any, context: Any) -> Any:
        with self._state.lock:
            hits = self._engine.facet(
                request.collection_name, request.key, None, request.limit
            ).hits
        return wire.FacetResponse(hits=[RestToGrpc.convert_facet_value_hit(hit) for hit in hits])

    def _select(self, request: Any, selector: Any, context: Any) -> Any:
        self._check(request, selector.filter, context)
        return GrpcToRest.convert_points_selector(selector)

    def _check(self, request: Any, condition: Any, context: Any) -> None:
        unindexed = set(_keys(condition)) - self._state.fields[request.collection_name].keys()
        if unindexed:
            message = f"Index required but not found for {unindexed}"
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, message)


def _keys(condition: Any) -> Iterator[str]:
    """Yield the fields that a filter reads."""
    for part in (*condition.must, *condition.should, *condition.must_not):
        if part.HasField("filter"):
            yield from _keys(part.filter)
        elif part.HasField("field"):
            yield part.field.key
