"""What the passes after bind need of a workflow, small enough to be remembered."""

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

import msgspec

from gitopsd.compiler.placement.colocate import company_of, kept_together
from gitopsd.model.blueprint import Blueprint, ShippedFile
from gitopsd.model.source import Files
from gitopsd.model.system import BoundStep, ChannelSecret, Deferred, Scope, StepNeeds, Store, System, WorkflowSummary
from gitopsd.model.workflow import Place


def summarise(system: System, shipped: Mapping[str, Files]) -> WorkflowSummary:
    """`shipped` are the files below `files/`, by library."""
    needs = {name: _needs(system, step) for name, step in system.steps.items()}
    return WorkflowSummary(
        workflow=system.workflow,
        path=system.path,
        digest=_digest(system, shipped),
        companies=tuple(
            company_of(system.workflow, [needs[name] for name in names]) for names in kept_together(system)
        ),
        stores=tuple(
            Store(channel.name, channel.path, channel.origin) for channel in system.channels.values() if channel.path
        ),
        transports=tuple(sorted({channel.transport for channel in system.channels.values()})),
        flows=tuple(sorted(set(_flows(system)))),
    )


def _flows(system: System) -> Iterator[tuple[str, str]]:
    for channel in system.channels.values():
        for producer in {system.steps[end.step].place.group for end in channel.producers}:
            for consumer in {system.steps[end.step].place.group for end in channel.consumers}:
                if producer != consumer:
                    yield producer, consumer


def _needs(system: System, step: BoundStep) -> StepNeeds:
    attached = {*step.inputs.values(), *step.outputs.values()}
    of_channels = [
        ChannelSecret(secret=name, channel=channel, transport=system.channels[channel].transport, origin=origin)
        for channel in sorted(attached)
        for name, origin in system.channels[channel].secrets.items()
    ]
    return StepNeeds(
        name=step.name,
        use=step.use,
        origin=step.origin,
        placed_at=step.chain[0] if step.chain else step.origin,
        group=step.place.group,
        replicas=step.place.replicas,
        constraints=step.place.constraints,
        strategy=step.place.strategy,
        features=step.blueprint.requires.features,
        entitlements=step.blueprint.requires.entitlements,
        secrets=tuple(sorted({*step.blueprint.secrets, *(one.secret for one in of_channels)})),
        channel_secrets=tuple(of_channels),
    )


def _digest(system: System, shipped: Mapping[str, Files]) -> str:
    """40 hex digits over what the workflow was compiled to, not over how it was written.

    What its blueprints ship counts by its content.
    """
    blueprints: dict[int, str] = {}
    steps = [
        [
            step.name,
            blueprints.get(id(step.blueprint)) or _remember(blueprints, step.blueprint, shipped[step.library]),
            _place(step.place),
            step.params,
            {name: _deferred(value) for name, value in step.deferred.items()},
            step.inputs,
            step.outputs,
        ]
        for step in system.steps.values()
    ]
    channels = [
        [channel.name, channel.transport, channel.path, channel.options] for channel in system.channels.values()
    ]
    return _hash([system.workflow, steps, channels])


def _place(place: Place) -> Any:
    """What was added later isn't there where it says nothing: a form that was quarantined stays the same form."""
    known = msgspec.to_builtins(place)
    return known if place.exclusive else {key: value for key, value in known.items() if key != "exclusive"}


def _remember(blueprints: dict[int, str], blueprint: Blueprint, shipped: Files) -> str:
    paths = [content.from_ for content in blueprint.job.files.values() if isinstance(content, ShippedFile)]
    files = {path: shipped[path].blob for path in paths}
    digest = blueprints[id(blueprint)] = _hash([blueprint, files] if files else blueprint)
    return digest


def _deferred(value: Deferred) -> Any:
    return [value.raw, _scope(value.scope)]


def _scope(scope: Scope) -> Any:
    return [scope.params, {name: _deferred(value) for name, value in scope.deferred.items()}]


def _hash(value: Any) -> str:
    return sha256(msgspec.json.encode(value, order="sorted")).hexdigest()[:40]
