"""Takes out of a plan what need not run: results that are stored, and all that only they needed."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .entry import Ref
from .frame import SKIPPED
from .kept import Kept
from .keys import FrameKeys
from .plan import INPUTS, Bound, Plan, Source, Step, make_plan


def reuse(plan: Plan, keys: FrameKeys, kept: Kept) -> Plan:
    """Return the plan with a step that restores in the place of each stored result.

    From the outputs and sinks backwards: what leads to a stored result is not in it any more, in
    bodies neither. Nothing is read yet but which entries there are.
    """
    sure = _sure(plan)
    left: dict[str, Step] = {}
    wanted = set(plan.outputs.values())
    for step in reversed(plan.steps):
        ports = {port for port in step.spec.outputs if Source(step.id, port) in wanted}
        if not ports and not step.spec.sink:
            continue
        left[step.id] = replaced = _reused(step, ports, keys, kept, sure)
        wanted.update(replaced.sources)
    if all(left.get(step.id) is step for step in plan.steps):
        return plan
    steps = {step.id: left[step.id] for step in plan.steps if step.id in left}
    return make_plan(steps, plan.outputs)


def _sure(plan: Plan) -> set[str]:
    """Return the steps that are not skipped, whatever the conditions in the plan turn out to be."""
    sure = {INPUTS}
    for step in plan.steps:
        if step.when is True and all(source.step in sure for source in step.sources):
            sure.add(step.id)
    return sure


def _reused(step: Step, ports: set[str], keys: FrameKeys, kept: Kept, sure: set[str]) -> Step:
    key = keys.steps[step.id]
    if kept.has(key):
        return replace(step, links={}, constants={}, when=True, body=None, mapped=(), stored=key)
    if step.body is None or step.mapped:
        return step
    outputs = {name: source for name, source in step.body.outputs.items() if name in ports}
    body = reuse(replace(step.body, outputs=outputs), keys.bodies[step.id], kept)
    used = {source.port for source in body.uses if source.step == INPUTS}
    links = {
        port: bound
        for port, bound in step.links.items()
        if port in used or not _from_sure(bound, sure)  # if it is skipped, so is this step
    }
    constants = {port: value for port, value in step.constants.items() if port in used}
    return replace(step, body=body, links=links, constants=constants)


def stored_ends(keys: FrameKeys | None, outputs: Mapping[str, Any], kept: Kept) -> dict[str, Any]:
    """Return a body's outputs with references in the place of what is stored already."""
    found = dict(outputs)
    for name, token in keys.ends.items() if keys else ():
        key, _, port = str(token.get("k", "")).rpartition(".")
        if name in found and found[name] is not SKIPPED and kept.stored(key):
            found[name] = Ref(key, port)
    return found


def _from_sure(bound: Bound, sure: set[str]) -> bool:
    items = bound if isinstance(bound, list) else [bound]
    return all(item.step in sure for item in items if isinstance(item, Source))
