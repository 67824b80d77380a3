"""The table of a run, and the figures that were aimed at beside what came out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.fleet_clock import Sample

_ROWS = (
    ("gitopsd warm, same units", "gitopsd, warm: observe, activate, read back; unit text unchanged"),
    ("gitopsd warm, a changed unit", "gitopsd, warm: the same, unit text changed"),
    ("gitopsd confirm", "gitopsd: confirmation over a new connection"),
    ("openssh warm", "OpenSSH tar pipe, ControlMaster warm"),
    ("gitopsd apply, same units", "`gitopsd apply`, a whole process; unit text unchanged"),
    ("gitopsd apply, a changed unit", "`gitopsd apply`, a whole process; unit text changed"),
    ("openssh cold", "OpenSSH tar pipe, cold, curve25519"),
    ("ansible", "Ansible"),
    ("pyinfra", "pyinfra"),
    ("gitopsd nothing, warm", "gitopsd, warm: nothing to do; drift check"),
    ("openssh nothing, warm", "OpenSSH: nothing to do, ControlMaster warm"),
    ("gitopsd apply, nothing", "`gitopsd apply`, a whole process; nothing to do"),
)


@dataclass(frozen=True, slots=True)
class _Figure:
    """`found` is to be at most `aim`; at least, where it says so."""

    what: str
    found: float
    aim: float
    unit: str = ""
    at_least: bool = False

    def __str__(self) -> str:
        met = self.found >= self.aim if self.at_least else self.found <= self.aim
        bound = "at least" if self.at_least else "at most"
        return f"{self.what:68} {self.found:8.2f} {bound} {self.aim:g} {self.unit}{'' if met else '  MISSED'}"


def report(machines: int, medians: Mapping[str, Sample], notes: Sequence[str]) -> None:
    print(f"\n{machines} machines, medians")
    print(f"{'':68} {'wall s':>8} {'CPU s':>8} {'CPU ms a machine':>17}")
    for name, shown in _ROWS:
        if name in medians:
            one = medians[name]
            print(f"{shown:68} {one.wall:8.3f} {one.cpu:8.3f} {1000 * one.cpu / machines:17.2f}")
    print("\nwhat is aimed at, for 100 machines")
    for figure in _figures(machines, medians):
        print(figure)
    print()
    for note in notes:
        print(note)


def _figures(machines: int, medians: Mapping[str, Sample]) -> list[_Figure]:
    same, changed = medians["gitopsd warm, same units"], medians["gitopsd warm, a changed unit"]
    warm, cold = medians["openssh warm"], medians["openssh cold"]
    apply_same, apply_changed = medians["gitopsd apply, same units"], medians["gitopsd apply, a changed unit"]
    nothing = medians["gitopsd nothing, warm"]
    figures = [
        _Figure("warm deploy, same units: CPU a machine", 1000 * same.cpu / machines, 4, "ms"),
        _Figure("warm deploy, a changed unit: CPU a machine", 1000 * changed.cpu / machines, 4, "ms"),
        _Figure("warm deploy, a changed unit: wall beside the warm tar pipe", changed.wall / warm.wall, 1),
        _Figure("warm deploy, same units: wall beside the warm tar pipe", same.wall / warm.wall, 0.6),
        _Figure("confirmation: CPU a machine", 1000 * medians["gitopsd confirm"].cpu / machines, 6, "ms"),
        _Figure("one-shot apply, a changed unit: wall beside the cold tar pipe", apply_changed.wall / cold.wall, 1.6),
        _Figure("one-shot apply, same units: wall beside the cold tar pipe", apply_same.wall / cold.wall, 1.6),
        _Figure("nothing to do, warm: wall beside OpenSSH", nothing.wall / medians["openssh nothing, warm"].wall, 0.5),
        _Figure("drift check: machines a second", machines / nothing.wall, 250, at_least=True),
        _Figure("drift check: CPU a machine", 1000 * nothing.cpu / machines, 0.5, "ms"),
    ]
    for name, times in (("ansible", 13.0), ("pyinfra", 2.3)):
        if name in medians:
            ratio = medians[name].wall / apply_changed.wall
            figures.append(_Figure(f"one-shot apply, a changed unit: times faster than {name}", ratio, times, "", True))
            ratio = medians[name].wall / apply_same.wall
            figures.append(_Figure(f"one-shot apply, same units: times faster than {name}", ratio, times, "", True))
    return figures
