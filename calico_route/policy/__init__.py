"""Profiles, tags and rules of workloads, enforced with nftables.

model          what documents mean: rules, profiles, policies, endpoints, flows
rules          the rules of v0.4.9 in JSON, strictly         rule_text       the same as words, both ways
v3_rules       the rules of Calico v3's documents            profile_names   names of both worlds, each for each
profile        Profile documents, tags, warnings             networkpolicy   NetworkPolicy and GlobalNetworkPolicy
members        whose addresses a selector stands for         cluster         all that is known, and what matters here
judge          whether a connection is allowed, and why      expressions     one rule in nftables' JSON
compile        from what is known to the table               table           the table, and the least commands to it
nft            libnftables, or the command nft               changes         hears when others change our table
conntrack      the kernel's connections                      cutting         ends those that are not allowed any more
keys, source   from etcd to what is known                    engine          Policy: all of it, running
own_addresses  of this host                                  withdrawal      no rules any more
"""

from .engine import Policy
from .judge import Step, Verdict, judge
from .model import Flow, Profile, Rule
from .nft import NftError
from .profile import as_v049, new_profile, read_profile, tag_warnings, tags_of, with_rules, with_tags
from .profile_names import given_name, stored_name
from .rule_text import format_rule, parse_rule
from .rules import ProfileRules, RulesError, Unsayable, read_profile_rules, write_profile_rules
from .withdrawal import withdraw

__all__ = [
    "Flow",
    "NftError",
    "Policy",
    "Profile",
    "ProfileRules",
    "Rule",
    "RulesError",
    "Step",
    "Unsayable",
    "Verdict",
    "as_v049",
    "format_rule",
    "given_name",
    "judge",
    "new_profile",
    "parse_rule",
    "read_profile",
    "read_profile_rules",
    "stored_name",
    "tag_warnings",
    "tags_of",
    "with_rules",
    "with_tags",
    "withdraw",
    "write_profile_rules",
]
