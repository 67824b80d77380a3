from tests.fleet.fixtures import fleet, pytest_collection_modifyitems, pytest_runtest_setup

__all__ = ["fleet", "pytest_collection_modifyitems", "pytest_runtest_setup"]
