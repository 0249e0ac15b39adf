"""Random retrieval profiles."""

from hypothesis import strategies as st

from retrieval.adaptive import LargestGap, MarginToBest, SoftmaxMass, TailDeviation, Threshold
from retrieval.packing import PackingPolicy
from retrieval.profiles import Fusion, Mode, RetrievalProfile

RULES = st.one_of(
    st.builds(Threshold, threshold=st.floats(0, 1), k_max=st.integers(1, 40)),
    st.builds(MarginToBest, margin=st.floats(0, 1), k_max=st.integers(1, 40)),
    st.builds(TailDeviation, deviations=st.floats(0, 5), k_max=st.integers(1, 40)),
    st.builds(SoftmaxMass, mass=st.floats(0.05, 1), k_max=st.integers(1, 40)),
    st.builds(LargestGap, extra=st.integers(0, 5), k_max=st.integers(1, 40)),
)
PROFILES = st.builds(
    RetrievalProfile,
    mode=st.sampled_from(Mode),
    num_candidates=st.integers(1, 60),
    fusion=st.sampled_from(Fusion),
    dense_weight=st.floats(0, 1),
    rrf_k=st.integers(0, 100),
    rerank=st.booleans(),
    min_score=st.none() | st.floats(0, 1),
    top_k=st.none() | st.integers(1, 60),
    rule=st.none() | RULES,
    packing=st.builds(
        PackingPolicy, max_tokens=st.none() | st.integers(1, 600), expand=st.booleans()
    )
    | st.builds(
        PackingPolicy,
        max_tokens=st.none() | st.integers(1, 600),
        sentences=st.just(True),
        sentence_dense_weight=st.just(0) | st.floats(0, 1),
        sentence_margin=st.none() | st.floats(0, 2),
    ),
)
