"""What all tests of whole flows share."""

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="session")
def own_places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep manifests out of the user's cache, and the user's cache and models out of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("NODEGRAPH_CACHE", raising=False)
        patch.delenv("NODEGRAPH_MODELS", raising=False)
        yield
