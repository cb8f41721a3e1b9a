"""Fixtures that several packages' tests share."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def model_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository exported for these tests: seeded, untrained, compact width, version 1 of backbone and relations."""
    from export import calibration, release
    from export.steps import export

    repository = tmp_path_factory.mktemp("model_repository")
    calibrating, held_out = (calibration.portrait_crops(16, seed) for seed in (0, 1))
    export(release.untrained(0, "compact", calibrating), repository, calibrating, held_out)
    return repository
