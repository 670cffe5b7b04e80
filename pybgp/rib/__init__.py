"""The routing information base: Adj-RIBs-In, Loc-RIB, Adj-RIBs-Out and the decision process between them."""

from pybgp.rib.adj_rib_in import AdjRibIn
from pybgp.rib.adj_rib_out import AdjRibOut
from pybgp.rib.decision import Step
from pybgp.rib.eligibility import Eligibility
from pybgp.rib.export import Export
from pybgp.rib.loc_rib import LocRib, Verdict
from pybgp.rib.route import Change, Delta, Entry, Path, Route, Source, best_of, paths_of

__all__ = [
    "AdjRibIn",
    "AdjRibOut",
    "Change",
    "Delta",
    "Eligibility",
    "Entry",
    "Export",
    "LocRib",
    "Path",
    "Route",
    "Source",
    "Step",
    "Verdict",
    "best_of",
    "paths_of",
]
