"""The composition root: builds everything once from settings and takes it down again."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import SecretStr

from ingest.catalog import Catalog, open_catalog
from ingest.database import Database
from ingest.files import FileStore, TextStore
from ingest.home import Home
from ingest.jobs import Jobs
from ingest.library import Library
from ingest.parsers.pool import ParserPool
from ingest.pipeline import Limits, Pipeline
from ingest.recipes import LoadEmbedder, Recipes
from ingest.settings import IngestSettings
from retrieval.bm25 import RankBM25Store
from retrieval.calibration import CalibratedReranker, Calibration
from retrieval.edge import EdgeStore
from retrieval.embedding import Embedder
from retrieval.errors import CalibrationError
from retrieval.index import IndexStore
from retrieval.late_interaction import LateInteractionReranker
from retrieval.profiles import ProfileStore
from retrieval.reranking import Reranker, Reranking
from retrieval.search import Searcher
from retrieval.served_reranker import ServedReranker
from retrieval.settings import LATE_INTERACTION, RetrievalSettings
from retrieval.vector_cache import CachingEmbedder, VectorCache, open_cache
from serving.afterwards import Afterwards
from serving.alarms import Alarms
from serving.answering import Answerer
from serving.bookkeeping import Bookkeeper
from serving.budgets import Budgets
from serving.database import open_database
from serving.finding import search_library
from serving.keys import KeyStore
from serving.limits import Limiter
from serving.metrics import Metrics
from serving.models import Models, build_models
from serving.permits import Permits
from serving.profiles import AnsweringProfile
from serving.readiness import IndexProbe
from serving.replay import Replayer
from serving.retention import Retention
from serving.settings import ServingSettings
from serving.shadow import PairStore, Shadow
from serving.stopping import Stopping
from serving.traces import TraceStore
from serving.tracing import Tracer
from serving.usage import UsageLedger

# How often it is looked for what is too old to be kept.
RETENTION_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of one service."""

    home: Path
    retrieval: RetrievalSettings
    ingest: IngestSettings
    serving: ServingSettings

    @classmethod
    def read(cls, home: Path) -> "Settings":
        """Read the environment and the .env file."""
        return cls(home, RetrievalSettings(), IngestSettings(), ServingSettings())


@dataclass(frozen=True, slots=True)
class Service:
    """What the routes need."""

    settings: Settings
    home: Home
    library: Library
    profiles: ProfileStore[AnsweringProfile]
    models: Models
    searcher: Searcher
    index_probe: IndexProbe
    answerer: Answerer
    keys: KeyStore
    usage: UsageLedger
    traces: TraceStore
    replayer: Replayer
    alarms: Alarms
    bookkeeper: Bookkeeper
    metrics: Metrics
    limits: Limiter
    pairs: PairStore
    shadow: Shadow
    stopping: Stopping


@contextmanager
def open_service(
    settings: Settings, embedder: Embedder | None = None, load: LoadEmbedder | None = None
) -> Iterator[Service]:
    """Own the home folder and run its jobs for as long as the context lasts.

    Args:
        settings: of all packages.
        embedder: used instead of the one that the settings name.
        load: used instead of sentence-transformers for embedders of collections made with others.

    Raises:
        StoreLockedError: another process owns the home folder.
        EmbedderUnavailableError: the embedder cannot be loaded.
        RerankerUnavailableError: the reranker cannot be loaded.
        CalibrationError: the reranker's calibration is missing, broken or another's, or there is
            no reranker.
        IndexUnavailableError: the Qdrant server does not answer.
        BackendsError: the description of the models is wrong.
        DatabaseUnavailableError: the database of keys and usage does not answer.
    """
    with (
        Home(settings.home) as home,
        open_database(settings.serving, settings.ingest, home) as database,
        open_cache(home.vectors, settings.retrieval.vector_cache_bytes) as cache,
        ExitStack() as closing,
    ):
        ingest, serving = settings.ingest, settings.serving
        recipes = _build_recipes(settings, embedder, load, cache)
        searcher = Searcher(build_reranking(settings.retrieval, recipes.current.embedder, closing))
        closing.callback(searcher.close)
        pipeline = _build_pipeline(settings, home, recipes, cache, closing)
        index_probe = IndexProbe(pipeline.store)
        closing.callback(index_probe.close)
        jobs = Jobs(
            pipeline, ingest.database_url or home.database_url("jobs"), ingest.concurrent_jobs
        )
        library = Library(pipeline, jobs, ingest.max_upload_bytes, ingest.max_queued)
        profiles = build_profiles(settings.retrieval, home)
        keys = KeyStore(database, _reveal(serving.api_key))
        closing.callback(keys.close)
        bookkeeper = _build_bookkeeper(serving, database, library, searcher, closing)
        models = build_models(serving, home.rates)
        find = partial(search_library, library, searcher)
        # Each remembers the conversations that it has.
        answerer, shadow_answerer = (
            Answerer(library, find, models, home.secret()) for _ in range(2)
        )
        limits = _build_limits(serving, bookkeeper.ledger)
        bookkeeper.metrics.watch(limits.permits)
        pairs = PairStore(database)
        library.add_missing_attributes()
        _start_jobs(jobs, library, closing)
        yield Service(
            settings=settings,
            home=home,
            library=library,
            profiles=profiles,
            models=models,
            searcher=searcher,
            index_probe=index_probe,
            answerer=answerer,
            keys=keys,
            usage=bookkeeper.ledger,
            traces=TraceStore(database),
            replayer=Replayer(library, find, answerer, bookkeeper, profiles),
            alarms=bookkeeper.alarms,
            bookkeeper=bookkeeper,
            metrics=bookkeeper.metrics,
            limits=limits,
            pairs=pairs,
            shadow=Shadow(serving, shadow_answerer, bookkeeper, limits, profiles, pairs),
            stopping=Stopping(),
        )


def load_embedder(settings: RetrievalSettings, name: str) -> Embedder:
    """Load an embedder by name, on the device and with the precision of the settings.

    Raises:
        EmbedderUnavailableError: it cannot be loaded.
    """
    from retrieval.sentence_transformer import (  # noqa: PLC0415 - torch takes seconds
        SentenceTransformerEmbedder,
    )

    return SentenceTransformerEmbedder(name, settings.device, settings.embedder_precision)


def build_profiles(settings: RetrievalSettings, home: Home) -> ProfileStore[AnsweringProfile]:
    """Return the profiles of a home folder, the one of the settings among them."""
    return ProfileStore(home.profiles, AnsweringProfile(**settings.profile().model_dump()))


def _start_jobs(jobs: Jobs, library: Library, closing: ExitStack) -> None:
    """Let the jobs go on, and finish the deletions that were broken off."""
    doomed = library.list_doomed()  # before a job that goes on gives them another state
    jobs.start()
    closing.callback(jobs.stop)
    for document in doomed:
        library.delete(document.id)


def _build_recipes(
    settings: Settings,
    embedder: Embedder | None,
    load: LoadEmbedder | None,
    cache: VectorCache | None,
) -> Recipes:
    load = load or partial(load_embedder, settings.retrieval)
    return Recipes(
        settings.ingest,
        settings.retrieval.language,
        _cached(embedder or load(settings.retrieval.embedder), cache),
        lambda name: _cached(load(name), cache),
    )


def _cached(embedder: Embedder, cache: VectorCache | None) -> Embedder:
    return embedder if cache is None else CachingEmbedder(embedder, cache)


def _build_pipeline(
    settings: Settings,
    home: Home,
    recipes: Recipes,
    cache: VectorCache | None,
    closing: ExitStack,
) -> Pipeline:
    ingest = settings.ingest
    catalog = open_catalog(ingest, home)
    closing.callback(catalog.close)
    store = build_store(settings.retrieval, home, catalog)
    closing.callback(store.close)
    parsers = ParserPool(max_workers=1, max_memory_bytes=ingest.parse_memory_bytes)
    closing.callback(parsers.close)
    return Pipeline(
        catalog=catalog,
        files=FileStore(home.files, home.work),
        texts=TextStore(home.texts, home.work),
        parsers=parsers,
        recipes=recipes,
        cache=cache,
        store=store,
        work=home.work,
        limits=Limits(
            ingest.max_pages,
            ingest.parse_timeout_seconds,
            ingest.ocr_languages,
            ingest.min_free_bytes,
        ),
    )


def build_store(settings: RetrievalSettings, home: Home, catalog: Catalog) -> IndexStore:
    """Return the index store of the settings.

    Raises:
        IndexUnavailableError: the Qdrant server does not answer.
    """
    store: IndexStore
    if settings.qdrant_url is None:
        store = EdgeStore(home.index)
    else:
        from retrieval.qdrant import open_store  # noqa: PLC0415 - takes a second

        store = open_store(settings, catalog.identity())
    return RankBM25Store(store) if settings.lexical == "rank_bm25" else store


def build_reranking(
    settings: RetrievalSettings, embedder: Embedder, closing: ExitStack
) -> Reranking | None:
    """Return the second stage of searches, if the settings want one.

    Args:
        settings: of retrieval.
        embedder: for late interaction.
        closing: closes what is held.

    Raises:
        RerankerUnavailableError: the reranker cannot be loaded.
        CalibrationError: its calibration is missing, broken or another's, or there is no reranker.
    """
    if settings.reranker_url is None and settings.reranker == LATE_INTERACTION:
        reranker: Reranker | None = LateInteractionReranker(embedder)
    else:
        reranker = build_reranker(settings, closing)
    if reranker is None and settings.reranker_calibration is not None:
        raise CalibrationError(
            "RETRIEVAL_RERANKER_CALIBRATION is set, but no reranker that it could calibrate. Set "
            "RETRIEVAL_RERANKER or RETRIEVAL_RERANKER_URL, or leave the calibration unset."
        )
    if reranker is None:
        return None
    if settings.reranker_calibration is not None:
        reranker = CalibratedReranker(reranker, Calibration.load(settings.reranker_calibration))
    return Reranking(reranker, settings.rerank_depth, settings.rerank_seconds)


def build_reranker(settings: RetrievalSettings, closing: ExitStack) -> Reranker | None:
    """Return the reranker that has a model of its own, if the settings name one.

    Args:
        settings: of retrieval.
        closing: closes what is held.

    Raises:
        RerankerUnavailableError: it cannot be loaded.
    """
    if settings.reranker_url is not None:
        served = ServedReranker(
            settings.reranker_url, settings.reranker, _reveal(settings.reranker_api_key)
        )
        closing.callback(served.close)
        return served
    if settings.reranker is None or settings.reranker == LATE_INTERACTION:
        return None
    from retrieval.cross_encoder import CrossEncoderReranker  # noqa: PLC0415 - torch takes seconds

    return CrossEncoderReranker(settings.reranker, settings.device)


def _build_bookkeeper(
    settings: ServingSettings,
    database: Database,
    library: Library,
    searcher: Searcher,
    closing: ExitStack,
) -> Bookkeeper:
    afterwards = Afterwards()
    closing.callback(afterwards.close)
    alarms = Alarms(database)
    reranking = searcher.reranking
    retention = Retention(partial(_forget_old, settings, database), RETENTION_SECONDS)
    closing.callback(retention.close)
    return Bookkeeper(
        ledger=UsageLedger(database),
        tracer=Tracer(library, reranking.fingerprint if reranking else None),
        traces=TraceStore(database) if settings.trace_days else None,
        metrics=Metrics(library, alarms),
        alarms=alarms,
        afterwards=afterwards,
    )


def _forget_old(settings: ServingSettings, database: Database) -> None:
    UsageLedger(database).forget_old(settings.usage_days)
    TraceStore(database).forget_old(settings.trace_days)
    PairStore(database).forget_old(settings.usage_days)


def _build_limits(settings: ServingSettings, usage: UsageLedger) -> Limiter:
    answers, searches = (
        Permits(settings.max_concurrent, settings.max_waiting, settings.max_wait_seconds)
        for _ in range(2)
    )
    return Limiter(Budgets(usage), answers, searches)


def _reveal(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
