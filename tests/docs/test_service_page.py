"""docs/reference/service.md against the metrics, fields and answers that it describes."""

import re
from typing import get_args

from gitopsd.daemon.configuration.configuration import Occasion
from gitopsd.daemon.controller.channel_traffic import ChannelTraffic
from gitopsd.daemon.controller.onlookers.event_line import line_of
from gitopsd.daemon.controller.onlookers.journal import fields_of
from gitopsd.daemon.controller.onlookers.metrics import Asked, Metrics
from gitopsd.daemon.controller.pull_requests.counts import Counted
from tests.daemon.controller import samples
from tests.docs.markdown import DOCS, sections

PAGE = DOCS / "reference" / "service.md"


def _first_cells(heading: str, table: int = 0) -> list[tuple[str, str]]:
    return [(row[0], row[1]) for row in sections(PAGE)[heading].tables[table][1:]]


def test_every_metric_is_described_with_its_labels_and_no_other() -> None:
    counted = Counted(planned={"shown": 1}, calls={"2xx": 3}, remaining=4_990)
    traffic = ChannelTraffic(lambda: 0.0)
    traffic.tell("production", "edge-1", {"orders.write.0": samples.traffic()})
    metrics = Metrics(Asked(forge=lambda: counted, traffic=traffic.metrics))
    for event in samples.EVERY:
        metrics(event)
    known = {}
    for family in metrics.registry.collect():
        if family.name.startswith("gitopsd_"):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = {label for sample in family.samples for label in sample.labels} - {"le"}
            known[name] = labels
    described = {
        name: set(labels.replace(" ", "").split(",")) - {""}
        for cell, labels in _first_cells("Metrics and health", 1)
        for name in re.findall(r"gitopsd_\w+", cell)
    }
    assert described.keys() == known.keys()
    for name, labels in known.items():
        assert labels in (set(), described[name]), name  # none where nothing was counted yet


def test_every_field_of_the_journal_is_described() -> None:
    described = {name for cell, _ in _first_cells("The log") for name in re.findall(r"[A-Z_]+", cell)}
    known = {name for event in samples.EVERY for name, _ in fields_of(line_of(event))}
    assert known - {"MESSAGE", "SYSLOG_IDENTIFIER"} <= described


def test_every_occasion_is_described() -> None:
    described = {cell.strip("`") for cell, _ in _first_cells("Notifications")}
    assert described == set(get_args(Occasion))
