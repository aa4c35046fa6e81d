from __future__ import annotations

import pytest

from tests.support.installation import Installation
from tests.support.telling import Told


@pytest.fixture
def told(place: Installation) -> Told:
    return Told(place)
