"""Every file in favit/aggregators is held to the contract. Files are found, not listed: a new one is tested as is."""

import pytest

from favit.components import registry
from favit.contracts import aggregators

pytestmark = pytest.mark.parametrize("name", registry.names("aggregators"))


@pytest.mark.parametrize("check", aggregators.CHECKS, ids=lambda check: check.__name__)
def test_the_contract_holds(name, check):
    check(name)


@pytest.mark.slow
@pytest.mark.parametrize("check", aggregators.SLOW, ids=lambda check: check.__name__)
def test_the_slow_contract_holds(name, check):
    check(name)
