"""The daemon and three real machines: what is pushed rolls out, and a newer version pre-empts an older one."""

import pytest

from tests.daemon.controller.daemon_process import daemon, wait_for_deployment
from tests.e2e.shop import CRASHES, IS_DEAF, NAMES, SERVES, Shop, make_shop
from tests.fleet.fixtures import StartFleet
from tests.operator import eventually


@pytest.fixture(scope="module")
def shop(fleet: StartFleet, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return make_shop(fleet(names=NAMES), tmp_path_factory.mktemp("home"))


def test_versions_roll_out_and_pre_empt_each_other_and_failures_go_back(shop: Shop) -> None:
    site = shop.site
    with daemon(site) as process:
        shop.push(SERVES)
        wait_for_deployment(site, 1, "production")
        assert set(shop.serving().values()) == {"version 1 serves"}

        shop.push(IS_DEAF)  # never ready: its canary would be waited for a minute
        eventually("the canary is begun", lambda: "version 2 is-deaf" in shop.serving().values())
        shop.push(SERVES)
        wait_for_deployment(site, 3, "production")
        assert set(shop.serving().values()) == {"version 3 serves"}
        assert site.last_rollout(2, "production")["superseded_by"] == 3

        shop.push(CRASHES)
        wait_for_deployment(site, 5, "production")
        assert set(shop.serving().values()) == {"version 3 serves"}
        assert site.note(4, "production")["reverted"]["shop"]["to"] == 3
        assert site.last_rollout(4, "production")["not_attempted"], "the canary alone met the version that crashes"

        shop.push(SERVES)
        eventually("the next rollout is under way", lambda: "version 5 serves" in shop.serving().values())
        process.kill()
    with daemon(site):
        wait_for_deployment(site, 6, "production")
        assert set(shop.serving().values()) == {"version 5 serves"}

        shop.machines["edge-2"].cut_link()
        shop.push(SERVES)
        eventually("two have it", lambda: list(shop.serving().values()).count("version 6 serves") == 2)
        shop.machines["edge-2"].restore_link()
        wait_for_deployment(site, 7, "production")
        assert set(shop.serving().values()) == {"version 6 serves"}
